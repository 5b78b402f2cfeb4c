import numpy as np
import pytest

from outrider_train import dies, labels, typefaces
from outrider_train.dies import FAMILIES, Die

PAIRS = ("4L", "VY", "IT", "WH", "WM", "8B", "D0", "2Z", "5S", "6G")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_die_has_all_characters_and_no_two_of_them_alike(name):
    for seed in range(6):
        die = Die(name, np.random.default_rng(seed))
        masks = {}
        for character in labels.ALPHABET:
            glyph = die.glyph(character)
            assert abs(glyph.shape[0] - dies.TALL) <= 10, (character, glyph.shape)
            masks[character] = typefaces.cv2.resize(glyph, (40, 64)).astype(np.float32) / 255
        for a, b in PAIRS:
            assert np.abs(masks[a] - masks[b]).mean() > 0.04, (name, seed, a, b)


def test_californias_four_is_open_and_its_i_as_wide_as_its_serifs():
    for seed in range(10):
        die = Die("california", np.random.default_rng(seed))
        four, eye = die.glyph("4"), die.glyph("I")
        ink = four > 100
        top = np.flatnonzero(ink[: dies.TALL // 4].any(0))
        assert np.ptp(top) < 0.5 * four.shape[1], "the upright of a closed 4 reaches the top"
        serif, bar = (eye[4] > 100).sum(), (eye[dies.TALL // 2] > 100).sum()
        assert serif > 1.8 * bar


def test_serifs_stand_on_the_romans_ends_only():
    plain, roman = (Die(n, np.random.default_rng(3)).glyph("I") for n in ("wright", "roman"))
    assert (plain[4] > 100).sum() <= 1.2 * (plain[48] > 100).sum()
    assert (roman[4] > 100).sum() > 1.5 * (roman[48] > 100).sum()


def test_jurisdictions_are_stamped_with_their_own_dies():
    rng = np.random.default_rng(1)
    drawn = [dies.family_of("US-CA", rng) for _ in range(200)]
    assert drawn.count("california") > 150
    assert dies.family_of("DE", rng) == "fe"
    assert dies.family_of("IL", rng) is None
    named = {name for of in [*dies.OF_PLACE.values(), *dies.OF_REGION.values()] for name, _ in of}
    assert named <= set(FAMILIES)


def test_two_dies_of_a_family_differ_and_one_stays_itself():
    one, other = (Die("block", np.random.default_rng(s)) for s in (1, 2))
    assert one.glyph("K") is one.glyph("K")
    again = Die("block", np.random.default_rng(1))
    assert (again.glyph("K") == one.glyph("K")).all()
    assert other.glyph("K").shape != one.glyph("K").shape
