"""Rendered plates of every jurisdiction, as many of each: whose drivers are misread more often?

`render` writes a labelled folder, `outrider eval FOLDER --labelled-boxes --cases CASES` reads it, `table` makes a page of
that. The pictures are photographed as most are (flats.py), from seeds that no training uses, but by the renderer that
trained the reader: typefaces and designs vary at random around the jurisdiction's formats, words and colours. Rows differ by
formats and designs only.
"""

import argparse
import json
import pathlib
import tomllib

import cv2
import numpy as np

from . import evaluate, flats, formats
from .plates import render_of
from .sources import Use

SEED = 9_000
"""Training's pools count from one and stay far below."""
NARROWEST, WIDEST = 60.0, 160.0
"""Widths in pixels: those of a plate that a car's camera reads, beyond a glance."""


def places() -> list[formats.Place]:
    """Every jurisdiction of the renderer once."""
    return [*formats.CANADA, *formats.STATES, *formats.EUROPE, formats.BRAZIL[0]]


def photograph(place: formats.Place, rng, around: flats.Places) -> tuple[np.ndarray, list[float], str]:
    """(uint8 grey picture, box x, y, w, h of the plate in it, text)."""
    plate = render_of(place, rng)
    grey = cv2.cvtColor(np.clip(plate.image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
    h, w = grey.shape
    wider = 1.5 if w / h > 3 else 1.0
    width = wider * float(np.exp(rng.uniform(np.log(NARROWEST), np.log(WIDEST))))
    picture, box = flats.view(
        grey, (0, 0, w, h), rng, width, 0.4, lambda c, r, b: around.canvas(rng, c, r, b), lambda: np.full(4, flats.AROUND)
    )
    return flats.develop_usual(picture, rng, width), [round(float(v), 1) for v in box], plate.text


def write(folder: pathlib.Path, each: int, around: flats.Places, only: list[str] | None = None) -> int:
    """`each` pictures a jurisdiction in `folder`, a folder for each, with labels.jsonl; how many there are.

    The pictures of a jurisdiction depend on its place in the renderer's list and nothing else.
    """
    lines = []
    for number, place in enumerate(places()):
        if only and place.code not in only:
            continue
        rng = np.random.default_rng([SEED, number])
        (folder / place.code).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            picture, box, text = photograph(place, rng, around)
            name = f"{place.code}/{i:04}.png"
            cv2.imwrite(str(folder / name), picture)
            rows, columns = picture.shape
            lines.append(
                json.dumps({"file": name, "w": columns, "h": rows, "boxes": [box], "text": [text], "source": "rendered"})
            )
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")
    return len(lines)


PAGE = """## Whose plates are misread

Written by `make -C models/training jurisdictions`; no figure is typed by hand. Rendered plates in each jurisdiction's
formats, {each} of each, {narrowest:.0f} to {widest:.0f} pixels wide (Europe's and Brazil's half as wide again), photographed
as most are, read at their true boxes with {models}: single pictures, no vote. The renderer is the one that trained the
reader, from other seeds, and draws typefaces and designs at random around a jurisdiction's formats, words and colours. So
rows differ by what formats and designs do to the reader, not by real dies, dirt and cameras, which are likely to differ
more.

An unequal rate of misreads falls on the drivers of a place. *Sure and wrong*: read wrong, O/Q=0 and I=1, with a confidence
of {sure} and more. 95 % intervals by Wilson's score; with {rows} rows some lie outside the whole's by chance. Marked are
rows whose interval of O/Q=0, I=1 lies below the whole's share. Worst first.

| jurisdiction | n | exact % | O/Q=0, I=1 % | sure and wrong % |
|---|---|---|---|---|
"""
SURE = 0.9


def shares(cases: list[dict]) -> list[dict]:
    """How often the texts of some cases are read exactly, folded, and wrong for sure: three rates."""
    folded = [evaluate.same(c["read"], c["label"]) for c in cases]
    sure = [c["weakest"] >= SURE for c in cases]
    counts = (
        sum(c["read"] == c["label"] for c in cases),
        sum(folded),
        sum(s and not f for s, f in zip(sure, folded, strict=True)),
    )
    return [evaluate.rate(n, len(cases)) for n in counts]


def table(cases: list[dict], models: str) -> str:
    """The page, from what `outrider eval --cases` wrote of a folder of `write`."""
    by_place: dict[str, list[dict]] = {}
    for case in cases:
        by_place.setdefault(case["source"], []).append(case)
    rows, whole = [(code, shares(found)) for code, found in by_place.items()], shares(cases)

    def row(name: str, rates: list[dict]) -> str:
        cells = [f"{r['percent']} ({r['low']}-{r['high']})" for r in rates]
        return f"| {name} | {rates[0]['n']} | {' | '.join(cells)} |\n"

    text = PAGE.format(
        each=max(map(len, by_place.values())), narrowest=NARROWEST, widest=WIDEST, models=models, sure=SURE, rows=len(rows)
    )
    text += row("**all**", whole)
    for code, rates in sorted(rows, key=lambda r: (r[1][1]["percent"], r[0])):
        text += row(f"{code} (below)" if rates[1]["high"] < whole[1]["percent"] else code, rates)
    return text


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    what = p.add_subparsers(dest="what", required=True)
    r = what.add_parser("render", help="write the labelled folder")
    r.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    r.add_argument("--out", type=pathlib.Path, required=True)
    r.add_argument("--each", type=int, default=200, help="pictures a jurisdiction")
    r.add_argument("--only", nargs="*", metavar="CODE", help="US-CA, DE ...; default all")
    t = what.add_parser("table", help="a page of what `outrider eval --cases` wrote")
    t.add_argument("cases", type=pathlib.Path)
    t.add_argument("--package", type=pathlib.Path, required=True, help="folder of the package that read")
    args = p.parse_args()
    if args.what == "table":
        package = tomllib.loads((args.package / "model.toml").read_text())
        cases = [json.loads(line) for line in args.cases.read_text().splitlines()]
        print(table(cases, f"{package['name']} {package['version']}"), end="")
        return
    known = {place.code for place in places()}
    if unknown := sorted(set(args.only or []) - known):
        p.error(f"no such jurisdiction: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    cv2.setNumThreads(1)
    n = write(args.out, args.each, flats.Places(args.data / "pack/val", use=Use.REPORT), args.only)
    print(f"{n} plates of {len(args.only or known)} jurisdictions in {args.out}")


if __name__ == "__main__":
    main()
