"""Rendered plates by jurisdiction, and the page made of how they were read."""

import json

import cv2
import numpy as np
import pytest

from outrider_train import flats, formats, jurisdictions, plates


def fits(text: str, place: formats.Place) -> bool:
    """Whether a text without separators can come from one of the patterns of `place`."""
    sets = {"l": formats.LETTERS, "a": formats.CLEAR, "d": formats.DIGITS, "x": formats.LETTERS + formats.DIGITS}
    shapes = [[sets.get(c, c) for c in p if c not in " -"] for p in place.patterns]
    return any(len(s) == len(text) and all(t in c for t, c in zip(text, s, strict=True)) for s in shapes)


@pytest.mark.parametrize("code", ["CA-ON", "US-CA", "US-DE", "DE", "IL"])
def test_plates_of_a_place_have_its_formats_and_one_line(code):
    place = next(p for p in jurisdictions.places() if p.code == code)
    drawn = [plates.render_of(place, np.random.default_rng([5, i])) for i in range(40)]
    assert {p.place for p in drawn} == {code}
    assert all(fits(p.text, place) for p in drawn), [p.text for p in drawn if not fits(p.text, place)]
    assert {p.lines for p in drawn} == {1}


def test_places_are_all_there_once():
    codes = [p.code for p in jurisdictions.places()]
    assert len(codes) == len(set(codes))
    assert {"CA-ON", "US-WY", "GB", "BR"} <= set(codes)


def test_a_folder_is_labelled_as_eval_reads_it(tmp_path):
    assert jurisdictions.write(tmp_path, 2, flats.Places(), ["CA-ON", "BR"]) == 4
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["CA-ON/0000.png", "CA-ON/0001.png", "BR/0000.png", "BR/0001.png"]
    for line in lines:
        rows, columns = cv2.imread(str(tmp_path / line["file"]), 0).shape
        assert (line["w"], line["h"]) == (columns, rows)
        (x, y, w, h), *more = line["boxes"]
        assert not more and x > 0 and y > 0 and x + w < columns and y + h < rows
        assert abs(w / columns - 1 / (1 + 2 * flats.AROUND)) < 0.03, "the plate with its surroundings on either side"


def test_a_place_s_pictures_do_not_depend_on_the_others(tmp_path):
    jurisdictions.write(tmp_path / "one", 1, flats.Places(), ["BR"])
    jurisdictions.write(tmp_path / "two", 1, flats.Places(), ["CA-ON", "BR"])
    assert (tmp_path / "one/BR/0000.png").read_bytes() == (tmp_path / "two/BR/0000.png").read_bytes()


def test_the_page_puts_the_worst_first_and_marks_who_is_below():
    def cases(code, label, read, weakest, n):
        return [{"source": code, "label": label, "read": read, "weakest": weakest}] * n

    read = cases("US-CA", "7ABC123", "7ABC123", 0.99, 200) + cases("US-WY", "10123B", "1O1238", 0.95, 40)
    read += cases("US-WY", "10123B", "1O123B", 0.95, 160)
    rows = [line for line in jurisdictions.table(read, "reader 1").splitlines() if line.startswith("| ") and "%" not in line]
    assert rows[0].startswith("| **all** | 400 | 50.0 (45.1-54.9) | 90.0 (86.7-92.6) | 10.0 (")
    assert rows[1].startswith("| US-WY (below) | 200 | 0.0 (") and "| 80.0 (73.9-85.0) | 20.0 (" in rows[1]
    assert rows[2].startswith("| US-CA | 200 | 100.0 (")
