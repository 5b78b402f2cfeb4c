#!/usr/bin/env python3
"""Labelled frames set into larger pictures at their own size, for `outrider eval`: what is found of the same plates, as many pixels wide,
in the frame of a camera that sees more.

    canvas.py LABELLED OUT WIDTH HEIGHT MOST_WIDTH MOST_HEIGHT [SOURCE ...]

Reads LABELLED/labels.jsonl, leaves out crops and frames that are larger than MOST_WIDTH x MOST_HEIGHT, and writes OUT/labels.jsonl with the
pictures. Where a frame comes to lie follows from its name; around it lies the frame itself, stretched and blurred until nothing can be
read. Needs Pillow.
"""

import hashlib
import json
import pathlib
import sys

from PIL import Image, ImageFilter

BLURRED_AT = 48
"""Width of the picture that the surroundings are stretched from: a plate in it is a pixel."""


def main() -> None:
    """See the module's text."""
    labelled, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    size = (int(sys.argv[3]), int(sys.argv[4]))
    most = (int(sys.argv[5]), int(sys.argv[6]))
    sources = set(sys.argv[7:])
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for line in (labelled / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        source = label["file"].split("/")[0]
        boxes = label.get("boxes") or []
        frame = Image.open(labelled / label["file"]).convert("RGB")
        whole = len(boxes) == 1 and boxes[0][2] * boxes[0][3] > 0.9 * frame.width * frame.height
        if not boxes or whole or frame.width > most[0] or frame.height > most[1] or (sources and source not in sources):
            continue
        seed = hashlib.sha256(label["file"].encode()).digest()
        x = int.from_bytes(seed[:4], "big") % (size[0] - frame.width + 1)
        y = int.from_bytes(seed[4:8], "big") % (size[1] - frame.height + 1)
        small = frame.resize((BLURRED_AT, BLURRED_AT * size[1] // size[0]), Image.Resampling.BOX)
        canvas = small.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(8))
        canvas.paste(frame, (x, y))
        name = f"{source}/{pathlib.Path(label['file']).stem}.jpg"
        (out / source).mkdir(exist_ok=True)
        canvas.save(out / name, quality=95)
        label.update(file=name, w=size[0], h=size[1], boxes=[[b[0] + x, b[1] + y, *b[2:]] for b in boxes])
        lines.append(json.dumps(label))
    (out / "labels.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} frames in {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
