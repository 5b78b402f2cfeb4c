"""How sure the reader is of plates that its box cuts off: plates that may be chosen on, a part cut off their left or right.

`python -m outrider_train.cuts sheet --out FOLDER` writes one folder of labelled boxes for each cut, which
`outrider eval FOLDER/left-0.2 --labelled-boxes --crop-margin 0 --cases FOLDER/left-0.2/cases.jsonl` reads as the daemon
reads; `python -m outrider_train.cuts table FOLDER` counts. A sure read of such a plate is nearly always a wrong one, and nobody
can tell it from a right one: a daemon that says 0.9 of `8436` where the plate says WLZ8436 sends somebody after another car.
"""

import argparse
import json
import os
import pathlib

from . import labels
from .sources import Use, pictures

CHOSEN_ON = ("pack/val", "pack2/dev")
CUTS = (-0.05, 0.06, 0.12, 0.2, 0.3)
"""Shares of the plate's width that are cut off; the first is the released margin around the whole plate."""
ROOM = 0.05
"""What stands around the other three sides, in shares of the plate."""
NARROWEST = 44
"""Pixels; below, nobody looked whether a text is right."""
SURE = 0.9
LEFT_OUT = {"two_lines", "nonlatin", "cut", "stacked", "redacted"}
"""Tags of plates that a cut says nothing about: another line holds characters too, or something is missing already."""


def cut_box(box, side: str, share: float) -> list[float]:
    """The box [x, y, w, h] with ROOM on every side but `side`, where `share` of the width is cut off."""
    x, y, w, h = box
    left, right = (share, -ROOM) if side == "left" else (-ROOM, share)
    return [x + left * w, y - ROOM * h, w * (1 - left - right), h * (1 + 2 * ROOM)]


def sheet(data: pathlib.Path, out: pathlib.Path) -> None:
    """Write a folder for every side and cut, its pictures linked, not copied."""
    plates = []
    for folder in (data / name for name in CHOSEN_ON if (data / name / "labels.jsonl").exists()):
        for picture in pictures(folder, Use.CHOOSE):
            for box, text, tags in zip(picture.boxes, picture.texts, picture.tags, strict=True):
                text = labels.normalise(text or "")
                if text and box[2] >= NARROWEST and not set(tags) & LEFT_OUT:
                    plates.append((picture.path.resolve(), picture.source, box, text))
    for side in ("left", "right"):
        for share in CUTS:
            folder = out / f"{side}-{share:g}"
            (folder / "images").mkdir(parents=True, exist_ok=True)
            (folder / "use").write_text("choose\n")
            lines = []
            for number, (path, source, box, text) in enumerate(plates):
                name = f"images/{source}_{number:04}{path.suffix}"
                link = folder / name
                if not link.is_symlink():
                    os.symlink(path, link)
                line = {"file": name, "boxes": [cut_box(box, side, share)], "text": [text], "source": source}
                lines.append(json.dumps(line))
            (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(plates)} plates, {2 * len(CUTS)} folders in {out}")


def count(cases: pathlib.Path) -> dict[str, int]:
    """Plates, right ones, and sure ones (SURE and more) that are right and wrong, of a file of `outrider eval --cases`."""
    out = {"n": 0, "right": 0, "sure right": 0, "sure wrong": 0}
    for line in cases.read_text().splitlines():
        case = json.loads(line)
        if not case["label"]:
            continue
        right = labels.fold(case["read"] or "") == labels.fold(case["label"])
        out["n"] += 1
        out["right"] += right
        if case["read"] and case["weakest"] >= SURE:
            out["sure right" if right else "sure wrong"] += 1
    return out


def table(out: pathlib.Path) -> str:
    """The counts of every folder below `out` that has cases, as a table of Markdown."""
    rows = ["| cut off | n | right | sure and right | sure and wrong |", "| --- | --- | --- | --- | --- |"]
    for side in ("left", "right"):
        for share in CUTS:
            cases = out / f"{side}-{share:g}/cases.jsonl"
            if cases.exists():
                what = "nothing" if share <= 0 else f"{100 * share:.0f} % on the {side}"
                rows.append(f"| {what} | " + " | ".join(str(v) for v in count(cases).values()) + " |")
    return "\n".join(rows)


def too_sure(out: pathlib.Path, percent: float) -> list[str]:
    """The folders below `out` in which more than `percent` of the plates are sure and wrong."""
    counts = {path.parent.name: count(path) for path in sorted(out.glob("*/cases.jsonl"))}
    return [f"{name}: {c['sure wrong']} of {c['n']}" for name, c in counts.items() if 100 * c["sure wrong"] > percent * c["n"]]


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    sub = p.add_subparsers(dest="what", required=True)
    write = sub.add_parser("sheet")
    write.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    write.add_argument("--out", type=pathlib.Path, required=True)
    read = sub.add_parser("table")
    read.add_argument("out", type=pathlib.Path)
    read.add_argument("--at-most", type=float, default=100.0, help="fail where more of a folder are sure and wrong, percent")
    args = p.parse_args()
    if args.what == "sheet":
        sheet(args.data, args.out)
        return
    print(table(args.out))
    if found := too_sure(args.out, args.at_most):
        raise SystemExit(f"sure and wrong, more than {args.at_most:g} %: {'; '.join(found)}")


if __name__ == "__main__":
    main()
