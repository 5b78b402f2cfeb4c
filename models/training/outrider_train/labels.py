"""Texts and label code: the alphabet, folding of look-alikes, CTC encoding and decoding."""

import numpy as np

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BLANK = 0
BREAK = "/"
"""Between the two rows of a text whose rows are known; on no plate, and never read."""
CLASSES = len(ALPHABET) + 1
_INDEX = {c: i + 1 for i, c in enumerate(ALPHABET)}
_FOLD = str.maketrans("OQI", "001")


def normalise(text: str) -> str:
    """Upper case with everything outside 0-9A-Z dropped: what a plate's text is to us."""
    return "".join(c for c in text.upper() if c in _INDEX)


def fold(text: str) -> str:
    """O and Q become 0, I becomes 1: how the matcher compares, and how we score first."""
    return text.translate(_FOLD)


def encode(text: str) -> list[int]:
    """Class indices of a normalised text; 0 is the CTC blank and never used here."""
    return [_INDEX[c] for c in text]


def flat_targets(texts: list[str], slots: int, margin: float = 0.09) -> np.ndarray:
    """Frame-wise classes for the flat start, int64 [n, slots].

    Characters are spread evenly over the crop less `margin` on either side, blanks between them. Wrong in
    detail, but a few hundred steps of it take CTC over the plateau where everything is blank.
    """
    out = np.zeros((len(texts), slots), np.int64)
    where = ((np.arange(slots) + 0.5) / slots - margin) / (1 - 2 * margin)
    for row, text in zip(out, texts, strict=True):
        place = where * len(text)
        index = np.floor(place).astype(int)
        inside = (index >= 0) & (index < len(text)) & (np.abs(place - index - 0.5) < 0.35)
        codes = encode(text)
        row[inside] = [codes[i] for i in index[inside]]
    return out


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax over the last axis."""
    z = logits / temperature
    z = np.exp(z - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True)


def greedy(probabilities: np.ndarray) -> list[tuple[str, float]]:
    """Best path of each [slots, classes] row: (text, probability of the weakest character).

    A character that stays for several slots counts with its best slot.
    """
    out = []
    for row in probabilities:
        text, scores, last = "", [], BLANK
        for best, p in zip(row.argmax(-1), row.max(-1), strict=True):
            if best != BLANK:
                if best == last:
                    scores[-1] = max(scores[-1], float(p))
                else:
                    text += ALPHABET[best - 1]
                    scores.append(float(p))
            last = best
        out.append((text, min(scores, default=0.0)))
    return out


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson interval of a proportion, in percent."""
    if n == 0:
        return 0.0, 100.0
    p = right / n
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 100 / (1 + z * z / n)
    return max(0.0, float((centre - half) * scale)), float((centre + half) * scale)
