"""Finds what the detector takes for plates in training frames and is not: the reader learns to read nothing there.

Many frames have plates that nobody labelled, so whatever the reader can read is left out.
"""

import argparse
import pathlib

import cv2
import numpy as np

from . import evaluate, labels
from .crops import to_input
from .flats import surroundings
from .sources import Use, pictures


def mine(detector: pathlib.Path, reader: pathlib.Path, folders: list[pathlib.Path], out: pathlib.Path, threshold: float) -> int:
    """Write what was found away from plates to `out`, grey, each with its box; how many."""
    find, read = evaluate.session(detector), evaluate.session(reader)
    found, boxes = [], []
    for picture in [p for f in folders if f.exists() for p in pictures(f, Use.TRAIN)]:
        image = picture.load()
        plates = [(x, y, x + w, y + h) for x, y, w, h in picture.boxes]
        for b in evaluate.find(find, image, threshold=threshold):
            x0, y0, x1, y1 = b[:4]
            if x1 - x0 < 16 or any(evaluate.iou(b, p) > 0 for p in plates):
                continue
            crop = to_input(evaluate.crop_of(image, b, 0.03))
            ((text, sure),) = labels.greedy(labels.softmax(evaluate.reader_logits(read, crop[None])))
            if len(text) >= 4 and (sure > 0.3 or len(text) >= 6):  # a plate, perhaps
                continue
            seen = surroundings(image, (x0, y0, x1 - x0, y1 - y0), 160)
            found.append(seen.image)
            boxes.append(seen.box)
    sizes = np.array([f.shape for f in found]).reshape(-1, 2)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        pixels=np.concatenate([f.reshape(-1) for f in found] or [np.zeros(0, np.uint8)]),
        sizes=sizes,
        boxes=np.array(boxes),
    )
    return len(found)


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("work/pool/not-plates.npz"))
    p.add_argument("--threshold", type=float, default=0.12)
    args = p.parse_args()
    cv2.setNumThreads(1)
    detector, reader = (args.models / f"plate-{kind}-small/model.onnx" for kind in ("detector", "ocr"))
    folders = [args.data / "pack/train", args.data / "pack2/train"]
    print(mine(detector, reader, folders, args.out, args.threshold), "things that are not plates")


if __name__ == "__main__":
    main()
