"""How alike the errors of real frames of one pass are: the pack's plates that a car's camera saw several times.

    python -m outrider_train.sequences --package ../plate-ocr-small

Source rl is one car's drive through traffic: 26 plates with texts stand in three frames and more. Most of them are training
pictures, whose texts the reader has learnt, and frames of that camera lie a second or so apart; so each frame is shrunk until
its plate is as wide as given, where it errs again. What is left alike is the plate's own (dirt, dies, light, angle); what
neighbouring frames share is not in it. Rows as in passes_table.py.
"""

import argparse
import collections
import pathlib
import tomllib

import cv2
import numpy as np

from . import evaluate, labels
from .crops import cut, more_texts, to_input
from .passes_table import alike, head, row
from .sources import Use, pictures


def sequences(data: pathlib.Path, least: int = 3) -> dict[str, list[tuple[np.ndarray, list[float]]]]:
    """{text: [(grey picture, box)]} of plates that are seen in `least` frames of source rl and more."""
    seen = collections.defaultdict(list)
    for folder, use in (("pack/train", Use.TRAIN), ("pack/val", Use.CHOOSE)):
        for picture in more_texts(pictures(data / folder, use, "rl")):
            for box, text in zip(picture.boxes, picture.texts, strict=True):
                if text:
                    seen[labels.normalise(text)].append((picture.path, box))
    kept = {text: places for text, places in seen.items() if len(places) >= least}
    return {t: [(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), box) for path, box in places] for t, places in kept.items()}


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--package", type=pathlib.Path, default=pathlib.Path("../plate-ocr-small"))
    p.add_argument("--widths", type=float, nargs="+", default=[50, 40, 32])
    args = p.parse_args()
    package = tomllib.loads((args.package / "model.toml").read_text())
    reader, seen = evaluate.session(args.package / package["file"]), sequences(args.data)
    names = ["width of plate, px", "passes", "frames misread %", "correlation, any two", "neighbours", "five frames apart"]
    print("\n".join(head([*names, "other frames with the same wrong text", "the same, of frames that say 0.9"])))
    for width in args.widths:
        passes = []
        for text, places in seen.items():
            crops = []
            for image, box in places:
                k = min(1.0, width / box[2])
                small = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
                crops.append(to_input(cut(small, [v * k for v in box], (0.05,) * 4)))
            logits = evaluate.reader_logits(reader, np.stack(crops))
            said = labels.greedy(labels.softmax(logits, package["ocr"].get("temperature", 1.0)))
            passes.append({"text": labels.fold(text), "said": [(labels.fold(t), p) for t, p in said]})
        print(row(f"{width:g}", *alike(passes)), flush=True)


if __name__ == "__main__":
    main()
