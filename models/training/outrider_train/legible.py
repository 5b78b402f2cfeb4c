"""Whether every character of a rendered plate can be seen: nothing illegible is labelled.

Graphics may stand where a character is (a dark 1 on a dark emblem); glare, shadows, stickers and frames come on top. A label
that names what cannot be seen teaches guessing, and being sure of it.
"""

import dataclasses

import numpy as np

LEAST, SHARE = 18.0, 0.35
"""Grey levels between a character and what it stands on, at least; and as a share of the plate's median character."""
LEFT, FADED = 0.3, 0.4
"""How much of a character's contrast must be left under glare, shadow and what lies on top, next to the plate's median, which
counts as FADED where it kept less."""
ROOM = 0.15
"""What is looked at above and below a character, in shares of its height."""


@dataclasses.dataclass
class Drawn:
    """A character as it was set: a grey picture of it, where that begins (x, y from its box's corner), its contrast."""

    look: np.ndarray
    begin: tuple[int, int]
    contrast: float


class Setting:
    """Looks at `image` before and after a character is set in box x0, y0, x1, y1: there and a little above and below,
    where even an I ends."""

    def __init__(self, image: np.ndarray, box):
        x0, y0, x1, y1 = (int(v) for v in box)
        more = int(ROOM * (y1 - y0))
        self.x, self.y = max(0, x0), max(0, y0 - more)
        self.begin = (self.x - x0, self.y - y0)
        self.part = image[self.y : max(0, y1 + more), self.x : max(0, x1)]
        self.before = self.part.mean(2)

    def drawn(self) -> Drawn:
        """What has come; its contrast is the mean change of the half that changed most."""
        after = self.part.mean(2)
        change = np.sort(np.abs(after - self.before), axis=None)
        return Drawn(after, self.begin, float(change[change.size // 2 :].mean()) if change.size else 0.0)


def slope(before: np.ndarray, after: np.ndarray) -> float:
    """How many grey levels of `after` go with one of `before`, by least squares."""
    a = before - before.mean()
    return float((a * after).sum() / max(1e-3, (a * a).sum()))


def left(character: Drawn, box, image: np.ndarray) -> float:
    """How much of a character is left in its box now: 1 where nothing happened since, 0 where nothing of it is to be seen.

    The slope of what is there on what was there, grey level by grey level.
    """
    x, y = int(box[0]) + character.begin[0], int(box[1]) + character.begin[1]
    rows, columns = character.look.shape
    now = image[y : y + rows, x : x + columns].mean(2)
    return slope(character.look, now) if now.shape == character.look.shape and now.size else 0.0


def legible(characters: list[Drawn], boxes: np.ndarray, image: np.ndarray) -> bool:
    """Whether all `characters`, now at `boxes` of `image`, stand out, next to the others of their plate."""
    contrasts = np.array([c.contrast for c in characters])
    remains = np.array([left(c, b, image) for c, b in zip(characters, boxes, strict=True)])
    stand_out = (contrasts >= max(LEAST, SHARE * float(np.median(contrasts)))).all()
    return bool(stand_out and (remains >= LEFT * max(FADED, float(np.median(remains)))).all())
