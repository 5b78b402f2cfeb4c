"""Passes of vehicles whose plates are written in typefaces that no training has: what the vote makes of alike frames.

    python -m outrider_train.passes render --out FOLDER --each 100      pictures and passes.jsonl
    vote_typefaces FOLDER > votes.jsonl                                 examples/vote_typefaces.rs: read as the car reads
    python -m outrider_train.passes vote FOLDER > votes.jsonl           the same without a build, see ballot.py
    python -m outrider_train.passes table FOLDER votes.jsonl            Markdown

A pass is one plate at one closing speed, at 30 frames a second: it grows as the geometry of a 1280x720 camera has it, with its
dirt, light, blur, angle and typeface in common, and the sensor's noise, the codec, the place between pixels and the detector's
error of each frame for itself. Its frames stand one below the other in one picture. The typefaces of fonts/held-out.json are in
two halves: what the vote's constants are chosen on, and what is reported. A third group is written in typefaces of training.
"""

import argparse
import json
import os
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import dies, formats, labels, paint, passes_table, passes_vote, typefaces
from .flats import Places
from .plates import TALL, Plate, Style, worn, write
from .sources import Use

SPEEDS = (0, 50, 100, 150, 225)
"""Closing speeds in km/h; 0 is a vehicle that keeps its distance for a second."""
FOCAL, FPS, NARROWEST = 1.75 * 1280, 30, 40.0
"""The camera: pixels of its focal length, frames a second; pixels of a plate's width from which on it votes."""
ROOM = 0.3
"""Surroundings kept on every side, in shares of the plate's width and height."""
HALVES = ("chosen", "reported")


def held_out() -> list[pathlib.Path]:
    """The font files that no training has, one of each family, in a fixed order; every second one is reported."""
    folder = pathlib.Path(os.environ.get("OUTRIDER_FONTS", "work/fonts")) / "held/node_modules/@fontsource"
    files = []
    for family in sorted(folder.glob("*")):
        found = sorted(family.glob("files/*-latin-[4567]00-normal.woff"))
        files += found[-1:]
    return files


class HeldOutFace:
    """A typeface of one font file, as typefaces.Typeface is used."""

    die = None

    def __init__(self, file: pathlib.Path, rng: np.random.Generator):
        self.face, self.kept = ImageFont.truetype(str(file), 120), {}
        self.stretch = float(rng.uniform(0.85, 1.1))

    def ink(self, character: str, height: int) -> np.ndarray:
        """The mask of a character, `height` pixels tall."""
        if character not in self.kept:
            x0, y0, x1, y1 = self.face.getbbox(character)
            image = Image.new("L", (int(x1 - x0) + 8, int(y1 - y0) + 8))
            ImageDraw.Draw(image).text((4 - x0, 4 - y0), character, font=self.face, fill=255)
            self.kept[character] = typefaces.trim(np.array(image))
        mask = self.kept[character]
        width = min(round(0.95 * height), max(4, round(mask.shape[1] * height / mask.shape[0] * self.stretch)))
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)


def flat(face, rng: np.random.Generator) -> Plate:
    """A plate of North America or, three in ten, of Europe that says its text, its jurisdiction's name and nothing else."""
    american = rng.random() < 0.7
    place = formats.choose(formats.STATES + formats.CANADA if american else formats.EUROPE, rng)
    width = int(TALL * (rng.uniform(1.9, 2.1) if american else rng.uniform(4.2, 4.8)))
    back = rng.uniform(175, 250, 3)
    image, ink = np.full((TALL, width, 3), back, np.float32), rng.uniform(0, 80, 3)
    text = formats.fill(str(rng.choice(place.patterns)), rng, formats.RARE if american else None)
    if american and place.top:
        mask = typefaces.line(place.top, rng, TALL * 0.15, width * 0.8)
        paint.blend(image, mask, width / 2 - mask.shape[1] / 2, TALL * 0.04, ink)
    how = Style(face, ink, rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.4), rng.uniform(0, 0.3), "")
    cy, tall = (TALL * 0.56, TALL * rng.uniform(0.45, 0.55)) if american else (TALL * 0.5, TALL * rng.uniform(0.62, 0.74))
    boxes = write(image, text, width * 0.05, width * 0.95, cy, tall, how, rng)
    paint.box(image, 1, 1, width - 2, TALL - 2, ink, 1)
    return Plate(image, labels.normalise(text), place.code, np.array(boxes), characters=how.characters)


def widths(kmh: float, metres: float, rng: np.random.Generator) -> list[float]:
    """The plate's width in pixels in each frame in which it is wide enough to vote and still in the picture."""
    if kmh == 0:
        return [float(rng.uniform(NARROWEST + 2, 80))] * FPS
    step, largest = kmh / 3.6 / FPS, rng.uniform(85, 140)
    distance, out = FOCAL * metres / NARROWEST - rng.uniform(0, step), []
    while distance > 0 and FOCAL * metres / distance < largest:
        out.append(FOCAL * metres / distance)
        distance -= step
    return out


def wander(rng, n: int, spread: float) -> list[float]:
    """An error of the detector's box that stays for some frames: a first-order sequence with correlation 0.7."""
    steps = [rng.normal(0, spread)]
    while len(steps) < n:
        steps.append(0.7 * steps[-1] + np.sqrt(1 - 0.49) * rng.normal(0, spread))
    return steps


def one_pass(plate: Plate, kmh: float, rng: np.random.Generator, places: Places) -> tuple[np.ndarray, list[dict]]:
    """The frames' pieces below one another, and for each its box there and in the camera's picture."""
    grey = cv2.cvtColor(np.clip(plate.image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY).astype(np.float32)
    h, w = grey.shape
    columns, rows = int(w * (1 + 2 * ROOM)), int(h * (1 + 2 * ROOM))
    at = (ROOM * w, ROOM * h, w, h)
    scene = places.canvas(rng, columns, rows, at).copy()
    scene[int(at[1]) : int(at[1]) + h, int(at[0]) : int(at[0]) + w] = grey
    fall, lean = rng.normal(0, 0.03), rng.normal(0, 0.05)
    shear = np.array([[1, lean, -lean * rows / 2], [fall * h / w, 1, -fall * h / w * columns / 2]])
    scene = cv2.warpAffine(scene, shear, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    sizes = widths(kmh, 0.305 if w < 3 * h else 0.52, rng)
    gain, offset, noise, blur = rng.uniform(0.5, 1.1), rng.uniform(0, 40), rng.uniform(1.5, 7), rng.uniform(0, 1.3)
    jitter = [wander(rng, len(sizes), spread) for spread in (0.03, 0.05, 0.03, 0.05)]
    pieces, frames, top = [], [], 0
    for n, size in enumerate(sizes):
        k, shift = size / w, rng.uniform(0, 1, 2)
        seen = cv2.GaussianBlur(scene, (0, 0), max(0.3, 0.45 / k)) if k < 0.95 else scene
        across, down = int(columns * k) + 2, int(rows * k) + 2
        move = np.array([[k, 0, shift[0]], [0, k, shift[1]]])
        seen = cv2.warpAffine(seen, move, (across, down), borderMode=cv2.BORDER_REPLICATE)
        if blur > 0.3:
            seen = cv2.GaussianBlur(seen, (0, 0), blur * 0.7)
        seen = np.clip(seen * gain + offset + rng.normal(0, noise, seen.shape), 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 92))]
        pieces.append(cv2.imdecode(cv2.imencode(".jpg", seen, quality)[1], cv2.IMREAD_GRAYSCALE))
        pw, ph = w * k, h * k
        left, right = at[0] * k + shift[0] + jitter[0][n] * pw, (at[0] + w) * k + shift[0] + jitter[2][n] * pw
        upper, lower = at[1] * k + shift[1] + jitter[1][n] * ph, (at[1] + h) * k + shift[1] + jitter[3][n] * ph
        box = [left, top + upper, right - left, lower - upper]
        in_frame = [640 - 3 * pw - box[2] / 2, 360 + 1.2 * pw - box[3] / 2, box[2], box[3]]
        frames.append({"ms": round(1000 * n / FPS), "box": rounded(box), "seen": rounded(in_frame)})
        top += down
    widest = max(p.shape[1] for p in pieces)
    strip = [cv2.copyMakeBorder(p, 0, 0, 0, widest - p.shape[1], cv2.BORDER_REPLICATE) for p in pieces]
    return np.vstack(strip), frames


def rounded(values) -> list[float]:
    """To hundredths of a pixel."""
    return [round(float(v), 2) for v in values]


def render_passes(data: pathlib.Path, out: pathlib.Path, each: int, seed: int) -> None:
    """`each` passes of each group and speed into `out`."""
    places, faces = Places(data / "pack/val", data / "pack2/dev", use=Use.CHOOSE), held_out()
    if len(faces) < 12:
        raise SystemExit(f"{len(faces)} typefaces that no training has: make held-fonts fetches them")
    families = sorted(dies.FAMILIES)
    (out / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for group, name in enumerate(("trained", *HALVES)):
        own = faces[group - 1 :: 2] if group else []
        for kmh in SPEEDS:
            for i in range(each):
                rng = np.random.default_rng([seed, group, kmh, i])
                if own:
                    file = own[i % len(own)]
                    face, called = HeldOutFace(file, rng), file.parents[1].name
                else:
                    family = families[i % len(families)] if rng.random() < 0.5 else None
                    face, called = typefaces.Typeface(rng, family=family), family or "font"
                plate = worn(lambda face=face, rng=rng: flat(face, rng), rng)
                strip, frames = one_pass(plate, kmh, rng, places)
                file = f"images/{name}-{kmh}-{i:04}.png"
                cv2.imwrite(str(out / file), strip, [cv2.IMWRITE_PNG_COMPRESSION, 1])
                lines.append(
                    json.dumps({"file": file, "text": plate.text, "group": name, "face": called, "kmh": kmh, "frames": frames})
                )
    (out / "passes.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} passes in {out}")


def main() -> None:
    """The command line."""

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    draw = sub.add_parser("render")
    draw.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    draw.add_argument("--out", type=pathlib.Path, required=True)
    draw.add_argument("--each", type=int, default=100, help="passes of each group and speed")
    draw.add_argument("--seed", type=int, default=1)
    vote = sub.add_parser("vote")
    vote.add_argument("folder", type=pathlib.Path)
    vote.add_argument("--package", type=pathlib.Path, default=pathlib.Path("../plate-ocr-small"))
    vote.add_argument("--weighing", nargs="+", default=["0.6,80,1"], metavar="SHARED,WIDTH,POWER")
    table = sub.add_parser("table")
    table.add_argument("folder", type=pathlib.Path)
    table.add_argument("votes", type=pathlib.Path, nargs="+", help="what a vote made of them; several are compared by name")
    args = p.parse_args()
    cv2.setNumThreads(1)
    if args.what == "render":
        render_passes(args.data, args.out, args.each, args.seed)
    elif args.what == "vote":
        for one in passes_vote.read(args.folder, args.package):
            told = [v for w in args.weighing for v in passes_vote.votes(one, tuple(map(float, w.split(","))))]
            print(json.dumps({"file": one["file"], "frames": one["said"], "votes": told}))
    else:
        print(passes_table.tables(args.folder, args.votes))


if __name__ == "__main__":
    main()
