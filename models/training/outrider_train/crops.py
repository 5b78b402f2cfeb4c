"""Real plates: labelled folders, their texts, crops around boxes."""

import dataclasses
import json
import pathlib

import cv2
import numpy as np

from . import labels
from .ocr_net import HEIGHT, WIDTH


@dataclasses.dataclass
class Picture:
    """One line of labels.jsonl. `boxes` are [x, y, w, h] in pixels, `texts` run beside them (None = not known)."""

    path: pathlib.Path
    boxes: list[list[float]]
    texts: list[str | None]

    def load(self) -> np.ndarray:
        """The picture, uint8 BGR."""
        image = cv2.imread(str(self.path))
        if image is None:
            raise FileNotFoundError(self.path)
        return image


def pictures(folder: pathlib.Path, prefix: str = "") -> list[Picture]:
    """Every picture that `folder`/labels.jsonl lists, in its order; `prefix` selects by file name."""
    out = []
    for line in (folder / "labels.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["file"].startswith(prefix):
            out.append(Picture(folder / item["file"], item["boxes"], item["text"]))
    return out


def more_texts(found: list[Picture]) -> list[Picture]:
    """The pictures with the texts of extra_texts.jsonl: plates of the pack that we read by eye afterwards."""
    by_name = {p.path.name: p for p in found}
    for line in (pathlib.Path(__file__).parent / "extra_texts.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["file"] in by_name:
            by_name[item["file"]].texts[item["box"]] = item["text"]
    return found


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


def true_crops(folder: pathlib.Path, prefix: str = "", margin: float = 0.03, jitter: np.random.Generator | None = None):
    """Labelled crops of a folder: (uint8 [n, 64, 160], texts). `jitter` moves each side by -2..+10 %."""
    images, texts = [], []
    for picture in pictures(folder, prefix):
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
    return np.stack(images), texts
