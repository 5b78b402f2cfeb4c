import json

import cv2
import numpy as np
import pytest

from outrider_train import cuts
from outrider_train.sources import Reported


def folder(path, use, tags=()):
    """A folder with one picture, which has a wide plate, a narrow one and one without a text."""
    (path / "images").mkdir(parents=True)
    cv2.imwrite(str(path / "images/oi2_1.png"), np.zeros((100, 400, 3), np.uint8))
    line = {"file": "images/oi2_1.png", "boxes": [[100, 20, 200, 50], [0, 0, 30, 10], [300, 60, 80, 20]]}
    line |= {"text": ["AB 123", "XYZ9", None], "tags": [list(tags), [], []]}
    (path / "labels.jsonl").write_text(json.dumps(line) + "\n")
    (path / "use").write_text(use + "\n")


def test_a_cut_takes_its_share_off_its_side_and_leaves_room_on_the_others():
    assert cuts.cut_box([100, 20, 200, 50], "left", 0.2) == pytest.approx([140, 17.5, 170, 55])
    assert cuts.cut_box([100, 20, 200, 50], "right", 0.2) == pytest.approx([90, 17.5, 170, 55])
    assert cuts.cut_box([100, 20, 200, 50], "right", -0.05) == pytest.approx([90, 17.5, 220, 55])


def test_the_sheet_has_each_plate_that_may_be_chosen_on_in_every_cut(tmp_path):
    folder(tmp_path / "data/pack2/dev", "choose")
    cuts.sheet(tmp_path / "data", tmp_path / "out")
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len(written) == 2 * len(cuts.CUTS) and "left-0.2" in written and "right--0.05" in written
    (line,) = [json.loads(one) for one in (tmp_path / "out/left-0.2/labels.jsonl").read_text().splitlines()]
    assert line["text"] == ["AB123"] and line["boxes"] == [pytest.approx([140, 17.5, 170, 55])]
    assert (tmp_path / "out/left-0.2" / line["file"]).exists()


def test_nothing_that_is_reported_gets_into_the_sheet(tmp_path):
    folder(tmp_path / "data/pack2/dev", "report")
    with pytest.raises(Reported):
        cuts.sheet(tmp_path / "data", tmp_path / "out")


def test_sure_reads_are_counted_as_right_or_wrong(tmp_path):
    cases = [("AB0123", "ABO123", 0.95), ("AB123", "B123", 0.97), ("AB123", "B123", 0.5), ("AB123", "", 0.0), (None, "X", 0.99)]
    lines = [json.dumps({"label": a, "read": b, "weakest": c}) for a, b, c in cases]
    (tmp_path / "left-0.2").mkdir()
    (tmp_path / "left-0.2/cases.jsonl").write_text("\n".join(lines))
    assert cuts.count(tmp_path / "left-0.2/cases.jsonl") == {"n": 4, "right": 1, "sure right": 1, "sure wrong": 1}
    assert cuts.table(tmp_path).splitlines()[-1] == "| 20 % on the left | 4 | 1 | 1 | 1 |"
    assert cuts.too_sure(tmp_path, 25) == [] and cuts.too_sure(tmp_path, 24) == ["left-0.2: 1 of 4"]
