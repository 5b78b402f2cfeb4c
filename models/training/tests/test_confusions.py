import json
import tomllib

import numpy as np
import pytest

from outrider_train import confusions
from outrider_train.confusions import aligned, counted, losses


def test_characters_are_laid_beside_each_other_by_the_fewest_edits():
    assert aligned("4ABC", "LABC")[0] == ("4", "L")
    assert aligned("ABC", "AC") == [("A", "A"), ("B", ""), ("C", "C")]
    assert aligned("AC", "ABC") == [("A", "A"), ("", "B"), ("C", "C")]
    assert aligned("", "") == []


def test_counts_run_in_and_out_of_a_pair():
    assert counted("4L", ["4L4", "L"], ["LL4", "4"]) == {"4": 2, "4 as L": 1, "L": 2, "L as 4": 1}


def counts(n, wrong):
    return {
        "4L": {kind: {"4": n, "4 as L": w, "L": n, "L as 4": 0} for kind, w in zip(("rendered", "real"), wrong, strict=True)}
    }


def test_a_release_that_confuses_more_real_characters_is_refused():
    assert losses(counts(100, (2, 3)), counts(100, (2, 4))) == ["4/L, real: 4 confused, 3 before"]
    assert losses(counts(100, (2, 3)), counts(100, (5, 3))) == ["4/L, rendered: 5 confused, 2 before"]
    assert losses(counts(100, (2, 3)), counts(100, (4, 1))) == []


def test_counts_of_other_characters_compare_with_nothing():
    assert losses(counts(100, (2, 3)), counts(90, (0, 0))) == [
        f"4/L, {kind}: not counted on the same characters" for kind in ("rendered", "real")
    ]
    assert len(losses(counts(100, (0, 0)), {})) == 2


@pytest.mark.parametrize("pair", ["4L", "VY"])
def test_the_rendered_plates_of_a_pair_are_the_same_every_time(pair):
    (a, texts), (b, again) = (confusions.rendered(pair, 1) for _ in range(2))
    assert texts == again and (a == b).all()
    assert {c for t in texts for c in t} <= set(pair)
    assert a.dtype == np.uint8 and a.shape[1:] == (64, 160)


def test_the_released_counts_are_of_the_released_reader():
    kept = json.loads(confusions.KEPT.read_text())
    package = tomllib.loads((confusions.KEPT.parent / "plate-ocr-small/model.toml").read_text())
    assert kept["reader"] == package["sha256"], "count again: make confusions, then copy WORK/confusions.json to models/"
    assert set(kept["pairs"]) == set(confusions.PAIRS)
    assert all(set(kinds) == {"rendered", "real"} for kinds in kept["pairs"].values())
