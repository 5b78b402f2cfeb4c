"""What keeps a plate from being read, from hardly to hopelessly: a ladder for each cause.

`rung(rng, around)` renders a plate of one row, photographs it, and spoils it by one cause; everything else about it is mild.
What the spoilt picture is called is not decided here: a reader that still reads it says that it is legible (why.py).
"""

import cv2
import numpy as np

from . import degrade, paint, photograph, plates

CAUSES = ("none", "small", "blurred", "dark", "covered", "glare")


def small(plate: plates.Plate, rng, around, how: float) -> tuple[np.ndarray, float]:
    """Far away: 60 pixels wide down to 10."""
    width = float(60 * (10 / 60) ** how)
    return photograph.stand(plate, rng, width, around)[0], width


def blurred(crop: np.ndarray, rng, how: float, width: float) -> np.ndarray:
    """Out of focus, or moved while the shutter was open: by up to a sixth of the plate's width."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(crop, (0, 0), 0.3 + how * width / 16)
    length = max(2, round(2 + how * width / 6))
    return cv2.filter2D(
        crop, -1, degrade.motion_kernel(length, rng.uniform(0, np.pi) if rng.random() < 0.4 else rng.normal(0, 0.2))
    )


def dark(crop: np.ndarray, rng, how: float) -> np.ndarray:
    """Night without a flash: few grey levels are left, and noise as strong."""
    low, span = rng.uniform(0, 30), 0.5 * (0.01 / 0.5) ** how
    noise = rng.standard_normal(crop.shape[:2], np.float32)[..., None] * rng.uniform(1, 5)
    return low + np.clip(crop, 0, 255) * span + noise


def _patch(shape: tuple[int, int], rng) -> np.ndarray:
    """Something that lies on a plate, as a mask [h, w] of 0 to 1: a bar, a corner, a blob, spots."""
    h, w = shape
    mask = np.zeros((h, w), np.float32)
    u = rng.random()
    if u < 0.3:  # a tow ball, a bicycle's wheel, a strap
        x, y = rng.uniform(0, w), rng.uniform(0, h)
        angle, thick = rng.uniform(0, np.pi), rng.uniform(0.08, 0.3) * w
        far = np.array([np.cos(angle), np.sin(angle)]) * 2 * w
        a, b = (np.array([x, y]) - far).astype(int), (np.array([x, y]) + far).astype(int)
        cv2.line(mask, tuple(map(int, a)), tuple(map(int, b)), 1.0, max(1, int(thick)))
    elif u < 0.6:  # a hand, a leaf, another car's edge
        points = rng.normal(0, 0.28, (6, 2)) * [w, h] + rng.uniform(0, 1, 2) * [w, h]
        cv2.fillPoly(mask, [cv2.convexHull(points.astype(np.int32))], 1.0)
    elif u < 0.75:  # snow or mud from below or above
        edge = h * rng.uniform(0.2, 0.9) + np.cumsum(rng.normal(0, h * 0.04, w))
        rows = np.arange(h)[:, None]
        mask = ((rows > edge) if rng.random() < 0.6 else (rows < h - edge)).astype(np.float32)
    else:  # splashes
        for _ in range(int(rng.integers(6, 50))):
            cv2.circle(mask, (int(rng.uniform(0, w)), int(rng.uniform(0, h))), int(rng.uniform(0.02, 0.16) * h) + 1, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 1.5))


def covered(crop: np.ndarray, rng, how: float, around: photograph.Surroundings) -> np.ndarray:
    """Something lies on it: more pieces, the higher the rung."""
    h, w = crop.shape[:2]
    for _ in range(1 + int(how * 3)):
        if rng.random() < 0.5:
            with_what = around.piece(w, h, rng)
        else:
            shade = rng.choice([rng.uniform(20, 90), rng.uniform(190, 255)])
            with_what = paint.smooth(rng, (h, w), (3, 5), 0.8, 1.15) * shade
        mask = _patch((h, w), rng)[..., None]
        crop = crop * (1 - mask) + with_what * mask
    return crop


def glare(crop: np.ndarray, rng, how: float) -> np.ndarray:
    """A lamp, the sun or the camera's own light: a spot that burns out, or the whole plate."""
    h, w = crop.shape[:2]
    if rng.random() < 0.35:  # overexposed as a whole, as retroreflection under infrared is
        return crop * rng.uniform(0.6, 1.1) + 30 + how * 260
    light = np.zeros((h, w), np.float32)
    centre = (int(rng.uniform(-0.1, 1.1) * w), int(rng.uniform(-0.2, 1.2) * h))
    cv2.circle(light, centre, max(1, int(rng.uniform(0.1, 0.25) * w * (0.4 + how))), 1.0, -1)
    light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.04, 0.16) * w)
    return crop + light[..., None] * (80 + 500 * how)


def spoilt(rng: np.random.Generator, around: photograph.Surroundings, cause: str, how: float) -> tuple[np.ndarray, str]:
    """(uint8 BGR crop, text) of a rendered plate that `cause` has spoilt so far, 0 to 1; whatever else is mild."""
    plate = plates.render(rng)
    while plate.lines > 1:
        plate = plates.render(rng)
    if cause == "small":
        crop, width = small(plate, rng, around, how)
    else:
        width = float(np.exp(rng.uniform(np.log(60), np.log(220))))
        crop, _ = photograph.stand(plate, rng, width, around)
    if cause == "covered":
        crop = covered(crop, rng, how, around)
    if rng.random() < 0.7:
        crop = (crop - 128) * rng.uniform(0.6, 1.1) + 128 + rng.uniform(-25, 25)
    if cause == "glare":
        crop = glare(crop, rng, how)
    if cause == "blurred":
        crop = blurred(crop, rng, how, width)
    elif rng.random() < 0.5:
        crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.3, 0.3 + width / 250))
    if cause == "dark":
        crop = dark(crop, rng, how)
    if rng.random() < 0.15:
        crop = np.repeat(crop.mean(2, keepdims=True), 3, 2)
    noise = rng.standard_normal(crop.shape, np.float32) * rng.uniform(0, 4)
    out = np.clip(crop + noise, 0, 255).astype(np.uint8)
    quality = int(rng.integers(45, 96))
    return cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), plate.text


def rung(rng: np.random.Generator, around: photograph.Surroundings) -> tuple[np.ndarray, str, str, float]:
    """(uint8 BGR crop, text, cause, how far up its ladder 0 to 1)."""
    cause, how = CAUSES[int(rng.integers(len(CAUSES)))], float(rng.random())
    return *spoilt(rng, around, cause, how), cause, how
