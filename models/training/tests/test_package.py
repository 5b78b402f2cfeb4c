import argparse
import hashlib
import tomllib

import pytest

torch = pytest.importorskip("torch")

from outrider_train.export import to_onnx  # noqa: E402
from outrider_train.ocr_net import Reader  # noqa: E402
from outrider_train.package import package_large  # noqa: E402

DETECTOR = """name = "plate-detector-small"
version = "1"
sha256 = "old"
[input]
width = 640
height = 384
[provenance]
scores = "of small"
"""
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


def test_large_packages_name_their_own_file_and_carry_no_scores_of_the_small_ones(tmp_path):
    for kind, text in (("detector", DETECTOR), ("ocr", OCR)):
        (tmp_path / f"plate-{kind}-small").mkdir()
        (tmp_path / f"plate-{kind}-small/model.toml").write_text(text)
    (tmp_path / "plate-detector-small/model.onnx").write_bytes(b"weights")
    to_onnx(Reader().eval(), "reader", tmp_path / "plate-ocr-small/model.onnx")
    to_onnx(Reader().eval(), "reader", tmp_path / "second.onnx")
    package_large(argparse.Namespace(models=tmp_path, version="2", second=tmp_path / "second.onnx"))
    detector, ocr = (tomllib.loads((tmp_path / f"plate-{k}-large/model.toml").read_text()) for k in ("detector", "ocr"))
    assert (detector["input"]["width"], detector["input"]["height"]) == (960, 576)
    assert ocr["ocr"] == {"slots": 40, "readers": 2}
    for described, kind in ((detector, "detector"), (ocr, "ocr")):
        weights = (tmp_path / f"plate-{kind}-large/model.onnx").read_bytes()
        assert described["sha256"] == hashlib.sha256(weights).hexdigest()
        assert described["name"] == f"plate-{kind}-large" and described["version"] == "2"
        assert "scores" not in described["provenance"]
