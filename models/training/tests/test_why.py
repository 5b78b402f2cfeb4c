"""The ladder spoils as it says, and the head changes nothing of what a reader reads."""

import pathlib
import tomllib
import types

import numpy as np
import onnx
import pytest

from outrider_train import crops, ladder, photograph, why

PACKAGE = pathlib.Path(__file__).parents[2] / "plate-ocr-small"


@pytest.fixture(scope="module")
def reader() -> onnx.ModelProto:
    """The shipped reader without its head."""
    return why.without_head(onnx.load(PACKAGE / "model.onnx"))


def spoilt(cause: str, how: float, seed: int = 3) -> np.ndarray:
    """The same plate, spoilt so far; grey float [64, 160]."""
    rng, around = np.random.default_rng(seed), photograph.Surroundings(None)
    picture = ladder.spoilt(rng, around, cause, how)[0]
    return crops.to_input(picture).astype(np.float32)


def detail(image: np.ndarray) -> float:
    """Mean change from one pixel to the next."""
    return float(np.abs(np.diff(image, axis=1)).mean())


@pytest.mark.parametrize("cause", ["small", "blurred", "dark", "glare"])
def test_the_higher_the_rung_the_less_is_left_of_the_characters(cause):
    low, middle, high = (np.mean([detail(spoilt(cause, how, seed)) for seed in range(24)]) for how in (0.0, 0.5, 1.0))
    assert low > middle > high
    assert high < 0.7 * low


def test_what_covers_a_plate_hides_more_of_it_the_higher_the_rung():
    rng, around = np.random.default_rng(5), photograph.Surroundings(None)
    plain = np.zeros((60, 120, 3), np.float32)

    def hidden(how: float) -> float:
        return float(np.mean([(ladder.covered(plain, rng, how, around).sum(2) > 0).mean() for _ in range(30)]))

    assert hidden(0.0) < hidden(0.5) < hidden(1.0)


def test_every_cause_and_none_is_drawn_with_its_text():
    rng, around = np.random.default_rng(7), photograph.Surroundings(None)
    drawn = [ladder.rung(rng, around) for _ in range(60)]
    assert {cause for _, _, cause, _ in drawn} == set(ladder.CAUSES)
    assert all(text and image.dtype == np.uint8 and image.ndim == 3 for image, text, _, _ in drawn)


def some_head(features: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = [(why.HIDDEN, features), (why.HIDDEN,), (len(why.CLASSES), why.HIDDEN), (len(why.CLASSES),)]
    return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]


def test_a_reader_with_a_head_reads_the_same_to_the_bit(reader):
    x = np.random.default_rng(2).integers(0, 256, (5, 64, 160), np.uint8)
    logits, features = why.looked(reader, x)
    head = some_head(features.shape[1])
    model = why.put_in(onnx.ModelProto.FromString(reader.SerializeToString()), head)
    read, told = why.session(model).run(None, {"x": x[:, None].astype(np.float32) / 255})
    assert np.array_equal(read, logits)
    assert told.shape == (5, len(why.CLASSES))
    probabilities = np.exp(told) / np.exp(told).sum(1, keepdims=True)
    assert np.allclose(probabilities, why.said(head, features), atol=1e-4)
    # A second head takes the first one's place, and nothing of it is left.
    again = why.put_in(onnx.ModelProto.FromString(model.SerializeToString()), head)
    assert [o.name for o in again.graph.output] == ["y", why.OUTPUT]
    assert len(again.graph.node) == len(model.graph.node)
    assert len(why.without_head(again).graph.node) == len(reader.graph.node)


def test_what_is_no_reader_of_ours_is_refused():
    with pytest.raises(ValueError, match="it has no"):
        why.pools(onnx.GraphProto())


def test_the_head_learns_what_can_be_told_apart():
    rng = np.random.default_rng(4)
    target = rng.integers(0, 5, 600)
    features = (rng.normal(0, 0.3, (600, 8)) + np.eye(8)[target] * 2).astype(np.float32)
    head = why.train(types.SimpleNamespace(features=features, target=target), epochs=60)
    counts = why.table(why.said(head, features), target)
    assert counts["unread_and_cause_said"] > 0.95 * counts["unread"]
    assert counts["right_of_those"] > 0.95 * counts["unread_and_cause_said"]
    assert counts["read_and_cause_said"] < 0.05 * counts["read"]


def test_a_package_says_that_it_has_a_head_once_however_often_it_is_given_one():
    text = (PACKAGE / "model.toml").read_text()
    once = why.described(text, "a" * 64, "9.9.9", "first")
    twice = why.described(once, "b" * 64, "9.9.10", "second")
    for written, sha, version, about in ((once, "a" * 64, "9.9.9", "first"), (twice, "b" * 64, "9.9.10", "second")):
        read = tomllib.loads(written)
        assert (read["sha256"], read["version"], read["provenance"]["legibility"]) == (sha, version, about)
        assert read["legibility"] == {"output": why.OUTPUT, "classes": list(why.CLASSES), "temperature": 1.0}
        before = tomllib.loads(text)
        assert (read["ocr"], read["input"]) == (before["ocr"], before["input"])
    assert len(once.splitlines()) == len(twice.splitlines())
