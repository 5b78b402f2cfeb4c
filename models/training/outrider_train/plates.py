"""Renders number plates: flat, lit, with their text, jurisdiction and where each character stands.

`render(rng)` gives a Plate about 96 pixels high (North America 2:1, Europe 4.6:1, Brazil 3:1). Fonts and colours vary far
more than on the road, on purpose: the reader is to learn characters, not designs. photograph.py puts it into a picture.
"""

import dataclasses

import cv2
import numpy as np

from . import dies, formats, graphics, labels, legible, paint, typefaces

TALL = 96


@dataclasses.dataclass
class Plate:
    """A rendered plate with `lines` lines. `boxes` [n, 4]: x0, y0, x1, y1 of each character of `text` in pixels of `image`.

    `characters` are the same as they were set, before anything came on top.
    """

    image: np.ndarray
    text: str
    place: str
    boxes: np.ndarray
    lines: int = 1
    characters: list[legible.Drawn] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Style:
    """How a line of characters is set: sizes in shares of the characters' height. `characters` are those set so far."""

    face: typefaces.Typeface
    ink: np.ndarray
    gap: float
    space: float
    emboss: float
    separator: str
    lean: float = 0.0
    characters: list[legible.Drawn] = dataclasses.field(default_factory=list)


STAMPED = 0.65
"""Share of plates that have their jurisdiction's dies where those are drawn; the rest is written in anything."""


def style(rng, ink, strokes: float, emboss: float, emblems: int = 1, place: str = "") -> Style:
    """A random typeface, or a die of `place`, with random spacing; `emblems` weighs emblems in the gaps."""
    kinds = ["", "", "", "", "dot", "dash", "seal", "seal", "blob", *["emblem"] * emblems]
    lean = rng.normal(0, 0.12) if rng.random() < 0.05 else 0.0
    family = dies.family_of(place, rng) if rng.random() < STAMPED else None
    face, kind = typefaces.Typeface(rng, strokes, family=family), str(rng.choice(kinds))
    space = rng.uniform(0.35, 1.2) if kind == "emblem" and rng.random() < 0.7 else rng.uniform(0.15, 0.55)
    return Style(face, ink, rng.uniform(0.06, 0.2), space, emboss, kind, lean)


def separator(image, x: float, y: float, width: float, height: float, how: Style, character: str, rng) -> None:
    """What stands in a gap: nothing, a dash, a dot, seals, an emblem."""
    kind = how.separator
    if character == "-" and rng.random() < 0.6:
        kind = "dash"
    if kind == "dash":
        paint.box(image, x - height * 0.12, y - height * 0.05, x + height * 0.12, y + height * 0.04, how.ink)
    elif kind == "dot":
        paint.disc(image, x, y, height * 0.07 + 1, how.ink)
    elif kind == "seal":
        paint.disc(image, x, y - height * 0.2, height * 0.16, graphics.any_colour(rng))
        if rng.random() < 0.8:
            paint.disc(image, x, y + height * 0.22, height * 0.16, graphics.any_colour(rng))
    elif kind == "emblem":
        size = min(height * rng.uniform(0.35, 1.1), max(6, width * 1.6))
        graphics.pictogram(image, x, y, size, rng, how.ink if rng.random() < 0.4 else graphics.any_colour(rng))
    elif kind == "blob":
        shape = rng.uniform(-0.3, 0.3, (6, 2)) * [width, height * 0.9] + [x, y]
        cv2.fillPoly(image, [cv2.convexHull(shape.astype(np.int32))], paint.colour(graphics.any_colour(rng)))


def write(image, text: str, left: float, right: float, cy: float, height: float, how: Style, rng) -> list[list[float]]:
    """Set `text` centred in [left, right]; a box for every character that is not a separator."""
    height = max(6, int(height))
    glyphs = [c if c in " -" else how.face.ink(c, height) for c in text]
    widths = [height * how.space if isinstance(g, str) else float(g.shape[1]) for g in glyphs]
    gap = height * how.gap
    total = sum(widths) + gap * (len(text) - 1)
    scale = min(1.0 if rng.random() < 0.75 else 1.25, (right - left) / total)
    x, boxes = (left + right) / 2 - total * scale / 2, []
    for character, glyph, width in zip(text, glyphs, widths, strict=True):
        wide = max(3, round(width * scale))
        if isinstance(glyph, str):
            separator(image, x + wide / 2, cy, wide, height, how, character, rng)
        else:
            mask = cv2.resize(glyph, (wide, height), interpolation=cv2.INTER_AREA)
            if how.lean:
                slant = how.lean * height
                shift = np.array([[1, -how.lean, max(0, slant)], [0, 1, 0]], np.float32)
                mask = cv2.warpAffine(mask, shift, (wide + int(abs(slant)), height))
            y = int(cy - height / 2)
            box = [x, y, x + mask.shape[1], y + height]
            setting = legible.Setting(image, box)
            if how.emboss > 0:
                paint.blend(image, mask, x - 1, y - 1, (255, 255, 255), how.emboss)
                paint.blend(image, mask, x + 1, y + 1, (0, 0, 0), how.emboss)
            paint.blend(image, mask, x, y, how.ink)
            how.characters.append(setting.drawn())
            boxes.append(box)
        x += (width + gap) * scale
    return boxes


def contrast(rng, back: float) -> np.ndarray:
    """An ink that shows on a background of mean level `back`."""
    if back < 130:
        return rng.uniform(190, 255, 3)
    u = rng.random()
    if u < 0.35:
        return np.array([rng.uniform(90, 180), rng.uniform(20, 80), rng.uniform(0, 60)])
    return rng.uniform(0, 60, 3) if u < 0.65 else rng.uniform(0, 120, 3)


def north_america(rng, of: formats.Place | None = None) -> Plate:
    """A plate of Canada or the United States; a third in no particular design, with old, special and vanity texts.

    `of` asks for a plate of that jurisdiction, in its own formats.
    """
    width = int(TALL * rng.uniform(1.85, 2.15))
    known = rng.random() < 0.62 or of is not None
    canada = rng.random() < 0.35
    place = of or formats.choose(formats.CANADA if canada else formats.STATES, rng)
    pattern = str(rng.choice(place.patterns if known else formats.OLD_AND_RARE))
    text = formats.fill(pattern, rng, formats.RARE) if of or rng.random() < 0.92 else formats.vanity(rng)
    if known and rng.random() < 0.6:
        back = np.array(place.back or rng.uniform(190, 255, 3)) + rng.normal(0, 8, 3)
    else:
        u = rng.random()
        back = rng.uniform(215, 255, 3) if u < 0.55 else rng.uniform(150, 255, 3) if u < 0.85 else rng.uniform(20, 130, 3)
    image = np.full((TALL, width, 3), np.clip(back, 0, 255), np.float32)
    if not known or place.back is not formats.WHITE or rng.random() < 0.3:
        graphics.scene(image, rng)
    level = float(image.mean())
    ink = contrast(rng, level)
    if known and place.ink and (np.mean(place.ink) < 130) == (level > 130) and rng.random() < 0.7:
        ink = np.array(place.ink) + rng.normal(0, 12, 3)
    _words(image, place, known, ink, rng)
    how = style(rng, ink, 0.62, rng.uniform(0, 0.5) if rng.random() < 0.6 else 0, 3, place.code if known else "US")
    if place.code == "CA-ON" and known and rng.random() < 0.6:
        how.separator = str(rng.choice(["emblem", "seal", "dash"]))
    height, cy = TALL * rng.uniform(0.4, 0.62), TALL * rng.uniform(0.47, 0.58)
    if how.face.die and rng.random() < 0.4:  # the name above has more room than the slogan below
        height, cy = TALL * rng.uniform(0.4, 0.52), TALL * rng.uniform(0.55, 0.63)
    left, right = width * rng.uniform(0.03, 0.08), width * rng.uniform(0.92, 0.97)
    u = rng.random()
    if u < 0.16:
        left, right = graphics.beside(image, left, right, cy, height, rng, ink)
    elif u < 0.36:
        left, right = graphics.stacked(image, how.face, left, right, cy, height, rng, ink)
        if rng.random() < 0.15:
            left, right = graphics.stacked(image, how.face, left, right, cy, height, rng, ink)
    boxes = write(image, text, left, right, cy, height, how, rng)
    image, boxes = framed(image, boxes, ink, rng, line=0.4, dealer=0.25, outer=0.25)
    return Plate(image, labels.normalise(text), place.code if known else "US", np.array(boxes), characters=how.characters)


def framed(image, boxes, ink, rng, line: float, dealer: float, outer: float):
    """Image and boxes with stickers and, by these shares, a line along the edge and a dealer's frame or one around it."""
    graphics.stickers(image, rng)
    if rng.random() < line:
        paint.box(image, 1, 1, image.shape[1] - 2, TALL - 2, ink, int(rng.integers(1, 3)))
    u = rng.random()
    if u < dealer:
        graphics.dealer_frame(image, rng)
    elif u < dealer + outer:
        image, (x, y) = graphics.outer_frame(image, rng)
        boxes = [[a + x, b + y, c + x, d + y] for a, b, c, d in boxes]
    return image, boxes


def _words(image, place, known, ink, rng) -> None:
    """The jurisdiction's name above, its slogan below."""
    width = image.shape[1]
    other = formats.choose(formats.STATES, rng)
    tint = graphics.any_colour(rng) if rng.random() < 0.5 else ink
    top = place.top if known else other.top
    if top and rng.random() < 0.88:
        mask = typefaces.line(top, rng, TALL * rng.uniform(0.1, 0.2), width * 0.8)
        x = width / 2 - mask.shape[1] / 2 + rng.uniform(-0.08, 0.08) * width
        paint.blend(image, mask, x, TALL * rng.uniform(0.02, 0.07), tint, rng.uniform(0.5, 1))
    bottom = place.bottom if known else other.bottom
    if bottom and rng.random() < 0.7:
        mask = typefaces.line(bottom, rng, TALL * rng.uniform(0.07, 0.14), width * 0.8)
        tint = graphics.any_colour(rng) if rng.random() < 0.4 else ink
        paint.blend(image, mask, width / 2 - mask.shape[1] / 2, TALL * rng.uniform(0.85, 0.9), tint, rng.uniform(0.5, 1))


def europe(rng, of: formats.Place | None = None, two: bool | None = None) -> Plate:
    """A plate of a European country (or Israel): one line, five in a hundred in two; white or yellow, blue band or none.

    `of` asks for a plate of that country, in its own formats, `two` for two lines or one.
    """
    two = rng.random() < 0.05 if two is None else two
    aspect = rng.uniform(1.0, 1.75) if two else rng.uniform(4.2, 4.9) if rng.random() < 0.85 else rng.uniform(2.6, 4.2)
    width = int(TALL * aspect)
    place = of or formats.choose(formats.EUROPE, rng)
    text = formats.fill(str(rng.choice(place.patterns)), rng) if of or rng.random() < 0.93 else formats.fill("xxx xxxx", rng)
    u = rng.random()
    if place.code in ("NL", "IL") or u < 0.14:
        back = np.array([rng.uniform(0, 60), rng.uniform(160, 220), rng.uniform(220, 255)])
    else:
        back = rng.uniform(205, 255, 3) if u < 0.94 else rng.uniform(20, 110, 3)
    image = np.full((TALL, width, 3), back, np.float32)
    ink = rng.uniform(0, 60, 3) if back.mean() > 110 else rng.uniform(190, 255, 3)
    if rng.random() < 0.08:
        ink = np.array([0, 0, rng.uniform(120, 200)]) if rng.random() < 0.5 else np.array([rng.uniform(80, 160), 30, 10])
    left, right = width * 0.03, width * 0.97
    if rng.random() < (0.35 if two else 0.75):
        band = int(TALL * rng.uniform(0.36, 0.5))
        image[:, :band] = (rng.uniform(100, 190), rng.uniform(30, 80), rng.uniform(0, 40))
        mask = typefaces.line(place.code[: int(rng.integers(1, 3))], rng, TALL * 0.25, band * 0.7)
        paint.blend(image, mask, band / 2 - mask.shape[1] / 2, TALL * 0.65, (240, 240, 240))
        cv2.circle(image, (band // 2, int(TALL * 0.3)), int(band * 0.28), (40, 200, 230), 2)
        left = band + width * 0.02
    if rng.random() < 0.12:
        band = int(TALL * 0.35)
        image[:, -band:] = (150, 50, 20)
        right = width - band - width * 0.02
    how = style(rng, ink, 0.25, rng.uniform(0, 0.4) if rng.random() < 0.5 else 0, place=place.code)
    if two:
        head, _, tail = text.replace("-", " ").rpartition(" ")
        at = int(rng.integers(2, 4))
        lines = (head or tail[:at], tail if head else tail[at:] or "1")
        text, tall = "".join(lines), TALL * rng.uniform(0.34, 0.42)
        boxes = write(image, lines[0], left, right, TALL * rng.uniform(0.25, 0.29), tall, how, rng)
        boxes += write(image, lines[1], left, right, TALL * rng.uniform(0.71, 0.75), tall, how, rng)
    else:
        boxes = write(image, text, left, right, TALL * rng.uniform(0.47, 0.53), TALL * rng.uniform(0.62, 0.8), how, rng)
    if rng.random() < 0.6:
        paint.box(image, 1, 1, width - 2, TALL - 2, ink, int(rng.integers(1, 4)))
    if rng.random() < 0.35:  # holder with a dealer's name below
        low = int(TALL * rng.uniform(0.12, 0.22))
        holder = np.full((TALL + low + 6, width + 8, 3), rng.uniform(0, 50, 3), np.float32)
        holder[3 : 3 + TALL, 4 : 4 + width] = image
        mask = typefaces.line(str(rng.choice(graphics.DEALERS)), rng, low * 0.6, width * 0.8)
        paint.blend(holder, mask, width / 2 - mask.shape[1] / 2, TALL + 4 + low * 0.15, rng.uniform(150, 255, 3))
        image, boxes = holder, [[a + 4, b + 3, c + 4, d + 3] for a, b, c, d in boxes]
    return Plate(image, labels.normalise(text), place.code, np.array(boxes), 2 if two else 1, how.characters)


def brazil(rng) -> Plate:
    """A Brazilian plate: grey (or red) with city above, or Mercosul with its blue band."""
    width = int(TALL * rng.uniform(2.9, 3.2))
    mercosul = rng.random() < 0.4
    text = formats.fill("llldldd" if mercosul else str(rng.choice(formats.BRAZIL[0].patterns)), rng)
    red = not mercosul and rng.random() < 0.2
    back = np.full(3, rng.uniform(140, 215)) + rng.uniform(-10, 10, 3)
    if mercosul or red:
        back = rng.uniform(225, 255, 3) if mercosul else np.array([20, 20, rng.uniform(120, 190)])
    image = np.full((TALL, width, 3), back, np.float32)
    ink = rng.uniform(0, 50, 3) if back.mean() > 110 else rng.uniform(210, 255, 3)
    if mercosul:
        image[: int(TALL * 0.2)] = (140, 40, 10)
        mask = typefaces.line("BRASIL", rng, TALL * 0.12, width * 0.4)
        paint.blend(image, mask, width / 2 - mask.shape[1] / 2, TALL * 0.04, (250, 250, 250))
    else:
        city = str(rng.choice(["SP-SAO PAULO", "RJ-RIO", "BA-SALVADOR", "MG-BELO HORIZONTE", "PR-CURITIBA", "ES-VITORIA"]))
        mask = typefaces.line(city, rng, TALL * 0.13, width * 0.6)
        paint.blend(image, mask, width / 2 - mask.shape[1] / 2, TALL * 0.06, ink)
    how = style(rng, ink, 0.25, rng.uniform(0, 0.4), place="BR" if mercosul else "")
    cy, height = TALL * rng.uniform(0.58, 0.63), TALL * rng.uniform(0.55, 0.68)
    boxes = write(image, text, width * 0.04, width * 0.96, cy, height, how, rng)
    if rng.random() < 0.7:
        paint.box(image, 1, 1, width - 2, TALL - 2, ink, 2)
    return Plate(image, labels.normalise(text), "BR", np.array(boxes), characters=how.characters)


def wear(image: np.ndarray, rng) -> np.ndarray:
    """Uneven light, a shadow's edge, glare, dirt, salt, bent edges; clipped to 0-255."""
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        image = image * paint.smooth(rng, (h, w), (2, 3), 0.45, 1.25)
    if rng.random() < 0.22:
        shape = cv2.convexHull((rng.uniform(-0.2, 1.2, (4, 2)) * [w, h]).astype(np.int32))
        mask = np.zeros((h, w), np.float32)
        cv2.fillPoly(mask, [shape], 1.0)
        image = image * (1 - cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 6))[..., None] * rng.uniform(0.2, 0.7))
    if rng.random() < 0.12:
        glare = np.zeros((h, w), np.float32)
        cv2.circle(glare, (int(rng.uniform(0, w)), int(rng.uniform(0, h))), int(rng.uniform(5, h * 0.5)), 1.0, -1)
        image = image + cv2.GaussianBlur(glare, (0, 0), rng.uniform(4, 20))[..., None] * rng.uniform(40, 180)
    if rng.random() < 0.3:
        grain = rng.standard_normal((h // int(rng.integers(2, 10)) + 1, w // int(rng.integers(2, 10)) + 1), np.float32)
        image = image + cv2.resize(grain, (w, h))[..., None] * rng.uniform(3, 22)
    if rng.random() < 0.08:  # splashes
        for _ in range(int(rng.integers(3, 25))):
            paint.disc(image, rng.uniform(0, w), rng.uniform(0, h), rng.uniform(1, 4), rng.uniform(40, 160, 3))
    return np.clip(image, 0, 255)


def worn(draw, rng) -> Plate:
    """The first plate of `draw()` of which every character can still be seen after some wear."""
    while True:
        plate = draw()
        plate.image = wear(plate.image, rng)
        if legible.legible(plate.characters, plate.boxes, plate.image):
            return plate


def render(rng: np.random.Generator) -> Plate:
    """A plate: 60 % North America, 30 % Europe, 10 % Brazil."""

    def draw():
        u = rng.random()
        return north_america(rng) if u < 0.6 else europe(rng) if u < 0.9 else brazil(rng)

    return worn(draw, rng)


def place_of(code: str) -> formats.Place:
    """The jurisdiction of a code such as US-CA; ValueError where there is none."""
    for place in formats.CANADA + formats.STATES + formats.EUROPE + formats.BRAZIL:
        if place.code == code:
            return place
    raise ValueError(f"no plates of {code!r} are known")


def render_of(place: formats.Place, rng: np.random.Generator) -> Plate:
    """A plate of one line of `place`, in one of its own formats."""

    def draw():
        while True:
            plate = (
                brazil(rng)
                if place.code == "BR"
                else europe(rng, place)
                if place in formats.EUROPE
                else north_america(rng, place)
            )
            if plate.lines == 1:
                return plate

    return worn(draw, rng)
