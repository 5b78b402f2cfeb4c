"""Drawing on float32 BGR pictures [h, w, 3], 0-255."""

import cv2
import numpy as np


def colour(value) -> list[float]:
    """A BGR triple as OpenCV wants it."""
    return [float(v) for v in value]


def blend(image: np.ndarray, mask: np.ndarray, x: float, y: float, ink, opacity: float = 1.0) -> None:
    """Lay `ink` through a uint8 mask with its top left corner at (x, y); parts outside the picture are lost."""
    h, w = mask.shape
    x, y = int(x), int(y)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(image.shape[1], x + w), min(image.shape[0], y + h)
    if x1 <= x0 or y1 <= y0:
        return
    alpha = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.float32) * (opacity / 255)
    part = image[y0:y1, x0:x1]
    part += (np.asarray(ink, np.float32) - part) * alpha


def box(image: np.ndarray, x0: float, y0: float, x1: float, y1: float, ink, thick: int = -1) -> None:
    """A rectangle, filled by default."""
    cv2.rectangle(image, (int(x0), int(y0)), (int(x1), int(y1)), colour(ink), thick)


def disc(image: np.ndarray, x: float, y: float, radius: float, ink) -> None:
    """A filled circle."""
    cv2.circle(image, (int(x), int(y)), max(1, int(radius)), colour(ink), -1, cv2.LINE_AA)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], low: float, high: float) -> np.ndarray:
    """A smooth random field [h, w, 1] between two values."""
    small = rng.uniform(low, high, cells).astype(np.float32)
    return cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)[..., None]
