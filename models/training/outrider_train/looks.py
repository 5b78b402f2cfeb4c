"""How the plates of each jurisdiction look as a whole: its name and how it is written, colours, bands, slogans, emblems.

For the network that says whose plate it is (place_net.py). The reader's renderer (plates.py) varies far beyond real designs, on
purpose; here the designs are what is to be learnt, and the serial is what must not be: it is drawn from any jurisdiction's
formats, because what a format says is told by a table (crates/base, plate/formats) and must not be counted twice.

The designs are in designs.py; their colours vary at every draw.
"""

import cv2
import numpy as np

from . import formats, graphics, labels, paint, plates, typefaces
from .designs import NORTH_AMERICA, Look

TALL = plates.TALL


BAND = "AT BE BG CH CZ DE DK EE ES FI FR GB GR HR HU IE IT LT LU LV NL NO PL PT RO RS SE SK UA IL".split()
"""Countries whose plates are of Europe's kind (and Israel's): known by the letters in their band, by colour and by format."""
BAND_LETTERS = {
    "AT": "A", "BE": "B", "DE": "D", "ES": "E", "FI": "FIN", "FR": "F", "HU": "H", "IE": "IRL", "IT": "I", "LU": "L", "NO": "N",
    "PT": "P", "RS": "SRB", "SE": "S", "EE": "EST",
}  # fmt: skip
CLASSES = (*NORTH_AMERICA, *BAND, "BR", "other")
"""What the network tells apart; `other` is everybody else, and is never said."""
SERIALS = tuple(p for place in formats.CANADA + formats.STATES for p in place.patterns)
"""Serials of North America: a plate gets anybody's."""


def _rgb(text: str, rng, spread: float = 9.0) -> np.ndarray:
    """A BGR colour about RRGGBB."""
    r, g, b = (int(text[i : i + 2], 16) for i in (0, 2, 4))
    return np.clip(np.array([b, g, r], float) + rng.normal(0, spread, 3) + rng.normal(0, spread), 0, 255)


def _font(style: str, rng) -> int | None:
    """The number of a font for a name, or None for the renderer's strokes of a die."""
    if not typefaces.fonts():
        return None
    wanted = {"script": _of("script"), "serif": _of("serif")}.get(style) or _of("plain")
    pool = wanted if rng.random() < 0.8 else _of("all")
    return pool[int(rng.integers(len(pool)))]


SCRIPTS = ("dancing-script", "pacifico", "lobster", "satisfy", "kaushan-script", "yellowtail", "cookie", "courgette", "damion")
SERIFS = ("arvo", "rokkitt", "graduate", "lora", "playfair", "merriweather", "crimson", "libre-baskerville", "noto-serif")
_KINDS: dict[str, list[int]] = {}


def _of(kind: str) -> list[int]:
    """Font numbers of a kind; all of them where none of the kind is there."""
    if not _KINDS:
        names = typefaces.fonts()
        _KINDS["all"] = list(range(len(names)))
        for which, keys in (("script", SCRIPTS), ("serif", SERIFS)):
            _KINDS[which] = [i for i, f in enumerate(names) if any(k in f for k in keys)]
        _KINDS["plain"] = [i for i in _KINDS["all"] if i not in _KINDS["script"]]
    return _KINDS[kind] or _KINDS["all"]


def _lettering(text: str, style: str, rng, height: float, most: float, least: float = 0.0) -> np.ndarray:
    """A line of print as a mask: as wide as its font makes it, spaced or not, between `least` and `most`."""
    font = _font(style, rng)
    if font is None:
        return typefaces.line(text, rng, height, most)
    if style != "script" and rng.random() < 0.35:
        text = (" " if rng.random() < 0.6 else "  ").join(text) if len(text) < 14 else text
    mask = typefaces._line(text, font)
    natural = mask.shape[1] * height / mask.shape[0] * rng.uniform(0.8, 1.35)
    wide = min(most, max(least, natural, 3))
    mask = cv2.resize(mask, (max(3, int(wide)), max(3, int(height))), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.35:
        mask = cv2.dilate(mask, np.ones((1, 2) if rng.random() < 0.5 else (2, 2), np.uint8))
    if style == "script" or rng.random() < 0.12:  # slanted
        lean = rng.uniform(0.05, 0.3) if rng.random() < 0.8 else 0.0
        shift = np.array([[1, -lean, lean * mask.shape[0]], [0, 1, 0]], np.float32)
        mask = cv2.warpAffine(mask, shift, (mask.shape[1] + int(lean * mask.shape[0]) + 1, mask.shape[0]))
    return mask


def _ground(look: Look, height: int, width: int, rng) -> np.ndarray:
    """The colours behind everything."""
    stops = [_rgb(c, rng) for c in look.ground.split()]
    if len(stops) == 1:
        stops *= 2
    at = np.linspace(0, 1, len(stops))
    if len(stops) > 2:
        at[1:-1] += rng.normal(0, 0.08, len(stops) - 2)
    y = np.linspace(0, 1, height)
    image = np.stack([np.interp(y, np.sort(at), [s[c] for s in stops]) for c in range(3)], 1)
    return np.repeat(image[:, None], width, 1).astype(np.float32)


def _art(image: np.ndarray, look: Look, rng) -> None:
    """Bands, hills, rainbow, emblems."""
    h, w = image.shape[:2]
    for word in look.extras.split():
        kind, *rest = word.split(":")
        if kind == "b":
            y0, y1 = (float(v) + rng.normal(0, 0.008) for v in rest[1:])
            paint.box(image, 0, h * y0, w, h * y1, _rgb(rest[0], rng))
        elif kind == "hills" and rng.random() < 0.85:
            x = np.linspace(0, w, 14)
            base = rng.uniform(0.3, 0.75)
            y = h * (base + np.cumsum(rng.normal(0, 0.04, 14)))
            if rng.random() < 0.6:
                y -= h * rng.uniform(0.05, 0.25) * np.exp(-(((x - w * rng.uniform(0.2, 0.8)) / (w * 0.15)) ** 2))
            layer = image.copy()
            ridge = np.vstack([np.stack([x, y], 1), [[w, h], [0, h]]]).astype(np.int32)
            cv2.fillPoly(layer, [ridge], paint.colour(_rgb(rest[0], rng)))
            image += (layer - image) * rng.uniform(0.15, 0.65)
        elif kind == "rainbow":
            layer = image.copy()
            middle, radius = (int(w * rng.uniform(0.4, 0.6)), int(h * rng.uniform(1.0, 1.3))), h * rng.uniform(0.75, 1.0)
            for i, c in enumerate(("d84050", "e8a040", "e8e060", "60b868", "4888c8", "8860b0")):
                axes = (int(w * 0.45 - i * 3), int(radius - i * 3))
                cv2.ellipse(layer, middle, axes, 0, 180, 360, paint.colour(_rgb(c, rng)), 3, cv2.LINE_AA)
            image += (layer - image) * rng.uniform(0.3, 0.8)
        elif kind == "e" and rng.random() < 0.8:
            size = h * rng.uniform(0.3, 0.55)
            layer = image.copy()
            x = w * float(rest[1]) + rng.normal(0, 0.01) * w
            graphics.pictogram(layer, x, h * rng.uniform(0.45, 0.6), size, rng, _rgb(rest[0], rng))
            image += (layer - image) * rng.uniform(0.35, 1.0)


def _serial(rng, places) -> str:
    """A serial of anybody's, or words."""
    if rng.random() < 0.1:
        return formats.vanity(rng)
    if rng.random() < 0.2:
        return formats.fill(str(rng.choice(formats.OLD_AND_RARE)), rng, formats.RARE)
    return formats.fill(str(rng.choice(places)), rng, formats.RARE)


def named(code: str, rng, looks: tuple[Look, ...] = (), serials: tuple[str, ...] = SERIALS) -> plates.Plate:
    """A plate of a jurisdiction whose name is on it, in one of its designs or of `looks`; frames cover some names."""
    looks = looks or NORTH_AMERICA[code]
    look = looks[int(rng.integers(len(looks)))]
    words = look.extras.split()
    style = next((w for w in words if w in ("script", "caps", "serif")), "caps")
    if rng.random() < 0.15:
        style = str(rng.choice(["script", "caps", "serif"]))
    width = int(TALL * rng.uniform(1.9, 2.1))
    image = _ground(look, TALL, width, rng)
    if rng.random() < 0.12:
        graphics.scene(image, rng)
    _art(image, look, rng)
    level = float(image[int(TALL * 0.35) : int(TALL * 0.75)].mean())
    ink = _rgb(look.ink, rng, 12)
    if abs(float(ink.mean()) - level) < 60:
        ink = plates.contrast(rng, level)
    tint = _rgb(look.tint, rng, 12) if rng.random() < 0.9 else ink
    name, slogan = look.name, look.slogan
    if rng.random() < 0.2:
        name = name.upper() if rng.random() < 0.7 else name.title()
    top, bottom = (slogan, name) if "low" in words else (name, slogan)
    for text, high in ((top, True), (bottom, False)):
        main = text == name
        if not text or (not main and rng.random() < 0.3):
            continue
        tall = TALL * (rng.uniform(0.12, 0.22) if main else rng.uniform(0.07, 0.13))
        mask = _lettering(text, style if main else "caps", rng, tall, width * rng.uniform(0.6, 0.9), width * 0.2 if main else 0)
        x = width / 2 - mask.shape[1] / 2 + rng.normal(0, 0.03) * width
        y = TALL * rng.uniform(0.015, 0.07) if high else TALL - mask.shape[0] - TALL * rng.uniform(0.015, 0.05)
        under = float(image[int(max(0, y)) : int(y + mask.shape[0]), int(width * 0.3) : int(width * 0.7)].mean())
        colour = tint if main else _rgb(look.low, rng, 12) if look.low else ink
        if abs(float(np.mean(colour)) - under) < 45:
            colour = plates.contrast(rng, under)
        paint.blend(image, mask, x, y, colour, rng.uniform(0.75, 1))
    how = plates.style(rng, ink, 0.5, rng.uniform(0, 0.5) if rng.random() < 0.6 else 0, 2, code)
    height, cy = TALL * rng.uniform(0.4, 0.54), TALL * rng.uniform(0.49, 0.58)
    left, right = width * rng.uniform(0.03, 0.09), width * rng.uniform(0.91, 0.97)
    u = rng.random()
    if u < 0.1:
        left, right = graphics.beside(image, left, right, cy, height, rng, ink)
    elif u < 0.2:
        left, right = graphics.stacked(image, how.face, left, right, cy, height, rng, ink)
    text = _serial(rng, serials)
    boxes = plates.write(image, text, left, right, cy, height, how, rng)
    image, boxes = plates.framed(image, boxes, ink, rng, line=0.3, dealer=0.06, outer=0.29)
    return plates.Plate(image, labels.normalise(text), code, np.array(boxes), characters=how.characters)


def banded(code: str, rng) -> plates.Plate:
    """A plate of Europe's kind with its own serial: band, colour and how the serial is set tell these apart."""
    plate = plates.europe(rng, plates.place_of(code), two=rng.random() < 0.1)
    letters = BAND_LETTERS.get(code, code)
    if code in ("CH", "IL") or rng.random() < 0.3:
        return plate
    h, w = plate.image.shape[:2]
    tall = min(h, TALL)
    band = int(tall * rng.uniform(0.36, 0.5)) if plate.lines == 1 else int(tall * 0.22)
    plate.image[: tall + 2, :band] = (rng.uniform(120, 190), rng.uniform(40, 80), rng.uniform(0, 40))
    mask = typefaces.line(letters, rng, tall * rng.uniform(0.2, 0.3), band * 0.8)
    paint.blend(plate.image, mask, band / 2 - mask.shape[1] / 2, tall * rng.uniform(0.6, 0.68), (240, 240, 240))
    if code == "NO":
        paint.box(plate.image, band * 0.2, tall * 0.2, band * 0.8, tall * 0.42, (40, 40, 200))
    elif code != "UA":
        cv2.circle(plate.image, (band // 2, int(tall * 0.3)), int(band * 0.28), (40, 200, 230), 2)
    return plate


def other(rng) -> plates.Plate:
    """A plate of nobody in particular: no name, or a name that is none."""
    tint, ground, low, ink = (f"{int(rng.integers(1 << 24)):06x}" for _ in range(4))
    if rng.random() < 0.6:
        ground, ink = "f4f4f4", "202020"
    name = "" if rng.random() < 0.4 else _nonsense(rng)
    return named("other", rng, (Look(name, tint, ground, ink, _nonsense(rng), low, "caps"),))


def novel(code: str, rng) -> plates.Plate:
    """A plate with the name of a jurisdiction and a serial of its own, in a design that it never had."""
    looks = NORTH_AMERICA[code]
    name = looks[int(rng.integers(len(looks)))].name
    tint, ground, low, ink = (f"{int(rng.integers(1 << 24)):06x}" for _ in range(4))
    if rng.random() < 0.6:
        ground, ink = "f0f2f4", str(rng.choice(["1c2d6c", "202020", "1a5a3a", "a02838"]))
    extras = f"caps hills:{low}" if rng.random() < 0.4 else f"script e:{low}:0.5" if rng.random() < 0.5 else "serif"
    look = Look(name, tint, ground, ink, _nonsense(rng), low, extras)
    return plates.worn(lambda: named(code, rng, (look,), plates.place_of(code).patterns), rng)


def _nonsense(rng) -> str:
    """A name that no jurisdiction has."""
    if rng.random() < 0.35:
        names = "TASMANIA|VICTORIA|QUEENSLAND|JALISCO|SONORA|CHIHUAHUA|PUERTO RICO|GUAM|BAJA CALIFORNIA|BOGOTA|CHILE|PERU"
        return str(rng.choice(names.split("|")))
    syllables = "ba ce di fo gu ha ja ke li mo na pe qui ro sa te ul vo wa xi yo zen tor mil gar den fen".split()
    return "".join(rng.choice(syllables, int(rng.integers(2, 5)))).upper()


def render_of(code: str, rng: np.random.Generator) -> plates.Plate:
    """A plate of one of CLASSES."""

    def draw():
        if code == "other":
            return other(rng)
        if code == "BR":
            return plates.brazil(rng)
        return banded(code, rng) if code in BAND else named(code, rng)

    return plates.worn(draw, rng)
