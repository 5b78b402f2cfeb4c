"""Training crops for the detector: real frames, with rendered plates put in place of real ones and beside them."""

import dataclasses
import pathlib
import pickle

import cv2
import numpy as np

from .detector_loss import targets
from .sources import Picture, Use, pictures

WIDTH, HEIGHT = 320, 256
"""A crop at the network's scale; the network itself is fully convolutional."""


def plate_width(rng: np.random.Generator) -> float:
    """How wide a plate should be at the network's scale: mostly as seen from a car, some very close."""
    low, high = (12, 170) if rng.random() < 0.85 else (120, 400)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def lean(rng: np.random.Generator) -> float:
    """By how much a view is turned (radians), or its lines fall: most hardly, one in six as plates that hang crooked."""
    return float(rng.normal(0, 0.06 if rng.random() < 5 / 6 else 0.2))


@dataclasses.dataclass(frozen=True)
class Known:
    """A labelled plate of a frame: its corners [4, 2], clockwise from the upper left, and whether they are the plate's own."""

    corners: np.ndarray
    exact: bool

    @classmethod
    def all_of(cls, picture: Picture, scale: float) -> list["Known"]:
        """The plates of `picture` scaled by `scale`.

        A drawn quadrilateral is exact. So is the box of a plate that somebody looked at, read, and did not tag as tilted; of
        the others nobody knows how they lie in their boxes.
        """
        out = []
        for k, (x, y, w, h) in enumerate(picture.boxes):
            quad = picture.quads[k] if picture.quads else None
            tags = picture.tags[k]
            level = picture.kinds[k] is not None and picture.texts[k] is not None and not {"tilted", "tilt", "cut"} & set(tags)
            box = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
            out.append(cls(scale * np.array(box if quad is None else quad, float), quad is not None or level))
        return out


@dataclasses.dataclass(frozen=True)
class Seen:
    """A labelled plate in a view of its frame: corners [4, 2] in pixels of the crop, clockwise from the upper left."""

    corners: np.ndarray
    exact: bool

    @classmethod
    def through(cls, plate: Known, turn: np.ndarray, shift: np.ndarray) -> "Seen":
        """`plate` under x -> turn @ x + shift; a mirrored plate's corners are named anew."""
        corners = plate.corners @ turn.T + shift
        return cls(corners if np.linalg.det(turn) > 0 else corners[[1, 0, 3, 2]], plate.exact)

    @property
    def middle(self) -> np.ndarray:
        """Its centre (x, y)."""
        return self.corners.mean(0)

    @property
    def width(self) -> float:
        """The length of its upper edge."""
        return float(np.hypot(*(self.corners[1] - self.corners[0])))

    @property
    def angle(self) -> float:
        """By how many radians its lines fall to the right."""
        return float(np.arctan2(*(self.corners[1] - self.corners[0])[::-1]))

    @property
    def box(self) -> list[float]:
        """The upright box around it."""
        return [*self.corners.min(0), *self.corners.max(0)]

    def label(self) -> dict:
        """What the detector should say of it."""
        return {"box": self.box, "corners": self.corners if self.exact else None, "ignore": False}


def apart(x: float, y: float, w: float, h: float, plates: list[dict]) -> bool:
    """Whether something w x h at (x, y) stays clear of all plates."""
    for plate in plates:
        x0, y0, x1, y1 = plate["box"]
        if abs(x - (x0 + x1) / 2) < 0.6 * (w + x1 - x0) and abs(y - (y0 + y1) / 2) < 0.6 * (h + y1 - y0):
            return False
    return True


class Scenes:
    """Draws crops with their plates; one per worker process, `seed` makes it repeatable."""

    def __init__(self, folders: list[pathlib.Path], pool: pathlib.Path, seed: int, held: frozenset[str] = frozenset()):
        self.rng = np.random.default_rng(seed)
        self.frames, weights = [], []
        for picture in [p for f in folders if f.exists() for p in pictures(f, Use.TRAIN, held=held)]:
            image, boxes = picture.load(), picture.boxes
            k = min(1, 960 / max(image.shape[:2]))
            if k < 1:
                image = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
            pyramid = [image]
            for _ in range(2):
                pyramid.append(cv2.resize(pyramid[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            self.frames.append((pyramid, Known.all_of(picture, k)))
            weights.append(self._weight(picture.source, boxes))
        self.weight = np.cumsum(np.array(weights) / sum(weights))
        with (pool / "plates.pkl").open("rb") as f:
            self.plates = pickle.load(f)
        with (pool / "panels.pkl").open("rb") as f:
            self.panels = pickle.load(f)
        self.empty = [self._without_plates(p[1] if p[0].shape[1] > 700 else p[0], b, p[0].shape[1]) for p, b in self.frames]
        self.noise = self.rng.standard_normal((HEIGHT + 64, WIDTH + 64, 3), np.float32)

    @staticmethod
    def _weight(source: str, boxes: list) -> float:
        """Frames of Open Images show the variety and the US plates; the dash-cam film repeats itself."""
        if not boxes:
            return 1.0
        return {"oi": 1.8, "oi2": 1.8, "misc": 1.5, "am": 1.5, "rl": 0.7, "caltech": 0.7}.get(source, 1.0)

    @staticmethod
    def _without_plates(image: np.ndarray, plates: list[Known], full_width: int) -> np.ndarray:
        """A copy with every plate painted over by what is above it."""
        image, k = image.copy(), image.shape[1] / full_width
        for plate in plates:
            low, high = plate.corners.min(0), plate.corners.max(0)
            x, y, w, h = (max(0, int(v * k)) for v in (*low, *(high - low)))
            if w and h:
                above = image[max(0, y - h) : y, x : x + w]
                part = image[y : y + h, x : x + w]
                part[:] = cv2.resize(above, (part.shape[1], part.shape[0])) if above.size else 90
        return image

    def paste(self, image: np.ndarray, picture: np.ndarray, x: float, y: float, width: float, angle: float, ink_only=False):
        """Put a picture into `image` around (x, y) in mild perspective, lit like its surroundings; its corners [4, 2]."""
        rng = self.rng
        h, w = picture.shape[:2]
        height = width * h / w * rng.uniform(0.85, 1.1)
        quad = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
        yaw = rng.normal(0, 0.12)
        quad[:, 1] *= 1 + np.sign(quad[:, 0]) * yaw * 0.5
        quad[:, 0] *= 1 - abs(yaw) * rng.uniform(0, 1.2)
        quad[:2, 0] += rng.normal(0, 0.05) * height
        c, s = np.cos(angle), np.sin(angle)
        quad = (quad @ np.array([[c, s], [-s, c]]) + [x, y]).astype(np.float32)
        rows, columns = image.shape[:2]
        x0, y0 = np.maximum(0, np.floor(quad.min(0) - 3)).astype(int)
        x1, y1 = np.minimum([columns, rows], np.ceil(quad.max(0) + 3)).astype(int)
        if x1 - x0 < 3 or y1 - y0 < 3:
            return quad
        part = image[y0:y1, x0:x1]
        look = picture.astype(np.float32)
        if width / w < 0.6:
            look = cv2.GaussianBlur(look, (0, 0), 0.4 * w / width)
        if rng.random() < 0.75:
            look = look * np.clip((part.mean() * rng.uniform(0.7, 1.4) + 25) / (look.mean() + 1), 0.2, 1.4)
        if ink_only:
            look = part.reshape(-1, 3).mean(0) + (look - look[0, 0])
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
        to = cv2.getPerspectiveTransform(corners, quad - np.array([x0, y0], np.float32))
        size = (int(x1 - x0), int(y1 - y0))
        warped = cv2.warpPerspective(np.clip(look, 0, 255), to, size, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpPerspective(np.ones((h, w), np.float32), to, size)
        mask = cv2.GaussianBlur(mask, (0, 0), 0.6)[..., None]
        part[:] = (part * (1 - mask) + warped * mask).astype(np.uint8)
        return quad

    def _view(self) -> tuple[np.ndarray, list[Seen]]:
        """A frame scaled, turned, shifted: (crop, its plates)."""
        rng = self.rng
        pyramid, plates = self.frames[int(np.searchsorted(self.weight, rng.random()))]
        rows, columns = pyramid[0].shape[:2]
        if plates:
            corners = plates[int(rng.integers(len(plates)))].corners
            scale = float(np.clip(plate_width(rng) / np.ptp(corners[:, 0]), 0.12, 3.0))
            reach = 0.42 if rng.random() < 0.85 else 1.2
            middle = corners.mean(0) + rng.uniform(-reach, reach, 2) * [WIDTH / scale, HEIGHT / scale]
        else:
            scale = float(np.exp(rng.uniform(np.log(0.35), np.log(1.3))))
            middle = rng.uniform(0, 1, 2) * [columns, rows]
        turn = self._turn(scale)
        shift = np.array([WIDTH / 2, HEIGHT / 2]) - turn @ middle
        level = 0 if scale > 0.7 else 1 if scale > 0.35 else 2
        matrix = np.hstack([turn * 2.0**level, shift[:, None]])
        crop = self._backdrop()
        cv2.warpAffine(
            pyramid[level], matrix, (WIDTH, HEIGHT), dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        return crop, [Seen.through(plate, turn, shift) for plate in plates]

    def _turn(self, scale: float) -> np.ndarray:
        """A view's matrix [2, 2]: mirrored or not, scaled, leaning, its lines falling as from the side, and turned."""
        rng = self.rng
        flip = -1 if rng.random() < 0.5 else 1
        size = np.diag([flip * scale * rng.uniform(0.85, 1.18), scale])
        angle, fall = (lean(rng), 0.0) if rng.random() < 0.5 else (rng.normal(0, 0.06), lean(rng))
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s], [s, c]]) @ np.array([[1, rng.normal(0, 0.05)], [fall, 1]]) @ size

    def _backdrop(self) -> np.ndarray:
        """What shows where the frame does not reach: a piece of another one without plates, or plain."""
        rng = self.rng
        if rng.random() < 0.2:
            return np.full((HEIGHT, WIDTH, 3), int(rng.integers(0, 200)), np.uint8)
        other = self.empty[int(rng.integers(len(self.empty)))]
        y = int(rng.integers(0, max(1, other.shape[0] - HEIGHT + 1)))
        x = int(rng.integers(0, max(1, other.shape[1] - WIDTH + 1)))
        piece = other[y : y + HEIGHT, x : x + WIDTH]
        return piece.copy() if piece.shape[:2] == (HEIGHT, WIDTH) else cv2.resize(piece, (WIDTH, HEIGHT))

    def _rendered(self, crop, x, y, width, angle) -> dict:
        """Paste a rendered plate; its exact box and corners."""
        quad = self.paste(crop, self.plates[int(self.rng.integers(len(self.plates)))], x, y, width, angle)
        return {"box": [*quad.min(0), *quad.max(0)], "corners": quad, "ignore": False}

    def sample(self) -> tuple[np.ndarray, list[dict]]:
        """(uint8 BGR crop, plates)."""
        rng = self.rng
        crop, seen = self._view()
        plates = []
        for plate in seen:
            (x, y), (w, h) = plate.middle, np.ptp(plate.corners, axis=0)
            if 0 < x < WIDTH and 0 < y < HEIGHT:
                if plate.width > 10 and rng.random() < 0.4:
                    plates.append(self._rendered(crop, x, y, plate.width * rng.uniform(0.97, 1.15), plate.angle))
                else:
                    plates.append(plate.label())
            elif -w / 2 < x < WIDTH + w / 2 and -h / 2 < y < HEIGHT + h / 2:
                plates.append({"box": plate.box, "corners": None, "ignore": True})
        if rng.random() < 0.3:
            for _ in range(int(rng.integers(1, 3))):
                w = float(np.exp(rng.uniform(np.log(14), np.log(150))))
                x, y = rng.uniform(0.1, 0.9, 2) * [WIDTH, HEIGHT]
                if apart(x, y, w, w / 2, plates):
                    plates.append(self._rendered(crop, x, y, w, rng.normal(0, 0.1)))
        if rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 4))):
                picture, ink_only = self.panels[int(rng.integers(len(self.panels)))]
                w = float(np.exp(rng.uniform(np.log(12), np.log(130))))
                x, y = rng.uniform(0.03, 0.97, 2) * [WIDTH, HEIGHT]
                if apart(x, y, w, w * picture.shape[0] / picture.shape[1] * 1.1, plates):
                    self.paste(crop, picture, x, y, w, rng.normal(0, 0.08), ink_only)
        return self._photograph(crop), plates

    def _photograph(self, crop: np.ndarray) -> np.ndarray:
        """Exposure, colour, blur, noise, JPEG of the whole crop."""
        rng = self.rng
        f = crop.astype(np.float32)
        if rng.random() < 0.8:
            f = (f - 128) * rng.uniform(0.5, 1.4) + 128 * rng.uniform(0.45, 1.35)
            f *= 1 + rng.uniform(-0.12, 0.12, 3).astype(np.float32)
        u = rng.random()
        if u < 0.3:
            f = 255 * np.clip(f / 255, 0, 1) ** rng.uniform(0.5, 2.2)
        elif u < 0.36:
            f = rng.uniform(0, 20) + np.clip(f, 0, 255) * rng.uniform(0.1, 0.35)
        if rng.random() < 0.2:
            f = np.repeat(f.mean(2, keepdims=True), 3, 2)
        if rng.random() < 0.3:
            f = cv2.GaussianBlur(f, (0, 0), rng.uniform(0.4, 1.6))
        if rng.random() < 0.12:
            f = cv2.blur(f, (int(rng.integers(3, 8)), 1))
        if rng.random() < 0.4:
            k = int(rng.integers(0, 64))
            f += self.noise[k : k + HEIGHT, k : k + WIDTH] * rng.uniform(2, 14)
        out = np.clip(f, 0, 255).astype(np.uint8)
        if rng.random() < 0.35:
            quality = int(rng.integers(30, 90))
            out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        return out

    def batch(self, n: int) -> dict[str, np.ndarray]:
        """n crops as {"image": uint8 [n, h, w, 3], and the maps of detector_loss.targets}."""
        rows = []
        for _ in range(n):
            image, plates = self.sample()
            rows.append({"image": image, **targets(plates, WIDTH, HEIGHT)})
        return {k: np.stack([r[k] for r in rows]) for k in rows[0]}
