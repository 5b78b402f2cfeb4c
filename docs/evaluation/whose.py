"""Whose plates were said to be whose: tables for docs/evaluation/jurisdictions.md.

    whose.py labels EVALUATION FOLDER   a labelled folder of the crops whose file names carry the state, pictures linked
    whose.py loose PACKAGE FOLDER       the same package with the lowest threshold there may be, for curves
    whose.py table THRESHOLD NAME=CASES ...   what `outrider eval --cases` wrote with such a package

95 % intervals by Wilson's score. `--cases` of a loose package holds every read that is likelier than all others together;
what the shipped one says is those at its threshold and above.
"""

import collections
import json
import os
import pathlib
import re
import sys


def wilson(right, n, z=1.96):
    """Percent, low, high."""
    if n == 0:
        return "-"
    p = right / n
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = (100 * (middle + s * half) / (1 + z * z / n) for s in (-1, 1))
    return f"{100 * p:.1f} ({max(0, low):.1f}-{min(100, high):.1f}, n = {n})"


def labels(evaluation: pathlib.Path, folder: pathlib.Path) -> None:
    """Two letters at the head of seg_us's file names are the state."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "seg_us"
    if not link.exists():
        os.symlink((evaluation / "seg_us").resolve(), link)
    out = []
    for line in (evaluation / "labels.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["file"].startswith("seg_us/"):
            state = re.match(r"seg_us/([a-z]{2})", item["file"])[1].upper()
            out.append(json.dumps(item | {"jurisdiction": [f"US-{state}"], "source": ""}))
    (folder / "labels.jsonl").write_text("\n".join(out) + "\n")


def loose(package: pathlib.Path, folder: pathlib.Path) -> None:
    """A package that says whatever is likelier than not."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (package / "model.toml").read_text()
    (folder / "model.toml").write_text(re.sub(r"(?m)^threshold = .*$", "threshold = 0.5", text))
    (folder / "model.onnx").write_bytes((package / "model.onnx").read_bytes())


def of(path: str) -> list[dict]:
    """The cases whose jurisdiction is labelled and that are not set aside."""
    cases = map(json.loads, pathlib.Path(path).read_text().splitlines())
    return [c for c in cases if c["jurisdiction"] and not c["aside"]]


def said(cases, threshold):
    """Those of which something is said."""
    return [c for c in cases if (c["jurisdiction_confidence"] or 0) >= threshold]


def right(case) -> bool:
    """A label that names the country alone is met by its parts."""
    read, label = case["jurisdiction_read"], case["jurisdiction"]
    return read == label or "-" not in label and read.partition("-")[0] == label


def row(name, cases, threshold) -> str:
    """Said, of these right, wrong of all."""
    some = said(cases, threshold)
    good = sum(map(right, some))
    return f"| {name} | {wilson(len(some), len(cases))} | {wilson(good, len(some))} | {wilson(len(some) - good, len(cases))} |"


HEAD = "| said % | of these right % | said and wrong, of all % |\n|---|---|---|---|"


def table(threshold: float, runs: list[tuple[str, str]]) -> None:
    """Everything."""
    sets = [(name, of(path)) for name, path in runs]
    print(f"| pictures, reader {HEAD}")
    for name, cases in sets:
        print(row(name, cases, threshold))
        known = [c for c in cases if c["jurisdiction"][:3] in ("US-", "CA-")]
        if 0 < len(known) < len(cases):
            print(row(f"{name}: the US and Canada", known, threshold))
            print(row(f"{name}: others", [c for c in cases if c not in known], threshold))
    name, cases = sets[0]
    print(f"\n**By how sure it must be**, {name}; shipped is {threshold}.\n\n| from {HEAD}")
    for at in sorted({0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, threshold}):
        print(row(f"{at}", cases, at))
    print(f"\n**By conditions**, {name}: light is the plate's mean luma, 0 to 255; what is not said is *unknown*.\n\n| plates {HEAD}")
    for words, low, high, key in (
        ("dark, under 60", 0, 60, "light"),
        ("60 to 120", 60, 120, "light"),
        ("light, from 120", 120, 256, "light"),
        ("blurred, sharpness under 1", 0, 1, "sharpness"),
        ("sharp, from 1", 1, 1e9, "sharpness"),
    ):
        print(row(words, [c for c in cases if c[key] is not None and low <= c[key] < high], threshold))
    print(f"\n**By state**, {name}: plates, of which a jurisdiction was said, of which the right one; what was said wrongly.\n")
    print("| state | plates | said | right | said wrongly |\n|---|---|---|---|---|")
    states = collections.defaultdict(list)
    for case in cases:
        states[case["jurisdiction"]].append(case)
    for state, theirs in sorted(states.items()):
        some = said(theirs, threshold)
        wrong = [f"{c['jurisdiction_read']} ({c['jurisdiction_confidence']:.2f})" for c in some if not right(c)]
        print(f"| {state} | {len(theirs)} | {len(some)} | {len(some) - len(wrong)} | {', '.join(wrong)} |")


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "table":
        table(float(rest[0]), [tuple(r.split("=", 1)) for r in rest[1:]])
    else:
        {"labels": labels, "loose": loose}[what](*map(pathlib.Path, rest))
