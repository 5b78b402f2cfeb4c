import numpy as np
import pytest

from outrider_train import formats, labels, plates, typefaces
from outrider_train.degrade import FAINTEST, degrade, light
from outrider_train.photograph import Surroundings, picture_of, reader_sample


@pytest.fixture(scope="module")
def around():
    return Surroundings(None)


def test_patterns_use_known_placeholders_only():
    rng = np.random.default_rng(0)
    for place in formats.CANADA + formats.STATES + formats.EUROPE + formats.BRAZIL:
        for pattern in place.patterns:
            text = labels.normalise(formats.fill(pattern, rng))
            assert 2 <= len(text) <= 10, (place.code, pattern)
            assert set(pattern) <= set("ladx -0123456789" + formats.LETTERS), (place.code, pattern)


def test_every_jurisdiction_has_a_code_once_but_brazil():
    codes = [p.code for p in formats.CANADA + formats.STATES + formats.EUROPE]
    assert len(codes) == len(set(codes))


def test_ontario_reads_four_letters_three_digits():
    ontario = formats.CANADA[0]
    text = formats.fill(ontario.patterns[0], np.random.default_rng(1))
    assert text[:4].isalpha() and text[4] == " " and text[5:].isdigit()


@pytest.mark.parametrize("seed", range(40))
def test_a_plate_has_a_box_for_each_character_inside_it(seed):
    plate = plates.render(np.random.default_rng(seed))
    assert len(plate.boxes) == len(plate.text)
    assert plate.text == labels.normalise(plate.text)
    h, w = plate.image.shape[:2]
    middle = (plate.boxes[:, :2] + plate.boxes[:, 2:]) / 2
    assert (middle > 0).all() and (middle < [w, h]).all()
    assert plate.image.min() >= 0 and plate.image.max() <= 255


def test_boxes_run_from_left_to_right_on_one_line():
    for seed in range(20):
        plate = plates.north_america(np.random.default_rng(seed))
        assert (np.diff(plate.boxes[:, 0]) > 0).all()


def test_same_seed_same_picture(around):
    a = reader_sample(np.random.default_rng([7, 3]), around)
    b = reader_sample(np.random.default_rng([7, 3]), around)
    assert a[1] == b[1] and a[2] == b[2] and (a[0] == b[0]).all()


def test_a_photograph_knows_where_plate_and_characters_are(around):
    rng = np.random.default_rng(5)
    for _ in range(20):
        plate = plates.render(rng)
        crop, corners, quads = picture_of(plate, rng, around)
        assert quads.shape == (len(plate.text), 4, 2) and corners.shape == (4, 2)
        width = np.linalg.norm(corners[1] - corners[0])
        assert 25 < width < 330
        assert crop.dtype == np.uint8


def test_darkness_leaves_something_to_read():
    picture = np.zeros((40, 100, 3), np.float32)
    picture[10:30, 20:80] = 200
    for seed in range(100):
        assert light(picture.copy(), np.random.default_rng(seed)).std() > FAINTEST * 0.9


def test_degrading_keeps_the_size():
    picture = np.full((31, 77, 3), 120, np.uint8)
    assert degrade(picture, np.random.default_rng(0), 77).shape == picture.shape


def test_stroke_face_has_every_character_and_o_differs_from_slashed_zero():
    for character in labels.ALPHABET:
        assert typefaces.stroke_glyph(character, -1, 1, 12, 0.5).shape[0] >= 70
    plain, slashed = typefaces.stroke_glyph("0", -1, 1, 12, 0.5), typefaces.stroke_glyph("0", 1, 1, 12, 0.5)
    assert plain.shape != slashed.shape or (plain != slashed).any()


def test_a_face_never_draws_one_and_i_alike():
    for seed in range(200):
        face = typefaces.Typeface(np.random.default_rng(seed), strokes=1.0)
        one, letter = face.glyph("1"), face.glyph("I")
        assert one.shape != letter.shape or (one != letter).any()
