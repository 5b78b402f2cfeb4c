"""Real plates: labelled folders, their texts, crops around boxes."""

import json
import pathlib

import cv2
import numpy as np

from . import labels
from .ocr_net import HEIGHT, WIDTH
from .sources import Picture, Use, pictures


def add_afterwards(found: list[Picture], file: str, key: str, field: str) -> list[Picture]:
    """The pictures with the boxes' `field` that `file`, beside this one, has under `key`: what we saw by eye afterwards."""
    by_name = {p.path.name: p for p in found}
    for line in (pathlib.Path(__file__).parent / file).read_text().splitlines():
        item = json.loads(line)
        if item["file"] in by_name:
            getattr(by_name[item["file"]], field)[item["box"]] = item[key]
    return found


def more_texts(found: list[Picture]) -> list[Picture]:
    """The pictures with the texts of extra_texts.jsonl: plates of the pack that nobody had transcribed."""
    return add_afterwards(found, "extra_texts.jsonl", "text", "texts")


def cut(image: np.ndarray, box, margins=(0.03,) * 4) -> np.ndarray:
    """Crop of [x, y, w, h] with margins (left, top, right, bottom) as fractions of the box, clipped to the picture."""
    x, y, w, h = box
    left, top, right, bottom = margins
    x0, x1 = round(x - left * w), round(x + w + right * w)
    y0, y1 = round(y - top * h), round(y + h + bottom * h)
    rows, columns = image.shape[:2]
    x0, y0 = min(max(0, x0), columns - 2), min(max(0, y0), rows - 2)
    return image[y0 : max(y0 + 2, y1), x0 : max(x0 + 2, x1)]


def to_input(crop: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """BGR or grey crop -> uint8 [64, 160] as the reader takes it."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) if crop.ndim == 3 else crop
    return cv2.resize(grey, (WIDTH, HEIGHT), interpolation=interpolation)


def true_crops(
    folder: pathlib.Path,
    use: Use,
    prefix: str = "",
    margin: float = 0.03,
    jitter: np.random.Generator | None = None,
    held: frozenset[str] = frozenset(),
):
    """Labelled crops of a folder: (uint8 [n, 64, 160], texts). `jitter` moves each side by -2..+10 %."""
    images, texts = [], []
    for picture in pictures(folder, use, prefix, held):
        if not any(picture.texts):
            continue
        image = picture.load()
        for box, text in zip(picture.boxes, picture.texts, strict=True):
            if not text or not labels.normalise(text):
                continue
            if prefix.startswith("seg"):  # the picture is the crop
                margins = (0,) * 4 if jitter is None else -jitter.uniform(0, 0.03, 4)
            else:
                margins = (margin,) * 4 if jitter is None else jitter.uniform(-0.02, 0.10, 4)
            images.append(to_input(cut(image, box, margins)))
            texts.append(labels.normalise(text))
    return np.stack(images) if images else np.zeros((0, HEIGHT, WIDTH), np.uint8), texts
