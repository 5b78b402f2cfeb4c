import pytest

torch = pytest.importorskip("torch")

from outrider_train.blend import blended, mean  # noqa: E402


def test_a_blend_lies_between_start_and_end_and_keeps_the_ends_counters():
    start = {"w": torch.tensor([0.0, 10.0]), "batches": torch.tensor(3)}
    end = {"w": torch.tensor([1.0, 20.0]), "batches": torch.tensor(7)}
    blended = mean(start, end, 0.25)
    assert blended["w"].tolist() == [0.25, 12.5]
    assert blended["batches"].item() == 7
    assert mean(start, end, 0)["w"].tolist() == [0.0, 10.0]
    assert mean(start, end, 1)["w"].tolist() == [1.0, 20.0]


def test_what_a_training_held_out_stays_held_out_in_its_blend():
    weights = {"a": torch.zeros(2)}
    out = blended(weights, {"average": {"a": torch.ones(2)}, "step": 7, "held": ["caltech"]}, 0.25)
    assert out["held"] == ["caltech"] and out["step"] == 7 and out["average"]["a"].tolist() == [0.25, 0.25]
