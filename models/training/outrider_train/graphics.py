"""What stands on North American plates besides their text, and must not be read: pictograms, emblems, stacked letters,
scenes behind the characters, stickers, bolts, dealer frames."""

import cv2
import numpy as np

from . import paint, typefaces

DEALERS = (
    "TOYOTA|HONDA of town|AUTO GROUP|MOTORS|CHEVROLET|www.dealer.com|FORD CENTRE|VOLKSWAGEN|Autohaus|Garage|SUBARU|NISSAN|"
    "Go Dawgs|ALUMNI|UNIVERSITY|Mazda|Lexus of Las Vegas"
).split("|")
SMALL = "US DP HC TRK VET FD PD NG DV TK TR RV MC PR SP BA EX AG CO ST HAM USN COM APP FAM LIV DLR MUN".split()
STICKERS = "MAY DEC JAN 19 24 2019 2026 12 08 NOV 07 11 25".split()


def any_colour(rng) -> np.ndarray:
    """Any BGR colour."""
    return rng.uniform(0, 255, 3)


def pictogram(image, cx, cy, size, rng, ink) -> None:
    """A drawn pictogram, or a shield, disc, blob, animal-like shape, wheelchair, flag or star within `size` of (cx, cy)."""
    if typefaces.icons() and rng.random() < 0.5:
        icon(image, cx, cy, size, rng, ink)
        return
    kind = int(rng.choice(10, p=(0.09, 0.1, 0.07, 0.09, 0.2, 0.07, 0.09, 0.07, 0.14, 0.08)))
    width = size * rng.uniform(0.5, 0.95)
    first, second = (ink if rng.random() < 0.4 else any_colour(rng)), any_colour(rng)
    scale = np.array([width, size])

    def polygon(points, fill):
        cv2.fillPoly(image, [np.round(np.array(points) * scale + [cx, cy]).astype(np.int32)], paint.colour(fill), cv2.LINE_AA)

    if kind == 0:
        shield = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.1], [0, 0.55], [-0.5, 0.1]])
        polygon(shield, first)
        polygon(shield * 0.6, second)
    elif kind == 1:
        axes = (max(2, int(width / 2)), max(2, int(size / 2)))
        cv2.ellipse(image, (int(cx), int(cy)), axes, 0, 0, 360, paint.colour(first), -1, cv2.LINE_AA)
        inner = (max(1, int(width / 3.5)), max(1, int(size / 3.5)))
        cv2.ellipse(image, (int(cx), int(cy)), inner, 0, 0, 360, paint.colour(second), -1, cv2.LINE_AA)
        if rng.random() < 0.4:
            mask = typefaces.line(str(rng.choice(list("GTAMWNFSUO"))), rng, size * 0.5, width * 0.6)
            paint.blend(image, mask, cx - mask.shape[1] / 2, cy - mask.shape[0] / 2, first)
    elif kind in (2, 3):  # blob; the outline of a state or an animal
        n = int(rng.integers(5, 14))
        angle = np.sort(rng.uniform(0, 2 * np.pi, n))
        radius = rng.uniform(0.25 if kind == 3 else 0.5, 1, n) * 0.5
        polygon(np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1), first)
        if rng.random() < 0.4:
            paint.disc(image, cx, cy, size * 0.12, second)
    elif kind == 4:  # wheelchair
        thick = max(1, int(size * 0.07))
        ink = paint.colour(first)
        if rng.random() < 0.5:
            paint.box(image, cx - width / 2, cy - size / 2, cx + width / 2, cy + size / 2, second)
        paint.disc(image, cx - 0.1 * size, cy - 0.36 * size, size * 0.08, first)
        cv2.ellipse(image, (int(cx), int(cy + size * 0.15)), (int(size * 0.25),) * 2, 0, -30, 250, ink, thick, cv2.LINE_AA)
        path = np.array([[-0.1, -0.28], [-0.06, 0.05], [0.18, 0.05], [0.3, 0.35]]) * size + [cx, cy]
        cv2.polylines(image, [path.astype(np.int32)], False, ink, thick, cv2.LINE_AA)
    elif kind == 5:  # flag
        for i in range(6):
            y = -0.3 + 0.1 * i
            polygon([[-0.5, y], [0.5, y], [0.5, y + 0.1], [-0.5, y + 0.1]], first if i % 2 else second)
        polygon([[-0.5, -0.3], [-0.05, -0.3], [-0.05, 0], [-0.5, 0]], any_colour(rng))
    elif kind == 6:  # star, maple leaf, flower
        spikes = int(rng.integers(4, 12))
        angle = np.arange(2 * spikes) * np.pi / spikes
        radius = np.where(np.arange(2 * spikes) % 2, rng.uniform(0.15, 0.35), 0.5)
        polygon(np.stack([np.sin(angle) * radius, -np.cos(angle) * radius], 1), first)
    elif kind == 8:
        creature(image, cx, cy, size, rng, first)
    elif kind == 9:  # a portrait or a photograph in a frame
        paint.box(image, cx - width / 2, cy - size / 2, cx + width / 2, cy + size / 2, second)
        for _ in range(int(rng.integers(2, 6))):
            x, y = rng.uniform(-0.35, 0.35, 2) * [width, size] + [cx, cy]
            paint.disc(image, x, y, size * rng.uniform(0.06, 0.22), any_colour(rng))
    else:
        for _ in range(int(rng.integers(2, 7))):
            x, y = cx + rng.uniform(-0.4, 0.4) * width, cy + rng.uniform(-0.45, 0.45) * size
            paint.disc(image, x, y, size * rng.uniform(0.06, 0.2), (first, second)[int(rng.integers(2))])


def icon(image, cx, cy, size, rng, ink) -> None:
    """A silhouette of the pictogram font in the text's colour or another, mirrored or not, now and then on a panel."""
    wheelchair = rng.random() < 0.2  # on more plates than all the rest
    mask = typefaces.icon(typefaces.ICONS.index("f193") if wheelchair else int(rng.integers(len(typefaces.ICONS))))
    if rng.random() < 0.5:
        mask = mask[:, ::-1]
    wide = max(3, int(size * mask.shape[1] / mask.shape[0] * rng.uniform(0.75, 1.2)))
    first = ink if rng.random() < 0.6 else any_colour(rng)
    if rng.random() < 0.15:
        first = 255 - np.asarray(ink, float)
        axes = (max(2, int(wide * 0.7)), max(2, int(size * 0.62)))
        if rng.random() < 0.5:
            cv2.ellipse(image, (int(cx), int(cy)), axes, 0, 0, 360, paint.colour(ink), -1, cv2.LINE_AA)
        else:
            paint.box(image, cx - axes[0], cy - axes[1], cx + axes[0], cy + axes[1], ink)
    mask = cv2.resize(np.ascontiguousarray(mask), (wide, max(3, int(size))), interpolation=cv2.INTER_AREA)
    paint.blend(image, mask, cx - wide / 2, cy - size / 2, first, rng.uniform(0.6, 1))


def creature(image, cx, cy, size, rng, ink) -> None:
    """A silhouette with body, head and limbs: rider, bird, horse, spider, tree."""
    ink = paint.colour(ink)
    body = (max(1, int(size * rng.uniform(0.1, 0.3))), max(1, int(size * rng.uniform(0.08, 0.25))))
    turn = float(rng.uniform(0, 180))
    cv2.ellipse(image, (int(cx), int(cy)), body, turn, 0, 360, ink, -1, cv2.LINE_AA)
    thick = max(1, int(size * rng.uniform(0.03, 0.1)))
    for _ in range(int(rng.integers(3, 9))):
        joint = rng.uniform(-0.25, 0.25, 2) * size + [cx, cy]
        end = joint + rng.uniform(-0.3, 0.3, 2) * size
        points = np.clip(np.array([[cx, cy], joint, end]), [cx - size / 2, cy - size / 2], [cx + size / 2, cy + size / 2])
        cv2.polylines(image, [points.astype(np.int32)], False, ink, thick, cv2.LINE_AA)
    paint.disc(
        image, cx + rng.uniform(-0.3, 0.3) * size, cy - rng.uniform(0.2, 0.4) * size, size * rng.uniform(0.06, 0.14), ink
    )


def stacked(image, face, left, right, cy, height, rng, ink) -> tuple[float, float]:
    """Small letters above one another at one end of the text; the room that is left, (left, right)."""
    letters = str(rng.choice(SMALL))
    if rng.random() < 0.4:
        letters = "".join(rng.choice(list("ABCDEFGHJKLMNPRSTUVWXYZ"), int(rng.integers(2, 5))))
    if rng.random() < 0.2:
        letters = str(rng.integers(1, 999))
    step = height * rng.uniform(0.85, 1.1) / len(letters)
    tall = max(4, int(min(step * rng.uniform(0.8, 0.95), height * 0.48)))
    wide = max(3, int(tall * rng.uniform(0.5, 1.1)))
    at_left = rng.random() < 0.65
    x = left if at_left else right - wide
    for i, letter in enumerate(letters):
        mask = face.ink(letter, tall, wide)
        paint.blend(image, mask, x, cy - len(letters) * step / 2 + i * step, ink)
    room = wide + height * rng.uniform(0.08, 0.2)
    return (left + room, right) if at_left else (left, right - room)


def beside(image, left, right, cy, height, rng, ink) -> tuple[float, float]:
    """A pictogram at one end, in the colour of the text or not; the room that is left."""
    size = height * rng.uniform(0.6, 1.25)
    at_left = rng.random() < 0.7
    centre = left + size * 0.45 if at_left else right - size * 0.45
    pictogram(image, centre, cy + rng.uniform(-0.08, 0.08) * height, size, rng, ink)
    if rng.random() < 0.3:  # a line of small print under it
        mask = typefaces.line(str(rng.choice(DEALERS)), rng, height * 0.16, size)
        paint.blend(image, mask, centre - mask.shape[1] / 2, cy + height * 0.4, ink)
    return (left + size * 0.98, right) if at_left else (left, right - size * 0.98)


def scene(image, rng) -> None:
    """Hills, sky, sun, waves, graded colour, mottling behind the text."""
    h, w = image.shape[:2]
    u = rng.random()
    if u < 0.35:
        return
    if u < 0.65:
        tint = rng.uniform(110, 255, 3)
        ramp = np.linspace(0, 1, h)[:, None, None] if rng.random() < 0.75 else np.linspace(0, 1, w)[None, :, None]
        if rng.random() < 0.3:
            ramp = np.abs(2 * ramp - 1)
        ramp = np.clip((ramp - rng.uniform(0, 0.6)) * rng.uniform(1, 4), 0, 1) * rng.uniform(0.3, 1)
        image += (tint - image) * ramp.astype(np.float32)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 5))):
            layer, ink = image.copy(), paint.colour(rng.uniform(60, 255, 3))
            kind = int(rng.integers(4))
            if kind == 0:
                cv2.circle(layer, (int(rng.uniform(0, w)), int(rng.uniform(0, h))), int(rng.uniform(5, h * 0.5)), ink, -1)
            elif kind == 1:
                shape = rng.uniform(0, 1, (int(rng.integers(3, 8)), 2)) * [w, h]
                cv2.fillPoly(layer, [shape.astype(np.int32)], ink)
            elif kind == 2:  # a ridge of hills
                x = np.linspace(0, w, 12)
                y = h * (rng.uniform(0.35, 0.8) + np.cumsum(rng.normal(0, 0.04, 12)))
                ridge = np.vstack([np.stack([x, y], 1), [[w, h], [0, h]]])
                cv2.fillPoly(layer, [ridge.astype(np.int32)], ink)
            else:
                path = rng.uniform(0, 1, (int(rng.integers(2, 7)), 2)) * [w, h]
                cv2.polylines(layer, [path.astype(np.int32)], False, ink, int(rng.integers(1, 6)))
            image += (layer - image) * rng.uniform(0.1, 0.45)
    if rng.random() < 0.2:
        cells = (int(rng.integers(2, 6)), int(rng.integers(3, 9)), 3)
        field = cv2.resize(rng.uniform(-1, 1, cells).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
        image += field * rng.uniform(8, 45)


def stickers(image, rng) -> None:
    """Validation stickers in the corners, bolts in their holes."""
    h, w = image.shape[:2]
    for fx, fy in ((0.03, 0.03), (0.84, 0.03), (0.03, 0.83), (0.84, 0.83)):
        if rng.random() < 0.28:
            x, y = int(w * fx), int(h * fy)
            paint.box(image, x, y, x + w * 0.13, y + h * 0.14, any_colour(rng))
            mask = typefaces.line(str(rng.choice(STICKERS)), rng, h * 0.09, w * 0.11)
            paint.blend(image, mask, x + 2, y + 3, any_colour(rng))
    for fx in (0.2, 0.8):
        for fy in (0.07, 0.93):
            if rng.random() < 0.5:
                paint.disc(image, w * fx, h * fy, rng.integers(2, 5), rng.uniform(20, 200, 3))


def dealer_frame(image, rng) -> None:
    """A frame over the plate's edge, with a dealer's name; it may cover the lower line."""
    h, w = image.shape[:2]
    ink = rng.uniform(0, 70, 3) if rng.random() < 0.7 else rng.uniform(120, 230, 3)
    side, low, high = int(h * rng.uniform(0.02, 0.06)), int(h * rng.uniform(0.03, 0.15)), int(h * rng.uniform(0.03, 0.13))
    image[:high] = ink
    image[h - low :] = ink
    image[:, :side] = ink
    image[:, w - side :] = ink
    for y, room in ((1, high - 2), (h - low + 1, low - 2)):
        if room > 5 and rng.random() < 0.7:
            mask = typefaces.line(str(rng.choice(DEALERS)), rng, room * 0.8, w * 0.9)
            paint.blend(image, mask, w / 2 - mask.shape[1] / 2, y + room * 0.1, 255 - ink)


def lettering(rng) -> str:
    """What stands on a dealer's frame: a name, a place, a telephone number."""
    u = rng.random()
    if u < 0.15:
        return f"({rng.integers(200, 999)}) {rng.integers(200, 999)}-{rng.integers(1000, 9999)}"
    if u < 0.5:
        return str(rng.choice(DEALERS)).upper()
    syllables = "AL AN BER CA CO DA DEN EL FOR GRE HA IN KA LO MA MI NOR OAK PA RED RO SAN SEA TON VA VIL WES WOOD".split()
    words = ["".join(rng.choice(syllables, int(rng.integers(2, 4)))) for _ in range(int(rng.integers(1, 3)))]
    return " ".join(words)


def outer_frame(image: np.ndarray, rng) -> tuple[np.ndarray, tuple[int, int]]:
    """A frame around the plate with bold lettering above or below, as detectors box it: (picture, plate's corner in it)."""
    h, w = image.shape[:2]
    side, high, low = (int(h * rng.uniform(0.02, 0.06)), *(int(h * v) for v in rng.uniform(0.05, 0.2, 2)))
    dark = rng.random() < 0.75
    tint = rng.uniform(0, 50, 3) if dark else rng.uniform(140, 230, 3)
    out = np.empty((h + high + low, w + 2 * side, 3), np.float32)
    out[:] = tint
    out[high : high + h, side : side + w] = image
    for y, room in ((0, high), (high + h, low)):
        if room > 7 and rng.random() < 0.75:
            mask = typefaces.line(lettering(rng), rng, room * rng.uniform(0.7, 0.95), w * 0.92)
            top = y + (room - mask.shape[0]) / 2
            paint.blend(out, mask, (w + 2 * side - mask.shape[1]) / 2, top, 255 - tint if dark else rng.uniform(0, 60, 3))
    return out, (side, high)
