"""Renders what training draws from: the reader's flat plates (npz), the detector's plates and distractors (pickle), sheets."""

import argparse
import pathlib
import pickle

import cv2
import numpy as np

from . import dies, distractors, flats, labels
from .photograph import Surroundings, picture_of
from .plates import render


def detector_pool(folder: pathlib.Path, seed: int, plates: int, panels: int) -> None:
    """plates.pkl: flat plates; panels.pkl: distractors with whether only their ink is to be seen."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 1])
    with (folder / "plates.pkl").open("wb") as f:
        pickle.dump([render(rng).image.astype(np.uint8) for _ in range(plates)], f)
    rng = np.random.default_rng([seed, 2])
    drawn = [distractors.panel(rng) for _ in range(panels)]
    with (folder / "panels.pkl").open("wb") as f:
        pickle.dump([(np.clip(p, 0, 255).astype(np.uint8), ink) for p, ink in drawn], f)


def sheet(path: pathlib.Path, around: Surroundings, seed: int, columns: int = 8, rows: int = 12) -> None:
    """A contact sheet of rendered crops with their texts."""
    rng = np.random.default_rng(seed)
    tiles = []
    for _ in range(columns * rows):
        plate = render(rng)
        crop, _, _ = picture_of(plate, rng, around)
        tile = cv2.copyMakeBorder(cv2.resize(crop, (190, 80)), 0, 16, 1, 1, cv2.BORDER_CONSTANT)
        cv2.putText(tile, f"{plate.text} {plate.place}", (3, 92), 0, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]))


def die_sheet(path: pathlib.Path, each: int = 2) -> None:
    """All characters of `each` dies of every family, a die a row, in the order of dies.FAMILIES."""
    rows = []
    for name in dies.FAMILIES:
        for seed in range(each):
            die, row = dies.Die(name, np.random.default_rng(seed + 1)), []
            for character in labels.ALPHABET:
                glyph = die.glyph(character)
                glyph = cv2.resize(
                    glyph, (min(36, max(3, glyph.shape[1] * 44 // glyph.shape[0])), 44), interpolation=cv2.INTER_AREA
                )
                tile, x = np.zeros((52, 38), np.uint8), (38 - glyph.shape[1]) // 2
                tile[4:48, x : x + glyph.shape[1]] = glyph
                row.append(255 - tile)
            rows.append(np.hstack(row))
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("what", choices=["pool", "two-lines", "detector", "sheet", "dies"])
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("work/pool"))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--files", type=int, default=60)
    p.add_argument("--each", type=int, default=2500)
    p.add_argument(
        "--only", nargs="*", default=[], metavar="CODE", help="pool: of these jurisdictions; twice for twice as many"
    )
    p.add_argument("--plates", type=int, default=3000)
    args = p.parse_args()
    cv2.setNumThreads(1)
    if args.what == "detector":
        detector_pool(args.out, args.seed, args.plates, args.plates)
        return
    if args.what in ("pool", "two-lines"):
        flats.pool(args.out, args.seed, args.files, args.each, args.what == "two-lines", tuple(args.only))
        return
    if args.what == "dies":
        die_sheet(args.out / "dies.png")
        return
    sheet(args.out / "sheet.png", Surroundings(args.data / "pack/train"), args.seed)


if __name__ == "__main__":
    main()
