import json
import pathlib

import numpy as np
import pytest

from outrider_train import formats, looks, place_package, place_train

SYNTAX = pathlib.Path(__file__).parents[3] / "crates/base/src/plate/formats.rs"


@pytest.mark.parametrize("code", ["US-CA", "US-HI", "CA-QC", "AU-NSW", "GB", "DE", "BR", "other"])
def test_plate_of_a_class_is_a_picture_with_that_class(code):
    plate = looks.render_of(code, np.random.default_rng(3))
    assert plate.place == code
    assert plate.image.ndim == 3 and plate.image.std() > 5
    assert place_train.to_input(np.clip(plate.image, 0, 255).astype(np.uint8)).shape == (96, 192, 3)


def test_every_jurisdiction_that_the_reader_renders_is_told_apart_and_none_twice():
    assert len(set(looks.CLASSES)) == len(looks.CLASSES)
    codes = {place.code for place in formats.CANADA + formats.STATES + formats.BRAZIL}
    assert codes <= set(looks.CLASSES)


def test_serial_of_a_plate_with_a_name_says_nothing_of_whose_it_is():
    rng, mine = np.random.default_rng(4), 0
    for _ in range(60):
        mine += place_package.fits(looks.named("US-CA", rng).text, "DLLLDDD")
    assert mine < 15, "California's serial stands on every state's plates alike"


def test_formats_are_those_of_the_one_table():
    table = place_package.formats_of(SYNTAX)
    assert "DLLLDDD" in table["US-CA"] and table["GB"] and table["AU-NSW"]
    logs = place_package.format_logs(["6ABC234", "ROCKER", None], table)
    california, nevada = (looks.CLASSES.index(c) for c in ("US-CA", "US-NV"))
    assert logs[0, california] - logs[0, nevada] > 4
    assert abs(logs[1, california] - logs[1, nevada]) < 1e-3 and not logs[2].any()


def test_jurisdictions_read_by_eye_are_codes():
    path = pathlib.Path(place_train.__file__).parent / "extra_places.jsonl"
    for line in path.read_text().splitlines():
        item = json.loads(line)
        assert item["box"] >= 0 and (len(item["jurisdiction"]) == 2 or item["jurisdiction"][2] == "-")
