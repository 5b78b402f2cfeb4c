import argparse
import hashlib
import tomllib

import pytest

torch = pytest.importorskip("torch")

from outrider_train.export import to_onnx  # noqa: E402
from outrider_train.ocr_net import Reader  # noqa: E402
from outrider_train.package import check_worth, package_large  # noqa: E402

OCR = """name = "plate-ocr-small"
version = "1"
sha256 = "old"
[input]
width = 160
[ocr]
slots = 40
[provenance]
scores = "of small"
"""


def test_the_large_package_names_its_own_file_and_carries_no_scores_of_the_small_one(tmp_path):
    (tmp_path / "plate-ocr-small").mkdir()
    (tmp_path / "plate-ocr-small/model.toml").write_text(OCR)
    to_onnx(Reader().eval(), "reader", tmp_path / "plate-ocr-small/model.onnx")
    to_onnx(Reader().eval(), "reader", tmp_path / "second.onnx")
    package_large(argparse.Namespace(models=tmp_path, version="2", first=None, second=tmp_path / "second.onnx"))
    described = tomllib.loads((tmp_path / "plate-ocr-large/model.toml").read_text())
    assert described["ocr"] == {"slots": 40, "readers": 2}
    assert described["sha256"] == hashlib.sha256((tmp_path / "plate-ocr-large/model.onnx").read_bytes()).hexdigest()
    assert described["name"] == "plate-ocr-large" and described["version"] == "2"
    assert "scores" not in described["provenance"]


def test_a_package_that_reads_hardly_anything_does_not_replace_one_that_does(tmp_path):
    with pytest.raises(SystemExit, match=r"this reader reads 0\.4 % of the plates: .* is left as it is"):
        check_worth("this reader reads", 0.4, tmp_path, anyway=False)
    check_worth("this reader reads", 0.4, tmp_path, anyway=True)
    check_worth("this reader reads", 96.0, tmp_path, anyway=False)
