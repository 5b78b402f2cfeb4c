"""How a reader does on the kinds of plates that a training is after, on pictures that may be chosen on and rendered ones.

    python -m outrider_train.by_kind ../plate-ocr-small/model.onnx other.onnx ...

Real plates are those of sources.py's folders to choose on, at their boxes with the released margin, cut tight on every side,
and with a fifth of their left cut off; rendered ones are drawn from a seed that no pool has. *Sure* is 0.9 and more of the
weakest character, at one look, at the temperature with which plates of one line are likeliest.
"""

import argparse
import pathlib

import cv2
import numpy as np

from . import evaluate, labels
from .crops import cut, to_input
from .flats import Places, photograph
from .plates import render
from .rows import render_rows
from .sources import Use, pictures

CHOSEN_ON = ("pack/val", "pack2/dev")
SURE, NARROWEST = 0.9, 44
MARGINS = {"usual": (0.05,) * 4, "ready-cut": (-0.01,) * 4, "a fifth cut off": (-0.2, 0.05, 0.05, 0.05)}
NOT_ONE_LINE = {"two_lines", "stacked", "cut", "nonlatin", "redacted"}


def real(data: pathlib.Path) -> dict[str, tuple[np.ndarray, list[str]]]:
    """{kind: (crops, texts)} of labelled plates."""
    out = {}
    for folder in (data / name for name in CHOSEN_ON):
        for picture in pictures(folder, Use.CHOOSE):
            for box, text, tags in zip(picture.boxes, picture.texts, picture.tags, strict=True):
                text = labels.normalise(text or "")
                if not text or box[2] < NARROWEST:
                    continue
                one = not NOT_ONE_LINE & set(tags)
                for kind, margins in MARGINS.items() if one else [("two rows", MARGINS["usual"])] * ("two_lines" in tags):
                    crops, texts = out.setdefault(f"real, {kind}", ([], []))
                    crops.append(to_input(cut(picture.load(), box, margins)))
                    texts.append(text)
    return {kind: (np.stack(crops), texts) for kind, (crops, texts) in out.items()}


def rendered(each: int, seed: int = 7_001) -> dict[str, tuple[np.ndarray, list[str]]]:
    """{kind: (photographs, texts)} of rendered plates of two rows, of motorcycles' of one, and of all others."""
    out, rng, places = {}, np.random.default_rng(seed), Places()
    while min([len(t) for _, t in out.values()] + [each] * (len(out) == 3), default=0) < each:
        plate = (render_rows if rng.random() < 0.75 else render)(rng)
        kind = (
            "two rows"
            if plate.lines == 2
            else "one row"
            if plate.image.shape[1] > 1.95 * plate.image.shape[0]
            else "motorcycle, one row"
        )
        crops, texts = out.setdefault(f"rendered, {kind}", ([], []))
        if len(texts) < each:
            grey = cv2.cvtColor(np.clip(plate.image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
            crops.append(photograph(grey, rng, places))
            texts.append(plate.text)
    return {kind: (np.stack(crops), texts) for kind, (crops, texts) in out.items()}


def temperature(logits: np.ndarray, texts: list[str]) -> float:
    """Where being right or wrong is likeliest, given what the weakest characters say."""

    def loss(t):
        reads = labels.greedy(labels.softmax(logits, t))
        said = [(p, evaluate.same(r, text)) for (r, p), text in zip(reads, texts, strict=True)]
        return -np.mean([np.log(max(1e-4, p if right else 1 - p)) for p, right in said])

    return min(np.arange(0.8, 2.6, 0.05), key=loss)


def row(logits: np.ndarray, texts: list[str], t: float) -> str:
    """n; right; sure and right; sure and wrong; with the intervals of the first share."""
    reads = labels.greedy(labels.softmax(logits, t))
    right = [evaluate.same(r, text) for (r, _), text in zip(reads, texts, strict=True)]
    sure = [p >= SURE for _, p in reads]
    share = evaluate.rate(sum(right), len(right))
    both = sum(s and r for s, r in zip(sure, right, strict=True))
    return f"{share['n']} | {share['percent']} ({share['low']}-{share['high']}) | {both} | {sum(sure) - both}"


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", type=pathlib.Path, nargs="+")
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--each", type=int, default=300, help="rendered plates of each kind")
    args = p.parse_args()
    cv2.setNumThreads(1)
    sets = real(args.data) | rendered(args.each)
    print("| plates | reader | n | read % | sure and right | sure and wrong |\n| --- | --- | --- | --- | --- | --- |")
    for file in args.files:
        reader = evaluate.session(file)
        logits = {kind: evaluate.reader_logits(reader, x) for kind, (x, _) in sets.items()}
        t = temperature(logits["real, usual"], sets["real, usual"][1])
        name = file.stem if file.stem != "model" else file.parent.name
        for kind, (_, texts) in sets.items():
            print(f"| {kind} | {name}, {t:.2f} | {row(logits[kind], texts, t)} |", flush=True)


if __name__ == "__main__":
    main()
