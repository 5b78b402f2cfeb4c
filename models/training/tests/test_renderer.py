import numpy as np
import pytest

from outrider_train import flats, formats, graphics, labels, plates, typefaces
from outrider_train.degrade import FAINTEST, degrade, light
from outrider_train.flats import FlatPlates, Places, develop, photograph, pool, surroundings
from outrider_train.photograph import Surroundings, picture_of


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


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    pool(folder, 7, 1, 12)
    plates = FlatPlates(folder, Places())
    plates.refresh()
    return plates


def test_same_seed_same_plates_and_photographs(flat, tmp_path):
    pool(tmp_path, 7, 1, 12)
    again = FlatPlates(tmp_path, Places())
    again.refresh()
    for seed in range(5):
        a, b = (f.draw(np.random.default_rng(seed)) for f in (flat, again))
        assert a[1] == b[1] and (a[0] == b[0]).all()
        assert a[0].shape == (64, 160) and a[0].dtype == np.uint8


def test_no_photograph_is_taken_twice(flat):
    pixels, sizes, starts, _ = flat.files["flat-7-000.npz"]
    plate = pixels[: starts[1]].reshape(sizes[0])
    rng = np.random.default_rng(1)
    a, b = photograph(plate, rng, flat.places), photograph(plate, rng, flat.places)
    assert (a != b).any()


def test_the_pool_picks_up_new_files_and_drops_the_oldest(tmp_path):
    plates = FlatPlates(tmp_path, Places(), limit=5)
    pool(tmp_path, 1, 1, 5)
    plates.refresh()
    pool(tmp_path, 2, 1, 5)
    plates.refresh()
    assert {name for name, _ in plates.index} == {"flat-2-000.npz"}


def test_surroundings_reach_beyond_the_edge_of_the_picture():
    picture = np.full((50, 100), 90, np.uint8)
    picture[:, :40] = 200
    seen = surroundings(picture, (0, 10, 40, 20))
    assert seen.image.shape == (38, 76)
    x, y, w, h = (round(v) for v in seen.box)
    assert (w, h) == (40, 20)
    assert (seen.image[y : y + h, x : x + w - 1] == 200).all()
    assert seen.image[0, -1] == 90


def test_a_picture_keeps_something_to_read_in_the_dark():
    crop = np.zeros((40, 100), np.float32)
    crop[10:30, 20:80] = 200
    for seed in range(100):
        assert develop(crop.copy(), np.random.default_rng(seed), 100).std() > 2.5


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


def test_corners_that_tell_letters_from_digits_stay_sharp():
    for rounding in range(3):
        d, zero = (typefaces.stroke_glyph(c, -1, rounding, 12, 0.5) for c in "D0")
        corner = np.s_[-8:, :8]  # the foot of D's stem
        assert d[corner].mean() > zero[corner].mean() + 60


def test_series_of_north_america_have_few_letters_that_look_like_digits():
    rng = np.random.default_rng(1)
    drawn = "".join(formats.fill("llll", rng, formats.RARE) for _ in range(500))
    assert 0.2 * drawn.count("N") < sum(c in "OQ" for c in drawn) < 1.5 * drawn.count("N")


def test_an_outer_frame_keeps_the_plate_and_says_where_it_is():
    rng = np.random.default_rng(4)
    plate = rng.uniform(0, 255, (96, 190, 3)).astype(np.float32)
    framed, (x, y) = graphics.outer_frame(plate, rng)
    assert framed.shape[0] > 96 and framed.shape[1] > 190
    assert np.array_equal(framed[y : y + 96, x : x + 190], plate)


def test_usual_photographs_are_boxed_as_the_detector_boxes():
    sides = np.stack([flats.whole_margins(np.random.default_rng(i), usual=True) for i in range(300)])
    assert abs(float(sides.mean()) - 0.06) < 0.01
    assert sides.min() >= -0.06 and sides.max() <= 0.25
    assert 0.04 < float(sides.std()) < 0.07  # our detector on US frames: 0.07-0.1, joined with the worse half


def test_some_photographs_are_cut_off_on_one_side():
    sides = np.stack([flats.margins(np.random.default_rng(i), usual=True) for i in range(3000)])
    cut = sides < -0.06
    assert abs(float(cut.any(1).mean()) - flats.CUT) < 0.02
    assert (cut.sum(1) <= 1).all() and sides.min() >= -0.35
    assert cut[:, [0, 2]].sum() > 5 * cut[:, [1, 3]].sum(), "a character is lost at an end more often than a line"
