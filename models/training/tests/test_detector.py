import json
import pickle

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from outrider_train import checkpoint, detector_data  # noqa: E402
from outrider_train.detector_data import Scenes  # noqa: E402
from outrider_train.detector_loss import like_teacher, loss_of, targets  # noqa: E402
from outrider_train.detector_net import STRIDE, Detector, decode, iou, letterbox  # noqa: E402


def white_plate(folder, seed, tags):
    """Scenes of one picture, 640x480: a white plate at (200, 220), 180 px wide and 60 high, on black."""
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[220:280, 200:380] = 255
    cv2.imwrite(str(folder / "a.png"), picture)
    plate = {"boxes": [[200, 220, 180, 60]], "text": ["ABC123"], "jurisdiction": [None], "tags": [tags], "kind": ["plate"]}
    (folder / "labels.jsonl").write_text(json.dumps({"file": "a.png", "w": 640, "h": 480, **plate}) + "\n")
    (folder / "use").write_text("train")
    for name in ("plates.pkl", "panels.pkl"):
        (folder / name).write_bytes(pickle.dumps([]))
    return Scenes([folder], folder, seed)


def maps_from(t):
    """What a perfect detector would answer."""
    maps = np.zeros((13, *t["heat"].shape), np.float32)
    maps[0] = np.where(t["heat"] == 1, 6, -6)
    maps[1:5] = np.log(np.maximum(t["sides"], 0.5) / STRIDE)
    maps[5:13] = t["corners"]
    return maps


def test_what_targets_say_decode_reads():
    corners = np.array([[60, 52], [140, 48], [141, 90], [59, 94]], float)
    plate = {"box": [59.0, 48.0, 141.0, 94.0], "corners": corners, "ignore": False}
    found = decode(maps_from(targets([plate], 320, 256)), 0.5)
    assert len(found) == 1
    assert iou(found[0], plate["box"]) > 0.97
    assert np.abs(found[0][5] - corners).max() < 0.5


def test_corners_that_miss_the_slope_cost_as_much_as_a_box_that_is_a_tenth_too_wide():
    """With less, real plates' corners stayed level while the loss fell."""
    middle, fall = np.array([160.0, 128.0]), 100 * np.tan(np.radians(5))
    corners = middle + [[-50, -20 - fall / 2], [50, -20 + fall / 2], [50, 20 + fall / 2], [-50, 20 - fall / 2]]
    t = targets([{"box": [*corners.min(0), *corners.max(0)], "corners": corners, "ignore": False}], 320, 256)
    batch = {k: torch.from_numpy(v[None]) for k, v in t.items()}

    def loss(maps):
        return loss_of(torch.from_numpy(maps[None]), batch)[0].item()

    exact = maps_from(t)
    level, wide = exact.copy(), exact.copy()
    level[6:13:2] -= np.array([-1, 1, 1, -1])[:, None, None] * fall / 2 / 16
    wide[[1, 3]] += np.log(1.1)
    assert loss(level) - loss(exact) > loss(wide) - loss(exact) > 0.05


def test_cut_plates_are_neither_right_nor_wrong():
    t = targets([{"box": [-30.0, 10.0, 20.0, 30.0], "corners": None, "ignore": True}], 320, 256)
    assert t["heat"].max() == 0
    assert t["keep"].min() == 0


def test_a_plate_beyond_the_crop_keeps_its_true_sides():
    t = targets([{"box": [-40.0, 20.0, 360.0, 230.0], "corners": None, "ignore": False}], 320, 256)
    y, x = np.argwhere(t["heat"] == 1)[0]
    assert t["sides"][0, y, x] > (x + 0.5) * STRIDE
    assert abs(t["sides"][:, y, x][[0, 2]].sum() - 400) < 1


def test_letterbox_pads_right_and_bottom():
    picture, k = letterbox(np.zeros((720, 1280, 3), np.uint8))
    assert picture.shape == (384, 640, 3) and k == 0.5
    assert (picture[360:] == 114).all() and (picture[:360] == 0).all()


@pytest.mark.parametrize("light", [False, True])
def test_the_network_answers_for_every_cell_of_any_size(light):
    with torch.no_grad():
        model = Detector(light=light).eval()
        for height, width in ((384, 640), (160, 288)):
            assert model(torch.zeros(1, 3, height, width)).shape == (1, 13, height // STRIDE, width // STRIDE)


def test_a_teacher_is_asked_for_boxes_only_where_it_sees_a_plate():
    maps = torch.full((1, 13, 4, 4), -9.0)
    maps[0, 1:] = 1.0
    maps[0, 0, 2, 2] = 9.0
    assert like_teacher(maps, maps) == 0
    elsewhere, here, heat = maps.clone(), maps.clone(), maps.clone()
    elsewhere[0, 3, 0, 0] += 2
    here[0, 3, 2, 2] += 2
    heat[0, 0, 2, 2] = -9.0
    assert like_teacher(elsewhere, maps) < 1e-3 < like_teacher(here, maps) < like_teacher(heat, maps)


@pytest.mark.parametrize("seed", range(6))
def test_corners_of_a_real_plate_follow_the_view(tmp_path, monkeypatch, seed):
    """A white plate in a black picture: the corners that the label says hold what is white in the crop, and nothing else."""
    monkeypatch.setattr(detector_data, "plate_width", lambda rng: 120.0)
    scenes = white_plate(tmp_path, seed, tags=[])
    crop, (plate,) = scenes._view()
    inside = cv2.fillConvexPoly(np.zeros(crop.shape[:2], np.uint8), np.round(plate.corners).astype(np.int32), 1)
    white = crop[..., 0] > 128
    assert white.sum() > 1000 and (white & (inside > 0)).sum() / (white | (inside > 0)).sum() > 0.85
    upper_left = plate.corners[0]
    assert (upper_left < plate.corners[2]).all() and plate.corners[1][0] > plate.corners[3][0] - 0.5 * plate.width
    assert plate.label()["corners"] is plate.corners


def test_nobody_knows_the_corners_of_a_plate_that_is_tilted_in_its_box(tmp_path):
    _, (plate,) = white_plate(tmp_path, 1, tags=["tilted"])._view()
    assert plate.label()["corners"] is None


def test_a_run_is_not_taken_up_again_with_other_sources_held_out(tmp_path):
    checkpoint.same_held_out(tmp_path, None, ["caltech"])
    checkpoint.same_held_out(tmp_path, {"held": ["caltech"]}, ["caltech"])
    with pytest.raises(SystemExit, match=r"held out \['caltech'\], not \[\]: its weights have seen the others"):
        checkpoint.same_held_out(tmp_path, {"held": ["caltech"]}, [])
