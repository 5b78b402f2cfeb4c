import numpy as np
import pytest

from outrider_train import labels


def logits_for(classes):
    out = np.full((1, len(classes), labels.CLASSES), -5.0)
    for slot, c in enumerate(classes):
        out[0, slot, c] = 5
    return out


def test_normalise_keeps_digits_and_capitals_only():
    assert labels.normalise("abc-12 3·ü") == "ABC123"


def test_fold_merges_what_the_matcher_merges():
    assert labels.fold("OQI01B8") == "00101B8"


def test_encode_and_greedy_are_inverse():
    codes = labels.encode("A1Z")
    read, score = labels.greedy(labels.softmax(logits_for([0, codes[0], 0, codes[1], codes[1], 0, codes[2]])))[0]
    assert read == "A1Z"
    assert score > 0.99


def test_a_blank_separates_equal_characters():
    a = labels.encode("A")[0]
    assert labels.greedy(labels.softmax(logits_for([a, a, 0, a])))[0][0] == "AA"
    assert labels.greedy(labels.softmax(logits_for([a, a, a])))[0][0] == "A"


def test_score_is_that_of_the_weakest_character():
    logits = logits_for(labels.encode("AB"))
    logits[0, 1, labels.encode("8")[0]] = 4.9
    assert labels.greedy(labels.softmax(logits))[0][1] == pytest.approx(0.52, abs=0.05)


def test_no_character_reads_as_nothing_with_no_confidence():
    assert labels.greedy(labels.softmax(logits_for([0, 0])))[0] == ("", 0.0)


def test_flat_targets_spread_the_characters_in_order():
    row = labels.flat_targets(["AB12"], 40)[0]
    seen = [c for i, c in enumerate(row) if c and (i == 0 or row[i - 1] != c)]
    assert seen == labels.encode("AB12")
    assert row[0] == labels.BLANK


def test_temperature_softens():
    logits = logits_for([1])
    assert labels.softmax(logits, 3.0).max() < labels.softmax(logits).max()


def test_wilson_holds_the_share_and_stays_within_bounds():
    low, high = labels.wilson(50, 50)
    assert 92 < low < 93 and high == pytest.approx(100)
    assert labels.wilson(0, 0) == (0.0, 100.0)
