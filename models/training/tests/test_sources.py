import json

import cv2
import numpy as np
import pytest

from outrider_train import sources
from outrider_train.crops import true_crops
from outrider_train.flats import Places, RealPlates
from outrider_train.sources import Reported, Source, Use, Weights, pictures, source_of, use_of


def folder_of(root, lines):
    root.mkdir(parents=True)
    out = []
    for line in lines:
        path = root / line["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((60, 160, 3), 200, np.uint8))
        out.append(json.dumps({"boxes": [[20, 10, 100, 40]], "text": ["ABC123"], "licence": "MIT", **line}))
    (root / "labels.jsonl").write_text("\n".join(out) + "\n")
    return root


def test_what_is_reported_is_loaded_neither_to_train_nor_to_choose(tmp_path):
    reported = folder_of(tmp_path / "data/evaluation", [{"file": "e2e_us/1.png"}])
    for use in (Use.TRAIN, Use.CHOOSE):
        with pytest.raises(Reported, match="is there to report"):
            pictures(reported, use)
    assert len(pictures(reported, Use.REPORT)) == 1


@pytest.mark.parametrize("name", ["data/pack/val", "data/pack2/dev"])
def test_what_is_chosen_on_is_not_trained_on(tmp_path, name):
    chosen_on = folder_of(tmp_path / name, [{"file": "images/oi_1.png"}])
    for load in (
        lambda: true_crops(chosen_on, Use.TRAIN),
        lambda: RealPlates(Source("x", chosen_on, "", 1), Use.TRAIN),
        lambda: Places(chosen_on),
    ):
        with pytest.raises(Reported, match="is there to choose"):
            load()
    assert len(true_crops(chosen_on, Use.CHOOSE)[1]) == 1


def test_a_copy_of_an_evaluation_picture_in_a_training_folder_is_refused_by_its_licence(tmp_path):
    train = folder_of(tmp_path / "pack/train", [{"file": "oi_1.png"}, {"file": "oi_2.png", "licence": "AGPL-3.0 EVAL-ONLY"}])
    with pytest.raises(Reported, match=r"labels.jsonl, line 2: its licence allows evaluation only"):
        pictures(train, Use.TRAIN)


def test_a_folder_of_which_nobody_says_what_it_is_for_is_refused(tmp_path):
    folder = folder_of(tmp_path / "mine", [{"file": "a_1.png"}])
    with pytest.raises(ValueError, match="nobody says what these pictures are for"):
        pictures(folder, Use.TRAIN)
    (folder / "use").write_text("report\n")
    assert use_of(folder) == Use.REPORT
    (folder / "use").write_text("trian")
    with pytest.raises(ValueError, match="'TRIAN' is none of train, choose, report"):
        use_of(folder)


def test_the_folder_nearest_to_the_pictures_decides(tmp_path):
    assert use_of(tmp_path / "evaluation/data/pack2/train") == Use.TRAIN


def test_a_held_out_source_neither_trains_nor_chooses_but_is_reported(tmp_path):
    train = folder_of(tmp_path / "pack2/train", [{"file": "oi2/1.png"}, {"file": "caltech/1.png"}])
    held = frozenset({"oi2"})
    assert [p.source for p in pictures(train, Use.TRAIN, held=held)] == ["caltech"]
    assert len(pictures(train, Use.REPORT, held=held)) == 2
    assert len(RealPlates(Source("x", train, "", 1), Use.TRAIN, held=held).items) == 1


def test_sources_go_by_name():
    names = ["images/rl_001_mp4.jpg", "oi2/0f5.jpg", "caltech/image_0001.jpg", "e2e_us/1.jpg", "oi_3.jpg"]
    assert [source_of(n) for n in names] == ["rl", "oi2", "caltech", "e2e_us", "oi"]


def test_a_source_is_name_folder_prefix_and_share():
    assert Source.parse("new=a/b@oi2/:15") == Source("new", sources.pathlib.Path("a/b"), "oi2/", 15.0)
    for wrong in ("new=a/b", "a/b:3", "new=a/b:x"):
        with pytest.raises(ValueError, match="is not NAME=FOLDER"):
            Source.parse(wrong)


def test_tags_jurisdictions_and_sources_weigh():
    weights = Weights.parse(["US=2", "US-VA=3", "blur=0.5", "caltech=0.1", "two_lines=0"])
    assert weights.factor("oi2", "US-VA", ["blur"]) == 3.0
    assert weights.factor("caltech", "US-CA", []) == pytest.approx(0.2)
    assert weights.factor("oi2", None, []) == 1.0
    with pytest.raises(ValueError, match="'US' is not KEY=FACTOR"):
        Weights.parse(["US"])


def test_a_plate_of_weight_nought_is_never_drawn_and_a_source_without_plates_is_refused(tmp_path):
    lines = [{"file": "oi2/1.png", "tags": [["two_lines"]]}, {"file": "oi2/2.png", "text": ["KEEP1"]}]
    train = folder_of(tmp_path / "pack2/train", lines)
    plates = RealPlates(Source("x", train, "", 1), Use.TRAIN, Weights.parse(["two_lines=0"]))
    assert [i.text for i in plates.items] == ["KEEP1"]
    with pytest.raises(ValueError, match="source x: .* has no plate with a text to draw"):
        RealPlates(Source("x", train, "", 1), Use.TRAIN, Weights.parse(["oi2=0"]))
