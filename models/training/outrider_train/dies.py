"""Typefaces as they are stamped: families of dies, drawn anew with every die's own proportions, weights and inaccuracies.

A family's shapes are in die_shapes.py. What varies between the dies of one family is drawn at random: which of a character's
forms it has, how wide and heavy it is, how thin its horizontals are against its uprights, how round, whether ends carry serifs.
"""

import dataclasses

import cv2
import numpy as np

from . import die_shapes
from .strokes import MAIN

TALL = 96
FINE = 2
"""Drawn so many times larger than wanted, then shrunk."""


@dataclasses.dataclass(frozen=True)
class Family:
    """What its dies have in common; pairs are ranges. Sizes in shares of the character's height."""

    shapes: dict[str, str]
    aspect: tuple[float, float]
    weight: tuple[float, float]
    horizontal: tuple[float, float] = (0.75, 1.0)
    serif: tuple[float, float] = (0.0, 0.0)
    cell: float = 0.6
    """How often every character has the same room, as most dies have; otherwise I and 1 stand closer."""
    i_width: tuple[float, float] = (0.55, 0.85)
    """Width of an I with serifs against other letters'."""
    wide: tuple[float, float] = (1.0, 1.2)
    """Width of M and W against other letters'."""


FAMILIES = {
    "california": Family(die_shapes.CALIFORNIA, (0.40, 0.56), (0.075, 0.14), (0.6, 1.0), i_width=(0.6, 0.95)),
    "roman": Family(die_shapes.ROMAN, (0.44, 0.60), (0.11, 0.165), (0.5, 0.85), (0.12, 0.28), wide=(1.1, 1.4)),
    "block": Family(die_shapes.BLOCK, (0.38, 0.60), (0.09, 0.17)),
    "canada": Family(die_shapes.CANADA, (0.42, 0.60), (0.09, 0.155)),
    "fe": Family(die_shapes.FE, (0.52, 0.68), (0.12, 0.165), (0.85, 1.0), cell=0.9, i_width=(0.35, 0.6)),
    "wright": Family(die_shapes.WRIGHT, (0.54, 0.70), (0.14, 0.19), (0.85, 1.0), cell=0.3),
    "nordic": Family(die_shapes.NORDIC, (0.46, 0.60), (0.10, 0.14), (0.85, 1.0)),
}

OF_PLACE = {
    "US-CA": (("california", 0.9), ("block", 0.1)),
    "US-VA": (("roman", 0.75), ("block", 0.25)),
    "US-MD": (("block", 0.65), ("roman", 0.35)),
    "DE": (("fe", 1.0),),
    "GB": (("wright", 1.0),),
    "IE": (("wright", 1.0),),
    "SE": (("nordic", 1.0),),
    "NO": (("nordic", 1.0),),
    "DK": (("nordic", 1.0),),
    "FI": (("nordic", 1.0),),
    "BR": (("fe", 1.0),),
}
"""Which dies a jurisdiction's plates are stamped with, and how often."""
OF_REGION = {
    "US": (("block", 0.55), ("california", 0.3), ("roman", 0.15)),
    "CA": (("canada", 0.7), ("block", 0.3)),
}
"""The same for those that OF_PLACE does not name; elsewhere the stroke face and fonts do."""


def family_of(place: str, rng: np.random.Generator) -> str | None:
    """A family that plates of `place` (US-CA, GB) are stamped with, or None where none is drawn."""
    of = OF_PLACE.get(place) or OF_REGION.get(place.partition("-")[0])
    if of is None:
        return None
    names, weights = zip(*of, strict=True)
    return str(rng.choice(names, p=np.array(weights) / sum(weights)))


def _lines(drawing: str) -> list[np.ndarray]:
    return [np.array([p.split(":") for p in line.split(",")], np.float64) for line in drawing.split()]


def _round(line: np.ndarray, times: int) -> np.ndarray:
    """Corners cut, at most 0.7 of the grid from a corner; the ends stay, or the line stays closed."""
    for _ in range(times):
        closed = len(line) > 2 and np.allclose(line[0], line[-1])
        part = line[1:] - line[:-1]
        length = np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6)
        step = part * np.minimum(0.25, 0.7 / length)
        cut = np.stack([line[:-1] + step, line[1:] - step], 1).reshape(-1, 2)
        line = np.vstack([cut, cut[:1]]) if closed else np.vstack([line[:1], cut[1:-1], line[-1:]])
    return line


SHARP = frozenset("14AKMNVWXYZ7")
"""Characters of straight strokes, whose corners dies cut less."""


class Die:
    """One set of dies of a family, at random."""

    def __init__(self, name: str, rng: np.random.Generator):
        self.name, self.family = name, FAMILIES[name]
        f = self.family
        self.aspect = float(rng.uniform(*f.aspect))
        self.weight = min(float(rng.uniform(*f.weight)), 0.34 * self.aspect)
        self.horizontal = float(rng.uniform(*f.horizontal))
        self.serif = float(rng.uniform(*f.serif))
        self.rounding = int(rng.integers(1, 4))
        self.cell = bool(rng.random() < f.cell)
        self.i_width = float(rng.uniform(*f.i_width))
        self.wide = float(rng.uniform(*f.wide))
        self.seed, self.made = int(rng.integers(1 << 31)), {}

    def glyph(self, character: str) -> np.ndarray:
        """Mask of a character, uint8, TALL high where it has no tail."""
        if character not in self.made:
            self.made[character] = self._draw(character)
        return self.made[character]

    def _draw(self, character: str) -> np.ndarray:
        rng = np.random.default_rng([self.seed, ord(character)])
        forms = self.family.shapes.get(character, MAIN[character]).split(" | ")
        lines = self._inaccurate(_lines(str(rng.choice(forms))), rng)
        width = self.aspect * TALL
        if character == "I" and any(np.ptp(line[:, 0]) > 0.5 for line in lines):
            width *= self.i_width
        elif character in "MW":
            width *= self.wide
        if self.serif > 0:
            lines += self._serifs(lines, self.serif * (1.6 if character == "I" else 1.0))
        thick = self.weight * TALL
        scale = np.array([max(2.0, width - thick) / 4, (TALL - thick) / 6]) * FINE
        middle = [(20 + thick / 2) * FINE, (8 + thick / 2) * FINE]
        image = np.zeros((int((TALL + 24) * FINE), int((width + 40) * FINE)), np.uint8)
        times = min(1, self.rounding) if character in SHARP else self.rounding
        for line in lines:
            self._stroke(image, _round(line, times) * scale + middle, thick * FINE)
        small = cv2.resize(image, None, fx=1 / FINE, fy=1 / FINE, interpolation=cv2.INTER_AREA)
        ys, xs = np.where(small > 40)
        glyph = small[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        if self.cell and character not in "MW" and glyph.shape[1] < width:
            room = int(self.aspect * TALL) - glyph.shape[1]
            if room > 1:
                glyph = cv2.copyMakeBorder(glyph, 0, 0, room // 2, room - room // 2, cv2.BORDER_CONSTANT)
        return glyph

    def _stroke(self, image: np.ndarray, points: np.ndarray, thick: float) -> None:
        """Segment by segment: uprights at full weight, horizontals thinner."""
        for a, b in zip(points, points[1:], strict=False):
            run = b - a
            upright = abs(run[1]) / max(1e-6, float(np.hypot(*run)))
            weight = max(2, round(thick * (self.horizontal + (1 - self.horizontal) * upright)))
            a16, b16 = (tuple(int(v) for v in np.round(p * 16)) for p in (a, b))
            cv2.line(image, a16, b16, 255, weight, cv2.LINE_AA, 4)

    @staticmethod
    def _inaccurate(lines: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Every coordinate inside the grid moved a little, equal ones alike, so that what meets still meets."""
        moved = [line.copy() for line in lines]
        for axis, end in ((0, 4.0), (1, 6.0)):
            for value in np.unique(np.concatenate([line[:, axis] for line in lines])):
                if not 0.05 < value < end - 0.05 or (axis == 0 and value == 2):
                    continue
                shift = float(np.clip(rng.normal(0, 0.08), -0.16, 0.16))
                for line, original in zip(moved, lines, strict=True):
                    line[original[:, axis] == value, axis] += shift
        return moved

    def _serifs(self, lines: list[np.ndarray], length: float) -> list[np.ndarray]:
        """Slabs across the ends that stand on the upper or the lower line."""
        half, out = length / self.aspect * 4 * 0.5, []
        for line in lines:
            if len(line) > 2 and np.allclose(line[0], line[-1]):
                continue
            for end, before in ((line[0], line[1]), (line[-1], line[-2])):
                if end[1] in (0.0, 6.0) and abs(end[1] - before[1]) > 1.2:
                    out.append(np.array([[end[0] - half, end[1]], [end[0] + half, end[1]]]))
        return out
