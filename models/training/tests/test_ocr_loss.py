import pytest

torch = pytest.importorskip("torch")

from outrider_train import labels  # noqa: E402
from outrider_train.ocr_net import ROW, SLOTS, WHOLE  # noqa: E402
from outrider_train.ocr_train import loss_of  # noqa: E402


def said(texts: dict[int, str]) -> torch.Tensor:
    """Logits [1, 80, 37] that say these texts from these slots on, a blank after each character, and blank elsewhere."""
    y = torch.full((1, SLOTS, labels.CLASSES), -8.0)
    y[..., labels.BLANK] = 8.0
    for begin, text in texts.items():
        for i, code in enumerate(labels.encode(text)):
            y[0, begin + 2 * i, code], y[0, begin + 2 * i, labels.BLANK] = 8.0, -8.0
    return y


def test_rows_belong_into_their_own_slots():
    upper, lower = WHOLE, WHOLE + ROW
    right = loss_of(said({upper: "AB", lower: "123"}), ["AB/123"], 0)
    assert right < 0.01
    for wrong in ({0: "AB123"}, {upper: "AB123"}, {upper: "123", lower: "AB"}, {0: "AB", upper: "AB", lower: "123"}):
        assert loss_of(said(wrong), ["AB/123"], 0) > 0.5, wrong


def test_text_whose_rows_are_unknown_may_stand_in_either():
    for slots in ({0: "AB123"}, {WHOLE: "AB", WHOLE + ROW: "123"}):
        assert loss_of(said(slots), ["AB123"], 0) < 0.01, slots


def test_start_of_two_rows_teaches_them_alone():
    y = said({0: "AB123"})
    one, two = (loss_of(y, [text], 0, rows) for text, rows in (("AB123", 1), ("AB/123", 1)))
    assert one < 0.01 and two > 1
