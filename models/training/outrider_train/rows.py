"""Plates of two rows, as motorcycles, lorries, old cars and much of Asia carry them, and motorcycle plates of one.

The reading order is that of lists: the upper row from left to right, then the lower one, nothing between them. A plate's
name, slogan and stickers belong to no row. The reader sees both rows in each of its slots (its convolutions take the whole
height to 1), so that the order is its transformer layers' to learn.
"""

import cv2
import numpy as np

from . import formats, graphics, labels, paint, typefaces
from .plates import TALL, Plate, contrast, europe, style, worn, write

KINDS = {"europe": 0.4, "america": 0.35, "brazil": 0.1, "uneven": 0.15}
"""Shares of what is drawn: Europe's two rows, North America's motorcycles, Brazil's, and rows of unlike height."""


def split(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """The two rows of a text: at its last gap if it has one, else after two or three characters."""
    head, _, tail = text.replace("-", " ").rpartition(" ")
    if head:
        return head, tail
    at = int(rng.integers(2, 4))
    return tail[:at], tail[at:] or "1"


def ground(rng: np.random.Generator, aspect: float, back) -> tuple[np.ndarray, np.ndarray]:
    """An empty plate and an ink that shows on it."""
    image = np.full((TALL, int(TALL * aspect), 3), np.clip(back, 0, 255), np.float32)
    return image, contrast(rng, float(image.mean()))


def set_rows(image, rows, edges, shares, how, rng) -> list[list[float]]:
    """Write `rows` between `edges` (left, right), each in its share (top, bottom) of the height."""
    boxes = []
    for text, (top, bottom) in zip(rows, shares, strict=True):
        tall = TALL * (bottom - top) * rng.uniform(0.8, 0.95)
        boxes += write(image, text, *edges, TALL * (top + bottom) / 2, tall, how, rng)
    return boxes


def american(rng: np.random.Generator) -> Plate:
    """A motorcycle plate of the United States or Canada, 7 by 4 inches: a row with the name above, or two rows."""
    place = formats.choose(formats.CANADA if rng.random() < 0.35 else formats.STATES, rng)
    text = formats.fill(str(rng.choice(place.patterns)), rng, formats.RARE)
    if rng.random() < 0.4:  # many have fewer characters than cars do
        text = formats.fill(str(rng.choice(["ddaaa", "aaddd", "dadddd", "adddd", "ddddd", "aad dd", "d aaa"])), rng)
    image, ink = ground(rng, rng.uniform(1.5, 1.9), place.back or rng.uniform(150, 255, 3))
    width = image.shape[1]
    if rng.random() < 0.3:
        graphics.scene(image, rng)
        ink = contrast(rng, float(image.mean()))
    top = 0.04
    if place.top and rng.random() < 0.8:
        mask = typefaces.line(place.top, rng, TALL * rng.uniform(0.12, 0.2), width * 0.85)
        paint.blend(image, mask, width / 2 - mask.shape[1] / 2, TALL * 0.03, ink, rng.uniform(0.6, 1))
        top = 0.24
    how = style(rng, ink, 0.6, rng.uniform(0, 0.4) if rng.random() < 0.5 else 0, 1, place.code)
    edges, lines = (width * 0.05, width * 0.95), 1 if rng.random() < 0.45 else 2
    if lines == 1:
        rows, shares = (text,), [(top, rng.uniform(0.8, 0.95))]
    else:
        rows, middle = split(text, rng), (top + 0.97) / 2
        shares = [(top, middle), (middle, 0.97)]
    boxes = set_rows(image, rows, edges, shares, how, rng)
    if lines == 1:
        graphics.stickers(image, rng)
    return Plate(image, labels.normalise("".join(rows)), place.code, np.array(boxes), lines, how.characters)


def brazilian(rng: np.random.Generator) -> Plate:
    """A Brazilian motorcycle's plate, 200 by 170 mm: three characters above four, Mercosul under its blue band."""
    mercosul = rng.random() < 0.6
    text = formats.fill("llldldd" if mercosul else "llldddd", rng)
    back = rng.uniform(225, 255, 3) if mercosul else np.full(3, rng.uniform(140, 215))
    image, ink = ground(rng, rng.uniform(1.1, 1.25), back)
    if mercosul:
        image[: int(TALL * 0.15)] = (140, 40, 10)
    how = style(rng, ink, 0.25, rng.uniform(0, 0.3), place="BR" if mercosul else "")
    edges = (image.shape[1] * 0.04, image.shape[1] * 0.96)
    boxes = set_rows(image, (text[:3], text[3:]), edges, [(0.17, 0.56), (0.57, 0.97)], how, rng)
    return Plate(image, text, "BR", np.array(boxes), 2, how.characters)


def uneven(rng: np.random.Generator) -> Plate:
    """Two rows of which the upper one is lower and often shorter, as on plates of East and South-East Asia."""
    upper, lower = ("dd", "dadd", "dda", "aa", "ada", "ddad", "d"), ("dddd", "ddd", "ddddd", "dd dd", "ddd dd", "a dddd")
    rows = formats.fill(str(rng.choice(upper)), rng), formats.fill(str(rng.choice(lower)), rng)
    back = rng.uniform(200, 255, 3) if rng.random() < 0.6 else np.array([30, 190, 235]) + rng.normal(0, 15, 3)
    if rng.random() < 0.2:
        back = rng.uniform(10, 110, 3)
    image, ink = ground(rng, rng.uniform(1.15, 2.0), back)
    how, middle = style(rng, ink, 0.35, rng.uniform(0, 0.4)), rng.uniform(0.34, 0.46)
    edges = (image.shape[1] * 0.05, image.shape[1] * 0.95)
    boxes = set_rows(image, rows, edges, [(0.05, middle), (middle, 0.96)], how, rng)
    if rng.random() < 0.5:
        cv2.rectangle(image, (1, 1), (image.shape[1] - 3, TALL - 3), paint.colour(ink), int(rng.integers(1, 3)))
    return Plate(image, labels.normalise("".join(rows)), "", np.array(boxes), 2, how.characters)


def draw(rng: np.random.Generator) -> Plate:
    """One of KINDS, without wear."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "europe":
        places = formats.EUROPE if rng.random() < 0.7 else formats.STATES + formats.CANADA
        return europe(rng, formats.choose(places, rng), two=True)
    return {"america": american, "brazil": brazilian, "uneven": uneven}[kind](rng)


def render_rows(rng: np.random.Generator) -> Plate:
    """A plate of two rows, or a motorcycle's, of which every character can be seen."""
    return worn(lambda: draw(rng), rng)
