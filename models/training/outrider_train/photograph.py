"""Puts a rendered plate into a picture: perspective, curvature, rolling shutter, surroundings, a detector's crop."""

import pathlib

import cv2
import numpy as np

from .degrade import degrade
from .plates import Plate
from .sources import Use, pictures


class Surroundings:
    """Pieces of real frames without plates, to stand around rendered ones; plain noise when there is no pack."""

    def __init__(self, folder: pathlib.Path | None):
        self.frames = []
        for picture in pictures(folder, Use.TRAIN) if folder and folder.exists() else []:
            image = picture.load()
            for x, y, w, h in picture.boxes:
                x, y, w, h = (max(0, int(v)) for v in (x, y, w, h))
                above, part = image[max(0, y - h) : y, x : x + w], image[y : y + h, x : x + w]
                if part.size:
                    part[:] = cv2.resize(above, (part.shape[1], part.shape[0])) if above.size else 90
            self.frames.append(cv2.resize(image, (480, max(40, 480 * image.shape[0] // image.shape[1]))))

    def piece(self, width: int, height: int, rng) -> np.ndarray:
        """float32 BGR [height, width, 3]."""
        if not self.frames:
            small = rng.uniform(0, 200, (4, 6, 3)).astype(np.float32)
            return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        frame = self.frames[int(rng.integers(len(self.frames)))]
        rows, columns = frame.shape[:2]
        w, h = min(width, columns - 1), min(height, rows - 1)
        y, x = int(rng.integers(0, rows - h)), int(rng.integers(0, columns - w))
        return cv2.resize(frame[y : y + h, x : x + w], (width, height)).astype(np.float32)


def bend(plate: Plate, rng) -> Plate:
    """Curve a plate along its length, as bumpers do; character boxes follow."""
    h, w = plate.image.shape[:2]
    depth, phase = rng.normal(0, 0.03) * h, rng.uniform(0, np.pi)
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    lift = (depth * np.sin(columns / w * np.pi + phase)).astype(np.float32)
    image = cv2.remap(plate.image.astype(np.float32), columns, rows + lift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    boxes = plate.boxes.astype(np.float64).copy()
    if len(boxes):
        middle = (boxes[:, 0] + boxes[:, 2]) / 2
        boxes[:, [1, 3]] -= depth * np.sin(middle / w * np.pi + phase)[:, None]
    return Plate(image, plate.text, plate.place, boxes)


def stand(plate: Plate, rng, width: float, around: Surroundings) -> tuple[np.ndarray, np.ndarray]:
    """(float32 BGR crop of a plate `width` pixels wide, homography from the plate's pixels to the crop's).

    The crop's margins are those of a detector: mostly -3..+12 % a side, sometimes far more.
    """
    h, w = plate.image.shape[:2]
    height = width * h / w
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    fall, lean = rng.normal(0, 0.06) * width, rng.normal(0, 0.09) * height
    quad += np.array([[0, -fall / 2], [0, fall / 2], [0, fall / 2], [0, -fall / 2]])
    quad[:2, 0] += lean  # seen from the side; a rolling shutter leans it as well
    quad += rng.normal(0, 0.02, (4, 2)) * [width, height]
    (x0, y0), (x1, y1) = quad.min(0), quad.max(0)
    wide, tall = x1 - x0, y1 - y0
    left, right = (rng.uniform(-0.025, 0.12, 2) if rng.random() < 0.85 else rng.uniform(-0.03, 0.2, 2)) * wide
    top, bottom = (rng.uniform(-0.06, 0.18, 2) if rng.random() < 0.85 else rng.uniform(-0.08, 0.4, 2)) * tall
    columns, rows = max(12, round(wide + left + right)), max(7, round(tall + top + bottom))
    target = (quad - [x0 - left, y0 - top]).astype(np.float32)
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    to = cv2.getPerspectiveTransform(source, target)
    image = plate.image.astype(np.float32)
    if width / w < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), 0.35 * w / width)
    backdrop = around.piece(columns, rows, rng)
    if rng.random() < 0.3:
        backdrop *= rng.uniform(0.1, 0.6)
    warped = cv2.warpPerspective(image, to, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpPerspective(np.ones((h, w), np.float32), to, (columns, rows))[..., None]
    return backdrop * (1 - mask) + warped * mask, to


def picture_of(plate: Plate, rng, around: Surroundings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(uint8 BGR crop, plate corners [4, 2], character boxes as quads [n, 4, 2]) of a plate 44-230 px wide."""
    if rng.random() < 0.3:
        plate = bend(plate, rng)
    h, w = plate.image.shape[:2]
    narrowest = 44 if w / h < 3 else 60
    width = float(np.exp(rng.uniform(np.log(narrowest), np.log(230))))
    crop, to = stand(plate, rng, width, around)
    corners = cv2.perspectiveTransform(np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float32), to)[0]
    x0, y0, x1, y1 = plate.boxes.T
    quads = np.stack([np.stack([x0, y0], 1), np.stack([x1, y0], 1), np.stack([x1, y1], 1), np.stack([x0, y1], 1)], 1)
    quads = cv2.perspectiveTransform(quads.reshape(1, -1, 2).astype(np.float32), to).reshape(-1, 4, 2)
    return degrade(crop, rng, width), corners, quads
