"""What a camera in a moving car does to a plate: blur, light, noise, compression.

Every function takes and gives float32 BGR [h, w, 3] in 0-255 at the resolution of the sensor.
"""

import cv2
import numpy as np

FAINTEST = 4.0
"""Grey levels of spread that are left at least: below, nothing is legible and the label would teach guessing."""


def motion_kernel(length: int, angle: float) -> np.ndarray:
    """Blur along a straight path of `length` pixels."""
    kernel = np.zeros((length, length), np.float32)
    c = (length - 1) / 2
    dx, dy = np.cos(angle) * c, np.sin(angle) * c
    cv2.line(kernel, (round(c - dx), round(c - dy)), (round(c + dx), round(c + dy)), 1, 1)
    return kernel / kernel.sum()


def blur(image: np.ndarray, rng: np.random.Generator, width: float) -> np.ndarray:
    """Motion blur along the car's path (mostly horizontal) or defocus, scaled with the plate's width."""
    u = rng.random()
    if u < 0.3:
        length = int(rng.integers(2, max(3, min(12, int(width) // 14) + 2)))
        angle = rng.uniform(0, np.pi) if rng.random() < 0.4 else rng.normal(0, 0.15)
        return cv2.filter2D(image, -1, motion_kernel(length, angle))
    if u < 0.75:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.3 + width / 110))
    return image


def light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, white balance; a tail of very dark and of washed-out pictures; IR as grey."""
    image = (image - 128) * rng.uniform(0.35, 1.25) + 128 * (rng.uniform(0.25, 1.35) if rng.random() < 0.7 else 1)
    image = (image + rng.uniform(-30, 50)) * (1 + rng.uniform(-0.12, 0.12, 3).astype(np.float32))
    u = rng.random()
    if u < 0.25:
        image = 255 * np.clip(image / 255, 0, 1) ** rng.uniform(0.5, 2.2)
    elif u < 0.33:  # night without a flash: a few grey levels are left
        low = rng.uniform(0, 25)
        image = low + np.clip(image, 0, 255) * rng.uniform(0.06, 0.3)
    elif u < 0.38:  # fog, glare on the windscreen
        image = rng.uniform(110, 200) + (np.clip(image, 0, 255) - 128) * rng.uniform(0.08, 0.3)
    if rng.random() < 0.08:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    image = np.clip(image, -20, 275)
    middle, spread = float(image.mean()), float(image.std())
    return middle + (image - middle) * (FAINTEST / max(spread, 0.1)) if spread < FAINTEST else image


def sensor(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise, JPEG and a camera's sharpening; uint8 out."""
    sigma = rng.uniform(0, 10) if rng.random() < 0.8 else rng.uniform(8, 24)
    spread = np.clip(float(image.std()) / 40, 0.25, 1)  # little contrast left: noise as strong would hide everything
    noise = rng.standard_normal(image.shape, np.float32) * (sigma * spread)
    out = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(25, 95))
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    if rng.random() < 0.1:
        out = cv2.addWeighted(out, 2, cv2.GaussianBlur(out, (0, 0), 1.2), -1, 0)
    return out


def degrade(image: np.ndarray, rng: np.random.Generator, width: float) -> np.ndarray:
    """All of it for a plate `width` pixels wide; uint8 BGR out."""
    return sensor(light(blur(image.astype(np.float32), rng, width), rng), rng)
