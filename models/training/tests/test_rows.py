import numpy as np
import pytest

from outrider_train import flats, formats, labels, rows


@pytest.mark.parametrize(
    ("text", "split"), [("B AB 1234", ("B AB", "1234")), ("AB-123", ("AB", "123")), ("ABC 1D23", ("ABC", "1D23"))]
)
def test_text_with_a_gap_is_split_at_its_last_one(text, split):
    assert rows.split(text, np.random.default_rng(1)) == split


def test_text_without_a_gap_keeps_all_its_characters():
    for seed in range(20):
        upper, lower = rows.split("ABC1234", np.random.default_rng(seed))
        assert upper + lower == "ABC1234" and 2 <= len(upper) <= 3


@pytest.mark.parametrize("draw", [rows.american, rows.brazilian, rows.uneven, rows.draw])
def test_upper_row_comes_first_and_each_row_goes_to_the_right(draw):
    for seed in range(12):
        plate = draw(np.random.default_rng(seed))
        assert len(plate.text) == len(plate.boxes)
        middles = (plate.boxes[:, 1] + plate.boxes[:, 3]) / 2
        breaks = [i for i in range(1, len(middles)) if plate.boxes[i][0] < plate.boxes[i - 1][0]]
        assert len(breaks) == plate.lines - 1
        for i in breaks:
            assert middles[i] > middles[i - 1] + 10
            assert flats.in_rows(plate) == plate.text[:i] + labels.BREAK + plate.text[i:]


def test_two_rows_come_in_pools_of_their_own_with_a_break_between_them(tmp_path):
    flats.pool(tmp_path, 3, 1, 30, two=True)
    flats.pool(tmp_path, 3, 1, 2)
    assert sorted(p.name for p in tmp_path.glob("*.npz")) == ["flat-3-000.npz", "flat-two-3-000.npz"]
    drawn, rng = {}, np.random.default_rng(2)
    for two in (False, True):
        plates = flats.FlatPlates(tmp_path, flats.Places(), two=two)
        plates.refresh()
        drawn[two] = [plates.draw(rng)[1] for _ in range(40)]
    assert not any(labels.BREAK in text for text in drawn[False])
    broken = [text.split(labels.BREAK) for text in drawn[True] if labels.BREAK in text]
    assert len(broken) > 20 and all(len(rows) == 2 and all(rows) for rows in broken)
    assert set(rows.KINDS) == {"europe", "america", "brazil", "uneven"} and sum(rows.KINDS.values()) == pytest.approx(1)
    assert formats.BRAZIL


def test_some_photographs_have_no_rim_on_any_side():
    rng = np.random.default_rng(1)
    margins = np.array([flats.whole_margins(rng, usual=True) for _ in range(4_000)])
    ready = (margins.max(1) <= 0.015).mean()
    assert flats.READY <= ready < flats.READY + 0.03
