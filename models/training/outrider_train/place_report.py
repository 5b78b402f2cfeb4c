"""What the packaged head says of labelled plates at their boxes, as `outrider eval --cases` writes it, without the program.

For a machine that has no build of the program: docs/evaluation/whose.py makes the same tables of it. The text is that of the
packaged small reader, one look; second looks, detector and large reader are the program's (docs/evaluation/generate.sh).
Everything that is likelier than not is written; what the package says is what reaches its threshold.
"""

import argparse
import json
import pathlib
import re
import tomllib

import cv2
import numpy as np

from . import evaluate, labels, place_package
from .crops import cut, to_input
from .place_train import to_input as to_head
from .sources import Use, pictures


def plates(folder: pathlib.Path, prefix: str, margin: float):
    """(file, jurisdiction, crop in colour) of every plate whose jurisdiction is known."""
    for picture in pictures(folder, Use.REPORT, prefix):
        image = None
        for box, place, kind in zip(picture.boxes, picture.places, picture.kinds, strict=True):
            if prefix.startswith("seg"):
                place = "US-" + re.match(r"[a-z]{2}", picture.path.name)[0].upper()
            if place and kind in (None, "plate"):
                image = picture.load() if image is None else image
                margins = (0,) * 4 if prefix.startswith("seg") else (margin,) * 4
                yield picture.path.name, place, cut(image, box, margins)


def cases(package: pathlib.Path, reader: pathlib.Path, syntax: pathlib.Path, found: list) -> list[dict]:
    """One object per plate."""
    of = tomllib.loads((package / "model.toml").read_text())["jurisdiction"]
    session = evaluate.session(reader / "model.onnx")
    grey = np.stack([to_input(crop) for *_, crop in found])
    texts = [text for text, _ in labels.greedy(labels.softmax(evaluate.reader_logits(session, grey)))]
    logits = place_package.run(package / "model.onnx", np.stack([to_head(crop) for *_, crop in found]))
    formats = place_package.format_logs(texts, place_package.formats_of(syntax))
    p = place_package.joined(logits, formats, of["temperature"], of["format_weight"])
    out = []
    for (file, place, crop), row in zip(found, p, strict=True):
        best = int(row.argmax())
        says = of["labels"][best] != "other" and row[best] >= 0.5
        luma = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
        sharp = float(cv2.Laplacian(luma, cv2.CV_32F).var() / max(float(luma.var()), 1e-3))
        case = {"file": file, "jurisdiction": place, "aside": None, "light": float(luma.mean()), "sharpness": sharp}
        case |= {"jurisdiction_read": of["labels"][best] if says else None}
        out.append(case | {"jurisdiction_confidence": float(row[best]) if says else None})
    return out


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--prefix", default="", help="only files whose names begin so: seg_us")
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument("--syntax", type=pathlib.Path, default=pathlib.Path("../../crates/base/src/plate/formats.rs"))
    args = p.parse_args()
    cv2.setNumThreads(1)
    found = list(plates(args.folder, args.prefix, 0.05))
    lines = cases(args.models / place_package.NAME, args.models / "plate-ocr-small", args.syntax, found)
    args.out.write_text("\n".join(map(json.dumps, lines)) + "\n")
    print(f"{len(lines)} plates in {args.out}")


if __name__ == "__main__":
    main()
