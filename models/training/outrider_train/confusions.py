"""Characters that are taken for one another: a sheet of each pair, how often it happens, and whether a release loses on it.

    python -m outrider_train.confusions count --package ../plate-ocr-small --out new.json
    python -m outrider_train.confusions check new.json      fails where it confuses more than ../confusions.json
    python -m outrider_train.confusions sheet --out ../confusions.png

Rendered plates are written in the characters of one pair alone, in every family of dies (dies.py), at fixed seeds: no format
helps. Real ones are those that may be chosen on (sources.py). What is read is laid beside the label by the fewest edits.
"""

import argparse
import hashlib
import json
import pathlib

import cv2
import numpy as np

from . import dies, evaluate, labels, paint, typefaces
from .crops import true_crops
from .flats import Places, photograph
from .plates import TALL, Style, write
from .sources import Use

PAIRS = ("4L", "VY", "IT", "1I", "1T", "WH", "WM", "6G", "8B", "D0", "DO", "O0", "OQ", "2Z", "5S")
FOLDED = ("1I", "O0", "OQ")
"""Pairs that lists keep as one: counted, but no reason to refuse a release."""
KEPT = pathlib.Path(__file__).resolve().parents[2] / "confusions.json"


def plate(text: str, family: str, rng: np.random.Generator) -> np.ndarray:
    """A flat grey plate that says `text` in a die of `family` and nothing else."""
    width = int(TALL * (2.0 if family in ("california", "roman", "block", "canada") else 4.4))
    image = np.full((TALL, width, 3), rng.uniform(200, 250), np.float32)
    face = typefaces.Typeface(rng, family=family)
    how = Style(face, rng.uniform(10, 70, 3), rng.uniform(0.08, 0.18), 0.3, rng.uniform(0, 0.3), "")
    write(image, text, width * 0.05, width * 0.95, TALL * 0.54, TALL * (0.48 if width < 3 * TALL else 0.7), how, rng)
    paint.box(image, 1, 1, width - 2, TALL - 2, how.ink, 1)
    return np.clip(image.mean(2), 0, 255).astype(np.uint8)


def rendered(pair: str, each: int) -> tuple[np.ndarray, list[str]]:
    """`each` photographs of every family's plates in the characters of `pair`; the same every time."""
    x, texts = [], []
    for number, family in enumerate(sorted(dies.FAMILIES)):
        for i in range(each):
            rng = np.random.default_rng([PAIRS.index(pair), number, i])
            text = "".join(rng.choice(list(pair), 6))
            x.append(photograph(plate(text, family, rng), rng, Places()))
            texts.append(text)
    return np.stack(x), texts


def aligned(label: str, read: str) -> list[tuple[str, str]]:
    """(labelled, read) character by character along the fewest edits; "" where one has none."""
    cost = np.zeros((len(label) + 1, len(read) + 1), int)
    cost[:, 0], cost[0] = np.arange(len(label) + 1), np.arange(len(read) + 1)
    for i, a in enumerate(label, 1):
        for j, b in enumerate(read, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (a != b), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    out, i, j = [], len(label), len(read)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (label[i - 1] != read[j - 1]):
            out.append((label[i - 1], read[j - 1]))
            i, j = i - 1, j - 1
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            out.append((label[i - 1], ""))
            i -= 1
        else:
            out.append(("", read[j - 1]))
            j -= 1
    return out[::-1]


def counted(pair: str, texts: list[str], reads: list[str]) -> dict[str, int]:
    """How many of either character there are, and how many are read as the other: {"4": 40, "4 as L": 2, "L": ...}."""
    a, b = pair
    both = [p for label, read in zip(texts, reads, strict=True) for p in aligned(label, read)]
    out = {}
    for one, other in ((a, b), (b, a)):
        out[one] = sum(label == one for label, _ in both)
        out[f"{one} as {other}"] = both.count((one, other))
    return out


def count(file: pathlib.Path, data: pathlib.Path, each: int) -> dict:
    """{pair: {"rendered": counted, "real": counted}} of a reader's ONNX file."""
    session, out = evaluate.session(file), {}

    def read(x):
        return [t for t, _ in labels.greedy(labels.softmax(evaluate.reader_logits(session, x)))]

    sets = [true_crops(data / f, Use.CHOOSE) for f in ("pack/val", "pack2/dev") if (data / f / "labels.jsonl").exists()]
    real_texts = [t for _, texts in sets for t in texts]
    real_reads = read(np.concatenate([x for x, _ in sets])) if sets else []
    for pair in PAIRS:
        x, texts = rendered(pair, each)
        out[pair] = {"rendered": counted(pair, texts, read(x)), "real": counted(pair, real_texts, real_reads)}
    return out


def confused(counts: dict[str, int]) -> int:
    """Characters of a pair that were read as the other."""
    return sum(n for name, n in counts.items() if " as " in name)


def losses(before: dict, after: dict) -> list[str]:
    """What is confused more often in `after`, in words; of rendered characters one in a hundred may, of real ones none."""
    out = []
    for pair, kinds in before.items():
        for kind, counts in kinds.items():
            if pair in FOLDED:
                continue
            if pair not in after or {k: n for k, n in after[pair][kind].items() if " as " not in k} != {
                k: n for k, n in counts.items() if " as " not in k
            }:
                out.append(f"{pair[0]}/{pair[1]}, {kind}: not counted on the same characters")
                continue
            room = sum(n for k, n in counts.items() if " as " not in k) // 100 if kind == "rendered" else 0
            was, now = confused(counts), confused(after[pair][kind])
            if now > was + room:
                out.append(f"{pair[0]}/{pair[1]}, {kind}: {now} confused, {was} before")
    return out


def sheet(path: pathlib.Path) -> None:
    """Both characters of every pair in three dies of every family, one pair a row."""
    rows = []
    for pair in PAIRS:
        tiles = []
        for family in sorted(dies.FAMILIES):
            for seed in range(3):
                die = dies.Die(family, np.random.default_rng(seed))
                for character in pair:
                    glyph = die.glyph(character)
                    glyph = cv2.resize(glyph, (min(30, max(3, glyph.shape[1] * 40 // glyph.shape[0])), 40))
                    tile = np.zeros((48, 34), np.uint8)
                    x = (34 - glyph.shape[1]) // 2
                    tile[4:44, x : x + glyph.shape[1]] = glyph
                    tiles.append(255 - tile)
        rows.append(np.hstack(tiles))
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_subparsers(dest="what", required=True)
    c = what.add_parser("count", help="count a package's confusions")
    c.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    c.add_argument("--package", type=pathlib.Path, default=pathlib.Path("../plate-ocr-small"))
    c.add_argument("--each", type=int, default=8, help="rendered plates of a pair and family")
    c.add_argument("--out", type=pathlib.Path, required=True)
    k = what.add_parser("check", help="compare with the released counts; fails where a release would lose")
    k.add_argument("counts", type=pathlib.Path)
    k.add_argument("--kept", type=pathlib.Path, default=KEPT)
    s = what.add_parser("sheet", help="draw the pairs")
    s.add_argument("--out", type=pathlib.Path, required=True)
    args = p.parse_args()
    cv2.setNumThreads(1)
    if args.what == "count":
        file = args.package / "model.onnx"
        counts = count(file, args.data, args.each)
        kept = {"reader": hashlib.sha256(file.read_bytes()).hexdigest(), "pairs": counts}
        args.out.write_text(json.dumps(kept, indent=1) + "\n")
        for pair, kinds in counts.items():
            print(
                pair, {kind: f"{confused(n)} of {sum(v for k, v in n.items() if ' as ' not in k)}" for kind, n in kinds.items()}
            )
    elif args.what == "check":
        lost = losses(*(json.loads(f.read_text())["pairs"] for f in (args.kept, args.counts)))
        if lost:
            raise SystemExit("this reader confuses more than the released one:\n" + "\n".join(lost))
        print("no pair is confused more often than before")
    else:
        sheet(args.out)


if __name__ == "__main__":
    main()
