import json

import numpy as np
import pytest

from outrider_train import ballot, passes, passes_table, passes_vote, typefaces
from outrider_train.flats import Places


@pytest.mark.parametrize(("kmh", "frames"), [(0, (30, 30)), (50, (18, 30)), (225, (3, 7))])
def test_plate_grows_from_where_it_votes(kmh, frames):
    for seed in range(20):
        widths = passes.widths(kmh, 0.305, np.random.default_rng(seed))
        assert frames[0] <= len(widths) <= frames[1]
        assert min(widths) >= passes.NARROWEST
        assert widths == sorted(widths)


def test_pass_is_a_strip_of_frames_with_a_box_in_each():
    rng = np.random.default_rng(2)
    plate = passes.flat(typefaces.Typeface(rng, strokes=1.0), rng)
    strip, frames = passes.one_pass(plate, 100, rng, Places())
    tops = [f["box"][1] for f in frames]
    assert tops == sorted(tops) and tops[-1] + frames[-1]["box"][3] <= strip.shape[0] + 12
    assert [f["ms"] for f in frames[:3]] == [0, 33, 67]
    assert all(f["box"][2] == f["seen"][2] for f in frames)


def passed(text, said, reads):
    votes = [{"fps": fps, "how": "now", "gate": gate, "reads": reads} for fps in (30, 15) for gate in (0.95, 0.8)]
    return {"text": text, "said": said, "votes": votes}


def test_correlation_is_one_where_all_frames_err_together_and_none_where_by_chance():
    together = [passed("AB1", [("AB1", 0.9)] * 4, []), passed("AB1", [("AL1", 0.95)] * 4, [])] * 5
    assert passes_table.alike(together)[2:5] == ["1.00", "1.00", "-"]
    assert passes_table.alike(together)[-1] == "100 % of 20"
    rng = np.random.default_rng(1)
    chance = [passed("AB1", [("AB1" if rng.random() < 0.5 else "XY1", 0.5) for _ in range(12)], []) for _ in range(200)]
    assert abs(float(passes_table.alike(chance)[2])) < 0.05


def test_pass_that_is_revised_is_both_read_and_misread():
    one = passed("4AB1", [], [("LAB1", 0.96, False), ("4AB1", 0.99, True)])
    assert passes_table.outcome(one, 30, "now", 0.95) == (True, True, 0.96, False)
    assert passes_table.outcome(passed("4AB1", [], []), 15, "now", 0.95) == (False, False, 0.0, False)


def test_tables_fold_what_lists_do_not_tell_apart(tmp_path):
    line = {"file": "a.png", "text": "O1Q", "group": "reported", "face": "anton", "kmh": 50, "frames": []}
    (tmp_path / "passes.jsonl").write_text(json.dumps(line) + "\n")
    vote = passed("", [], [("0I0", 0.97, False)])["votes"]
    (tmp_path / "votes.jsonl").write_text(json.dumps({"file": "a.png", "frames": [["0I0", 0.9]], "votes": vote}) + "\n")
    told = passes_table.tables(tmp_path, [tmp_path / "votes.jsonl"])
    assert "| reported | now | 30 | 1 | 100.0 (20.7-100.0) | 0.0" in told


def slots(text, p):
    """What a reader says that is sure of each character by `p`."""
    out = np.full((len(text), 36), (1 - p) / 35)
    out[range(len(text)), [ballot.SYMBOLS.index(c) for c in text]] = p
    return list(out)


def test_alike_frames_are_worth_less_than_different_ones_and_never_more_than_what_they_share_allows():
    def weakest(change, frames):
        vote = ballot.Ballot(0.6)
        for n in range(frames):
            vote.add(slots("CKSV841", 0.9), 0.5, change)
        return vote.looks(), vote.count()[1]

    (few, alike), (more, different) = weakest(0.05, 6), weakest(1.0, 6)
    assert few < more < 1 / 0.6 and alike < different
    assert weakest(5.0, 400)[0] < 1 / 0.6 + 1e-6


def test_first_read_is_that_of_the_frame_that_made_the_vote_sure():
    frames = [{"ms": 33 * n, "seen": [600 - 9 * n, 300, 60 + 6 * n, 30]} for n in range(8)]
    one = {"frames": frames, "slots": [slots("CKSV841", 0.99)] * 8}
    first = passes_vote.votes(one, (0.6, 80, 1))[0]
    assert (first["fps"], first["gate"], first["reads"][0][0]) == (30, 0.95, "CKSV841")
    assert [c[3] for c in passes_vote.counts(one, (0.6, 80, 1), 2)] == [1, 2, 3, 4]
