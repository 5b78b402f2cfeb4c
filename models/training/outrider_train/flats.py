"""Flat rendered plates on disk, and their photographs: a plate is rendered once and photographed anew at every draw.

Rendering a plate costs 7 CPU ms, a photograph of it under 1 ms at the size at which a camera would see it, so training never
sees one picture twice. Grey throughout, as the reader is. Real crops go through the same lens: see RealPlates.
"""

import dataclasses
import os
import pathlib

import cv2
import numpy as np

from . import distractors, labels
from .crops import more_texts
from .degrade import motion_kernel
from .ocr_net import HEIGHT, WIDTH
from .plates import Plate, place_of, render, render_of
from .rows import render_rows
from .sources import USUAL_WEIGHTS, Source, Use, Weights, pictures

AROUND = 0.45
"""How much of a plate's surroundings is kept on each side, in shares of its width and height."""
FAINTEST = 6.0
"""Grey levels of spread that are left at least: below, nothing is legible and the label would teach guessing."""
USUAL = 0.55
"""Share of photographs as most are: upright, sharp enough, boxed as our detector boxes. The rest is as bad as it gets: a reader
that has seen only the worst reads the usual worse than it could."""
TWO = "flat-two-"
"""How the files of plates of two rows begin."""
NARROW, WIDE = 38.0, 240.0
"""Widths in pixels at which plates are photographed."""


def pool(folder: pathlib.Path, seed: int, files: int, each: int, two: bool = False, only: tuple[str, ...] = ()) -> None:
    """`files` npz files of `each` flat plates, of one line or of rows.py; file i depends on (seed, i) alone, and is skipped
    when it exists. `only` asks for these jurisdictions, evenly: one that is named twice has twice the plates.
    """
    wanted = [place_of(code) for code in only]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(files):
        kind = TWO if two else "flat-only-" if only else "flat-"
        path = folder / f"{kind}{seed}-{i:03}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, i])
        pixels, sizes, texts, places = [], [], [], []
        while len(texts) < each:
            plate = (
                render_rows(rng) if two else render_of(wanted[int(rng.integers(len(wanted)))], rng) if wanted else render(rng)
            )
            if plate.lines > 1 and not two:
                continue
            grey = cv2.cvtColor(np.clip(plate.image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
            pixels.append(grey.reshape(-1))
            sizes.append(grey.shape)
            texts.append(in_rows(plate))
            places.append(plate.place)
        part = path.with_suffix(".part.npz")
        np.savez(part, pixels=np.concatenate(pixels), sizes=np.array(sizes), y=np.array(texts), place=np.array(places))
        os.replace(part, path)


def in_rows(plate: Plate) -> str:
    """The plate's text, with labels.BREAK between its rows if it has two: where the second begins, characters stand lower."""
    if plate.lines < 2:
        return plate.text
    middles = (plate.boxes[:, 1] + plate.boxes[:, 3]) / 2
    at = 1 + int(np.argmax(np.diff(middles)))
    return plate.text[:at] + labels.BREAK + plate.text[at:]


@dataclasses.dataclass
class Seen:
    """A plate in its surroundings, grey; `box` is x, y, w, h of the plate within `image`."""

    image: np.ndarray
    box: tuple[float, float, float, float]
    text: str


def surroundings(image: np.ndarray, box, widest: float = WIDE, text: str = "") -> Seen:
    """The plate at `box` with AROUND on every side, shrunk to at most `widest`; beyond the picture its edge is repeated."""
    x, y, w, h = box
    k = min(1.0, widest / w)
    left, top = x - AROUND * w, y - AROUND * h
    size = (max(8, round(w * (1 + 2 * AROUND) * k)), max(8, round(h * (1 + 2 * AROUND) * k)))
    x0, y0 = max(0, int(left)), max(0, int(top))
    part = image[y0 : int(y + h * (1 + AROUND)) + 2, x0 : int(x + w * (1 + AROUND)) + 2]
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY) if part.ndim == 3 else part
    if k < 1:
        grey = cv2.resize(grey, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    move = np.array([[1, 0, (x0 - left) * k], [0, 1, (y0 - top) * k]], np.float32)
    whole = cv2.warpAffine(grey, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Seen(whole, (AROUND * w * k, AROUND * h * k, w * k, h * k), text)


class Places:
    """Where plates stand: the surroundings of real plates of training folders, and pieces of frames without any."""

    def __init__(self, *folders: pathlib.Path, use: Use = Use.TRAIN, held: frozenset[str] = frozenset()):
        self.seen, self.frames = [], []
        for picture in [p for f in folders if f.exists() for p in pictures(f, use, held=held)]:
            if picture.boxes and not any(b[2] >= 40 for b in picture.boxes):
                continue
            image = picture.load()
            self.seen += [surroundings(image, b) for b in picture.boxes if b[2] >= 40]
            if not picture.boxes:
                self.frames.append(cv2.cvtColor(cv2.resize(image, (640, 400)), cv2.COLOR_BGR2GRAY))

    def canvas(self, rng, columns: int, rows: int, box) -> np.ndarray:
        """float32 [rows, columns] for a plate whose box within it is x, y, w, h."""
        u = rng.random()
        if u < 0.55 and self.seen:
            place = self.seen[int(rng.integers(len(self.seen)))]
            px, py, pw, ph = place.box
            x, y, w, h = box
            fx, fy = w / pw, h / ph
            move = np.array([[fx, 0, x - px * fx], [0, fy, y - py * fy]], np.float32)
            out = cv2.warpAffine(place.image, move, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            return out.astype(np.float32)
        if u < 0.75 and self.frames:
            frame = self.frames[int(rng.integers(len(self.frames)))]
            y, x = int(rng.integers(0, 400 - min(rows, 399))), int(rng.integers(0, 640 - min(columns, 639)))
            return cv2.resize(frame[y : y + rows, x : x + columns], (columns, rows)).astype(np.float32)
        small = (rng.uniform(0, 235) + rng.normal(0, 22, (3, 4))).astype(np.float32)
        return cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)


CUT = 0.2
"""Share of photographs in which the box ends within the plate, as a detector's does that mistakes a part for the whole."""


def margins(rng, usual: bool = False) -> np.ndarray:
    """Left, top, right, bottom in shares of the plate: what detectors leave around it, each side for itself; some cut it off.

    The label of a plate that is cut off stays the whole text: a reader that must answer for characters that it cannot see
    learns from a missing rim that there are some, and is sure of no text there.
    """
    out = whole_margins(rng, usual)
    if rng.random() < CUT:
        side = int(rng.choice(4, p=[0.45, 0.05, 0.45, 0.05]))
        out[side] = -rng.uniform(0.06, 0.35)
    return out


READY = 0.1
"""Share of photographs that end at the plate's rim on every side, or just within it: crops that somebody cut beforehand.

No rim on any side says nothing about a missing character; no rim on one side alone does (CUT). Without these a reader that has
learnt the second doubts every ready-cut crop.
"""


def whole_margins(rng, usual: bool = False) -> np.ndarray:
    """As `margins`, of boxes that hold the plate but for what a detector is usually off."""
    if rng.random() < READY:
        return rng.uniform(-0.035, 0.015, 4)
    if usual:  # some room, and our detector's error: 0.07-0.1 of a side on US frames, less on others
        return np.clip(rng.normal(0.06, 0.055, 4), -0.06, 0.25)
    if rng.random() < 0.8:
        return rng.uniform(-0.03, 0.15, 4)
    low, high = np.array([-0.03, -0.05, -0.03, -0.05]), np.array([0.22, 0.4, 0.22, 0.4])
    return rng.uniform(low, high)


def project(
    image: np.ndarray, box, rng, width: float, tilt: float, canvas=None, usual: bool = False, whole: bool = False
) -> np.ndarray:
    """float32 crop of the plate at `box` of `image`, `width` pixels wide in it, seen at an angle, with margins.

    `canvas(columns, rows, box)` gives what stands behind; without one, `image` itself goes on around the box. None is cut off
    where the plate is to be `whole`.
    """
    room = whole_margins if whole else margins
    return view(image, box, rng, width, tilt, canvas, lambda: room(rng, usual))[0]


def view(image: np.ndarray, box, rng, width: float, tilt: float, canvas, room) -> tuple[np.ndarray, tuple]:
    """As `project`, with the plate's box x, y, w, h in the crop; `room()` gives the margins in shares of its sides."""
    x, y, w, h = box
    height = width * h / w
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    fall, lean = rng.normal(0, 0.06 * tilt) * width, rng.normal(0, 0.09 * tilt) * height
    quad[[0, 3], 1] -= fall / 2
    quad[[1, 2], 1] += fall / 2
    quad[:2, 0] += lean
    quad += rng.normal(0, 0.02 * tilt, (4, 2)) * [width, height]
    (x0, y0), (x1, y1) = quad.min(0), quad.max(0)
    left, top, right, bottom = room() * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    columns, rows = max(12, round(x1 - x0 + left + right)), max(7, round(y1 - y0 + top + bottom))
    quad -= [x0 - left, y0 - top]
    scale = min(1.0, 1.3 * width / w)
    if scale < 0.9:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x, y, w, h = x * scale, y * scale, w * scale, h * scale
    source = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
    to = cv2.getPerspectiveTransform(source, quad.astype(np.float32))
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    warped = cv2.warpPerspective(image, to, (columns, rows), **how).astype(np.float32)
    stands = (left, top, x1 - x0, y1 - y0)
    if canvas is None:
        return warped, stands
    mask = np.zeros((rows, columns), np.uint8)
    cv2.fillConvexPoly(mask, np.round(quad * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    mask = mask.astype(np.float32) / 255
    behind = canvas(columns, rows, stands)
    if rng.random() < 0.25:
        behind *= rng.uniform(0.1, 0.7)
    return behind + (warped - behind) * mask, stands


def develop(image: np.ndarray, rng, width: float) -> np.ndarray:
    """What lens, light, sensor and codec do to a grey float32 crop of a plate `width` wide; uint8 out."""
    u = rng.random()
    if u < 0.28:
        length = int(rng.integers(2, max(3, min(12, int(width) // 14) + 2)))
        angle = rng.uniform(0, np.pi) if rng.random() < 0.4 else rng.normal(0, 0.15)
        image = cv2.filter2D(image, -1, motion_kernel(length, angle))
    elif u < 0.75:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.3 + width / 110))
    image = (image - 128) * rng.uniform(0.3, 1.25) + 128 * (rng.uniform(0.25, 1.35) if rng.random() < 0.7 else 1)
    image = image + rng.uniform(-30, 50)
    u = rng.random()
    if u < 0.25:
        image = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.5, 2.2)
    elif u < 0.38:  # in the shade, at dusk, against the sun: a few grey levels are left
        image = rng.uniform(0, 45) + np.clip(image, 0, 255) * rng.uniform(0.07, 0.35)
    elif u < 0.43:  # fog, glare on the windscreen
        image = rng.uniform(110, 200) + (np.clip(image, 0, 255) - 128) * rng.uniform(0.1, 0.35)
    image = np.clip(image, -20, 275)
    spread = float(image.std())
    if spread < FAINTEST:
        middle = float(image.mean())
        image, spread = middle + (image - middle) * (FAINTEST / max(spread, 0.1)), FAINTEST
    clear = min(1.0, max(0.15, spread / 40))  # little contrast left: noise and loss as strong would hide everything
    sigma = (rng.uniform(0, 8) if rng.random() < 0.8 else rng.uniform(6, 18)) * clear
    out = np.clip(image + rng.standard_normal(image.shape, np.float32) * sigma, 0, 255).astype(np.uint8)
    if rng.random() < 0.65:
        quality = int(rng.integers(25 + int(55 * (1 - clear)), 95))
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
    if rng.random() < 0.1:
        out = cv2.addWeighted(out, 2, cv2.GaussianBlur(out, (0, 0), 1.2), -1, 0)
    return out


def develop_usual(image: np.ndarray, rng, width: float) -> np.ndarray:
    """What most frames of a working camera look like: little blur and noise, any exposure, a codec's blocks and halos."""
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.25, 0.35 + width / 220))
    u = rng.random()
    gain = rng.uniform(0.6, 1.15) if u < 0.7 else rng.uniform(0.12, 0.5) if u < 0.95 else rng.uniform(1.2, 1.9)
    image = image * gain + rng.uniform(0, 60) * (1 - min(1.0, gain)) + rng.uniform(-10, 15)
    if rng.random() < 0.3:
        image = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.6, 1.8)
    clear = min(1.0, max(0.15, float(image.std()) / 40))
    out = np.clip(image + rng.standard_normal(image.shape, np.float32) * rng.uniform(0, 4) * clear, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:  # cameras sharpen before they compress
        strength = rng.uniform(0.4, 1.8)
        out = cv2.addWeighted(out, 1 + strength, cv2.GaussianBlur(out, (0, 0), rng.uniform(0.8, 1.8)), -strength, 0)
    if rng.random() < 0.75:
        quality = int(rng.integers(30 + int(50 * (1 - clear)), 95))
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
    return out


def to_reader(crop: np.ndarray, rng) -> np.ndarray:
    """uint8 [64, 160], mostly by the daemon's own way of resizing."""
    how = cv2.INTER_LINEAR if rng.random() < 0.85 else cv2.INTER_AREA
    return cv2.resize(crop, (WIDTH, HEIGHT), interpolation=how)


def bend(image: np.ndarray, rng) -> np.ndarray:
    """A plate curved along its length, as bumpers are."""
    h, w = image.shape
    lift = rng.normal(0, 0.03) * h * np.sin(np.arange(w, dtype=np.float32) / w * np.pi + rng.uniform(0, np.pi))
    columns, rows = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    return cv2.remap(image, columns, rows + lift.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class FlatPlates:
    """The rendered plates of a folder, of one row or of two; picks up new files while they are written."""

    def __init__(self, folder: pathlib.Path, places: Places, limit: int = 10**9, two: bool = False):
        self.folder, self.places, self.limit, self.two = folder, places, limit, two
        self.files: dict[str, tuple] = {}
        self.index: list[tuple[str, int]] = []

    def __len__(self):
        return len(self.index)

    def refresh(self) -> None:
        """Load files that are new; the oldest are dropped beyond `limit` plates."""
        there = [f for f in sorted(self.folder.glob("flat-*.npz")) if f.name.startswith(TWO) == self.two]
        new = [f for f in there if f.name not in self.files and ".part" not in f.name]
        if not new:
            return
        for path in sorted(new, key=lambda f: f.stat().st_mtime):
            with np.load(path) as z:
                sizes = z["sizes"]
                starts = np.concatenate([[0], np.cumsum(sizes.prod(1))])
                self.files[path.name] = (z["pixels"], sizes, starts, [str(t) for t in z["y"]])
        self.index = []
        for name in reversed(list(self.files)):
            if len(self.index) < self.limit:
                sizes = self.files[name][1]
                self.index += [(name, i) for i in range(len(sizes))]
            else:
                self.files[name] = (np.zeros(0, np.uint8), np.zeros((0, 2), int), np.zeros(1, int), [])

    def draw(self, rng) -> tuple[np.ndarray, str]:
        """A photograph of one of the plates: (uint8 [64, 160], text, in rows if there are two)."""
        name, i = self.index[int(rng.integers(len(self.index)))]
        pixels, sizes, starts, texts = self.files[name]
        h, w = sizes[i]
        return photograph(pixels[starts[i] : starts[i + 1]].reshape(h, w), rng, self.places), texts[i]


def photograph(plate: np.ndarray, rng, places: Places) -> np.ndarray:
    """A flat grey plate as the reader gets it: uint8 [64, 160]."""
    if rng.random() < 0.2:
        plate = bend(plate, rng)
    h, w = plate.shape
    if rng.random() < USUAL:
        width = float(np.exp(rng.uniform(np.log(1.2 * NARROW), np.log(WIDE))))
        crop = project(plate, (0, 0, w, h), rng, width, 0.4, lambda c, r, b: places.canvas(rng, c, r, b), usual=True)
        return to_reader(develop_usual(crop, rng, width), rng)
    narrow, wide = NARROW if w / h < 3 else 1.5 * NARROW, WIDE
    if rng.random() < 0.45:  # far away, as most plates of a wide camera are
        wide = narrow * 2.4
    width = float(np.exp(rng.uniform(np.log(narrow), np.log(wide))))
    crop = project(plate, (0, 0, w, h), rng, width, 1.0, lambda c, r, b: places.canvas(rng, c, r, b))
    return to_reader(develop(crop, rng, width), rng)


class RealPlates:
    """Real plates of one source with texts, rare ones as often as common ones; same lens, a little less of everything."""

    def __init__(self, source: Source, use: Use, weights: Weights = USUAL_WEIGHTS, held: frozenset[str] = frozenset()):
        self.items, factors = [], []
        for picture in more_texts(pictures(source.folder, use, source.prefix, held)):
            image = None
            for box, text, place, tags, kind in zip(
                picture.boxes, picture.texts, picture.places, picture.tags, picture.kinds, strict=True
            ):
                factor = weights.factor(picture.source, place, tags)
                if not text or not 2 <= len(labels.normalise(text)) <= 10 or kind not in (None, "plate") or factor <= 0:
                    continue
                image = picture.load() if image is None else image
                self.items.append(surroundings(image, box, 1.2 * WIDE, labels.normalise(text)))
                factors.append(factor)
        if not self.items:
            raise ValueError(f"source {source.name}: {source.folder} has no plate with a text to draw")
        texts = [i.text for i in self.items]
        weight = np.array([f / texts.count(t) ** 0.7 for t, f in zip(texts, factors, strict=True)])
        self.weight = np.cumsum(weight / weight.sum())

    def draw(self, rng, whole: bool = False) -> tuple[np.ndarray, str]:
        """One (uint8 [64, 160], text); none is cut off where the plate is to be `whole`."""
        item = self.items[min(len(self.items) - 1, int(np.searchsorted(self.weight, rng.random())))]
        width = item.box[2]
        if rng.random() < 0.6 and width > 60:
            width = float(np.exp(rng.uniform(np.log(50), np.log(width))))
        crop = project(item.image, item.box, rng, width, 0.5, whole=whole)
        if rng.random() < 0.6 * min(1.0, float(crop.std()) / 40):  # poor ones are left as they are
            crop = develop(crop, rng, width)
        else:
            crop = np.clip(crop * rng.uniform(0.6, 1.3) + rng.uniform(-30, 30), 0, 255).astype(np.uint8)
        return to_reader(crop, rng), item.text


class NotPlates:
    """What the reader should read nothing on: things that the detector took for plates (mine.py), signs, badges, lettering."""

    def __init__(self, mined: pathlib.Path, places: Places):
        self.places, self.items = places, []
        if mined.exists():
            with np.load(mined) as z:
                starts = np.concatenate([[0], np.cumsum(z["sizes"].prod(1))])
                pixels, sizes, boxes = z["pixels"], z["sizes"], z["boxes"]
            for i, size in enumerate(sizes):
                self.items.append(Seen(pixels[starts[i] : starts[i + 1]].reshape(size), tuple(boxes[i]), ""))

    def draw(self, rng) -> tuple[np.ndarray, str]:
        """One (uint8 [64, 160], "")."""
        if self.items and rng.random() < 0.75:
            item = self.items[int(rng.integers(len(self.items)))]
            crop = project(item.image, item.box, rng, max(20.0, item.box[2]), 0.5)
            crop = develop(crop, rng, item.box[2]) if rng.random() < 0.3 else np.clip(crop, 0, 255).astype(np.uint8)
            return to_reader(crop, rng), ""
        image, ink_only = distractors.panel(rng)
        grey = image.mean(2)
        h, w = grey.shape
        width = float(np.exp(rng.uniform(np.log(40), np.log(160))))

        def canvas(columns, rows, box):
            if ink_only:
                return np.full((rows, columns), float(grey[0, 0]), np.float32)
            return self.places.canvas(rng, columns, rows, box)

        crop = project(grey, (0, 0, w, h), rng, width, 1.0, canvas)
        return to_reader(develop(crop, rng, width), rng), ""
