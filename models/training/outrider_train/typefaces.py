"""Glyph masks for plates: open fonts fetched by `make fonts`, and a stroke face of our own.

A glyph is uint8 [about 96, w], 255 inside. Fonts are looked for under FONTS/deb (fonts-roadgeek, fonts-opendin) and
FONTS/npm (the @fontsource packages of fonts/package.json); without any, the stroke face does everything.
"""

import functools
import os
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .dies import Die
from .strokes import MAIN, OTHER

TALL = 96
ICONS = (
    "f6f0 f7ab f520 f4ba f52e f700 f717 f578 e4f2 f6c8 f6be f6d3 f6d5 f6ed f535 f1b0 f188 e52b e520 e448 f52d f56b "
    "f193 e2ce f84a f6ec f7c9 f7ce f5c4 f70c f21c f0d1 f63c f722 f5e4 f207 f7e4 f1bb f06c f4d8 e139 e2cd f6fc e52f "
    "f185 f2dc f773 f5ca f13d f21a e445 f072 e22d f0fb f533 f135 f005 f621 f699 f654 f521 f132 f3ed e574 f5a2 f559 "
    "f4d6 f004 f4be f67c f644 f54c f714 f6e2 f7a6 f001 f569 f518 f19d f549 f66f f752 f19c f51d f450 f432 f44e f434 "
    "f45f f436 f8c0 f8c1 f024 f74d f0ac f57d f14e f655 f013 f0e7 f0f3 f508 f183 e59d f501 e533 f2b5 f6de f5d1 f094 "
    "f787 f810 f7b6 f030 f084 f0e3 f24e f0f1 e579 f5c9 f5d7 f44b f0c3 f5d2 f3a5 f0eb f0ad f6e3 f7d9 f134 f0f9 e3af "
    "e57d f6bb f8ff e599 e4d0 e5aa f5a6 e4c8 f557 f75e f747 f06e f577 "
).split()
"""Code points of those of Font Awesome's solid pictograms that stand on plates: horses, birds, trees, wheelchairs, crests."""
_folder = pathlib.Path(os.environ.get("OUTRIDER_FONTS", "work/fonts"))


@functools.cache
def fonts() -> list[str]:
    """Font files in a fixed order; plate-like ones first."""
    road = sorted(_folder.glob("deb/usr/share/fonts/truetype/*/*.ttf"))
    web = sorted(_folder.glob("npm/node_modules/@fontsource/*/files/*-latin-[4567]00-normal.woff"))
    return [str(f) for f in [*road, *web]]


@functools.cache
def road_fonts() -> int:
    """How many at the start of fonts() are road and plate faces."""
    return sum("fontsource" not in f for f in fonts())


@functools.cache
def icons() -> pathlib.Path | None:
    """The pictogram font, if it was fetched."""
    path = _folder / "npm/node_modules/@fortawesome/fontawesome-free/webfonts/fa-solid-900.woff2"
    return path if path.exists() else None


@functools.lru_cache(1_000)
def icon(number: int) -> np.ndarray:
    """Mask of the pictogram ICONS[number]; only where icons() is."""
    character, face = chr(int(ICONS[number], 16)), ImageFont.truetype(str(icons()), 96)
    x0, y0, x1, y1 = face.getbbox(character)
    image = Image.new("L", (int(x1 - x0) + 4, int(y1 - y0) + 4))
    ImageDraw.Draw(image).text((2 - x0, 2 - y0), character, font=face, fill=255)
    return trim(np.array(image))


def trim(mask: np.ndarray) -> np.ndarray:
    """Cut a mask to what is inked."""
    ys, xs = np.where(mask > 40)
    return mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


@functools.lru_cache(20_000)
def font_glyph(font: int, character: str) -> np.ndarray:
    """A character of fonts()[font], scaled to the full height."""
    face = ImageFont.truetype(fonts()[font], 120)
    x0, y0, x1, y1 = face.getbbox(character)
    image = Image.new("L", (int(x1 - x0) + 8, int(y1 - y0) + 8))
    ImageDraw.Draw(image).text((4 - x0, 4 - y0), character, font=face, fill=255)
    mask = trim(np.array(image))
    return cv2.resize(mask, (max(4, int(mask.shape[1] * TALL / mask.shape[0])), TALL), interpolation=cv2.INTER_AREA)


def _polylines(drawing: str) -> list[np.ndarray]:
    return [np.array([p.split(":") for p in line.split(",")], np.float32) for line in drawing.split(" ")]


def _round_corners(line: np.ndarray, times: int) -> np.ndarray:
    """Chaikin's corner cutting, at most 0.6 of the grid from a corner; closed lines stay closed, open ones keep their ends."""
    for _ in range(times):
        closed = np.allclose(line[0], line[-1])
        part = line[1:] - line[:-1]
        step = part * np.minimum(0.25, 0.6 / np.linalg.norm(part, axis=1, keepdims=True))
        cut = np.stack([line[:-1] + step, line[1:] - step], 1).reshape(-1, 2)
        line = np.vstack([cut, cut[:1]]) if closed else np.vstack([line[:1], cut[1:-1], line[-1:]])
    return line


@functools.lru_cache(30_000)
def stroke_glyph(character: str, other: int, rounding: int, thick: int, aspect: float) -> np.ndarray:
    """A character of the stroke face: drawing `other` (-1 = the main one), stroke width, width by height."""
    drawing = OTHER[character][other] if other >= 0 else MAIN[character]
    width = max(thick + 4, int(TALL * aspect))
    width = int(width * {"M": 1.15, "W": 1.15}.get(character, 0.6 if character in "I1" and aspect < 0.62 else 1))
    mask = np.zeros((TALL + 4, width + 4), np.uint8)
    for line in _polylines(drawing):
        points = _round_corners(line, rounding) * [(width - thick) / 4, (TALL - thick) / 6] + [thick / 2 + 2] * 2
        cv2.polylines(mask, [np.round(points * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    return trim(mask)


class Typeface:
    """One way of writing all 36 characters, drawn at random.

    The stroke face chooses between drawings per character. Zero and O differ where the dies differ (narrow zero,
    slashed zero), and are alike where they are alike on real plates. I comes with and without serifs. With a
    `family`, everything is stamped with one of its dies.
    """

    def __init__(self, rng: np.random.Generator, strokes: float = 0.5, road: float = 0.2, family: str | None = None):
        self.die = Die(family, rng) if family else None
        self.stroke = not fonts() or rng.random() < strokes
        self.other = {c: int(rng.integers(-1, len(v))) for c, v in OTHER.items()}
        if rng.random() < 0.85:
            self.other["0"] = -1
        for character in "7ZYQU":
            if rng.random() < 0.8:
                self.other[character] = -1
        if rng.random() < 0.75:  # a die with ticks at the ends of its arms has them on every letter
            self.other.update(dict.fromkeys("EFLT", -1))
        if self.other["1"] == 0 and self.other["I"] < 0:  # a bare bar for both would be two names for one picture
            self.other["I"] = 0
        aspect = float(rng.choice([0.38, 0.42, 0.46, 0.5, 0.54, 0.58, 0.62, 0.68]))
        thick = min(int(rng.integers(8, 20)), int(0.34 * aspect * TALL))  # thicker, and the holes of 8 and B close
        self.shape = (int(rng.integers(0, 3)), thick, aspect)
        self.wide_o = rng.random() < 0.3
        if not self.stroke:
            first = int(rng.integers(road_fonts())) if rng.random() < road and road_fonts() else int(rng.integers(len(fonts())))
            self.font = first
        self.serif_i = not self.stroke and rng.random() < 0.35
        self.serif_one = not self.stroke and rng.random() < 0.15
        self.stretch = float(rng.uniform(0.8, 1.12))
        self.weight = int(rng.integers(-1, 3)) if not self.stroke and rng.random() < 0.5 else 0
        if self.die:
            self.stretch, self.weight = float(rng.uniform(0.92, 1.08)), 0

    def glyph(self, character: str) -> np.ndarray:
        """Mask of a character, full height."""
        if self.die:
            return self.die.glyph(character)
        if not self.stroke and not (character == "I" and self.serif_i) and not (character == "1" and self.serif_one):
            return font_glyph(self.font, character)
        rounding, thick, aspect = self.shape
        if not self.stroke:
            return stroke_glyph(character, 1 if character == "I" else 2, min(rounding, 1), min(thick, 15), 0.5)
        if character == "O" and self.wide_o:
            aspect *= 1.15
        return stroke_glyph(character, self.other.get(character, -1), rounding, thick, round(aspect, 3))

    def ink(self, character: str, height: int, width: int | None = None) -> np.ndarray:
        """The glyph at a size in pixels, thickened or thinned as this face is."""
        mask = self.glyph(character)
        if width is None:
            width = max(3, round(mask.shape[1] * height / mask.shape[0] * self.stretch))
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if mask.shape[0] > height else cv2.INTER_LINEAR)
        if self.weight > 0:
            mask = cv2.dilate(mask, np.ones((self.weight + 1,) * 2, np.uint8))
        elif self.weight < 0:
            mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
        return mask


@functools.lru_cache(4_000)
def _line(text: str, font: int) -> np.ndarray:
    if not fonts():
        (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1, 2)
        mask = np.zeros((h + base + 4, w + 4), np.uint8)
        cv2.putText(mask, text, (2, h + 2), cv2.FONT_HERSHEY_DUPLEX, 1, 255, 2, cv2.LINE_AA)
        return mask
    face = ImageFont.truetype(fonts()[font], 36)
    x0, y0, x1, y1 = face.getbbox(text)
    image = Image.new("L", (int(x1 - x0) + 4, int(y1 - y0) + 4))
    ImageDraw.Draw(image).text((2 - x0, 2 - y0), text, font=face, fill=255)
    return np.array(image)


def line(text: str, rng: np.random.Generator, height: float, most: float) -> np.ndarray:
    """A line of small print as a mask `height` tall, at most `most` wide, in one of a few fonts."""
    font = int(rng.integers(12)) * 7 % len(fonts()) if fonts() else 0
    mask = _line(text, font)
    width = min(most, max(3, mask.shape[1] * height / mask.shape[0] * rng.uniform(0.8, 1.3)))
    return cv2.resize(mask, (max(2, int(width)), max(3, int(height))), interpolation=cv2.INTER_AREA)
