#!/usr/bin/env python3
"""Rows of a table of what was read, by source, from files that `outrider eval --cases` wrote; standard library only.

    by_source.py --labels FOLDER [--labels FOLDER ...] [--only SOURCE ...] NAME=CASES[,CASES...] ...

A row for every source, for the ordinary serials of the United States and Canada (no personalised, old, temporary, stacked,
motorcycle, two-line, cut or painted-over plate) and for all; in each the readers NAME, one beside the other. Folded: O and Q are 0,
I is 1. Accepted: the largest share of all plates that a threshold takes with 99.5 % of the accepted right. Intervals: Wilson's, 95 %.
"""

import argparse
import collections
import json
import math
import pathlib

FOLD = str.maketrans("OQI", "001")
EXTRAORDINARY = {
    "vanity",
    "old",
    "temp",
    "stacked",
    "motorcycle",
    "two_lines",
    "nonlatin",
    "cut",
    "redacted",
    "studio_scan",
    "maybe_edited_lettering",
}
SURE = 0.9
WANT = 0.995
SERIALS = "ordinary serials of the US and Canada"


def wilson(right, n, z=1.96):
    """95 % interval of a share, in percent."""
    if n == 0:
        return 0.0, 100.0
    p, scale = right / n, 100 / (1 + z * z / n)
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) * scale), min(100.0, (centre + half) * scale)


def percent(right, n):
    """97.5 (96.0-98.0)."""
    if n == 0:
        return "-"
    low, high = wilson(right, n)
    return f"{100 * right / n:.1f} ({low:.1f}-{high:.1f})"


def accepted(reads):
    """Share of (weakest, right) reads that can be accepted with WANT of them right, in percent."""
    best = right = 0
    ordered = sorted((r for r in reads if r[0] > 0), key=lambda r: -r[0])
    for i, (weakest, is_right) in enumerate(ordered, 1):
        right += is_right
        tied = i < len(ordered) and ordered[i][0] == weakest
        if not tied and right >= WANT * i:
            best = i
    return 100 * best / max(1, len(reads))


def described(folders):
    """{(file, text): (jurisdiction, tags)} of what the folders label; the plates are told apart by their texts."""
    out = {}
    for folder in folders:
        for line in (folder / "labels.jsonl").read_text().splitlines():
            item = json.loads(line)
            n = len(item["boxes"])
            beside = zip(item["text"], item.get("jurisdiction") or [None] * n, item.get("tags") or [[]] * n)
            for text, place, tags in beside:
                if text:
                    key = (pathlib.PurePath(item["file"]).name, "".join(c for c in text.upper() if c.isalnum()))
                    out[key] = (place or "", set(tags or ()))
    return out


def groups_of(case, known):
    """The rows a case counts in."""
    place, tags = known[(pathlib.PurePath(case["file"]).name, case["label"])]
    out = [case["source"]]
    if place.startswith(("US", "CA-")) and not tags & EXTRAORDINARY:
        out.append(SERIALS)
    return [*out, "all"]


def rows(readers, known, only):
    """[group, reader, figures ...] of {name: [cases]}."""
    grouped = collections.defaultdict(lambda: collections.defaultdict(list))
    for name, cases in readers.items():
        for case in cases:
            if case["label"] and not case.get("aside") and (not only or case["source"] in only):
                for group in groups_of(case, known):
                    grouped[group][name].append(case)
    order = sorted(g for g in grouped if g not in (SERIALS, "all")) + [g for g in (SERIALS, "all") if g in grouped]
    for group in order:
        for name in readers:
            cases = grouped[group][name]
            folded = [c["label"].translate(FOLD) == c["read"].translate(FOLD) for c in cases]
            sure = [right for c, right in zip(cases, folded) if c["weakest"] >= SURE and c["read"]]
            yield [
                group,
                name,
                len(cases),
                percent(sum(folded), len(cases)),
                percent(sum(c["label"] == c["read"] for c in cases), len(cases)),
                f"{accepted([(c['weakest'] if c['read'] else 0.0, r) for c, r in zip(cases, folded)]):.1f}",
                f"{percent(sum(sure), len(sure))} n={len(sure)}",
                len(sure) - sum(sure),
            ]


HEAD = [
    "plates",
    "read by",
    "n",
    "O/Q=0, I=1 %",
    "exact %",
    "accepted % at 99.5 % right",
    "right of those that say 0.9",
    "wrong at 0.9",
]


def main():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--labels", type=pathlib.Path, action="append", required=True)
    p.add_argument("--only", action="append", default=[])
    p.add_argument("--no-head", action="store_true")
    p.add_argument("reader", nargs="+", metavar="NAME=CASES,...")
    args = p.parse_args()
    readers = {}
    for reader in args.reader:
        name, _, files = reader.partition("=")
        lines = [line for f in files.split(",") for line in pathlib.Path(f).read_text().splitlines()]
        readers[name] = [json.loads(line) for line in lines]
    if not args.no_head:
        print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for row in rows(readers, described(args.labels), args.only):
        print("| " + " | ".join(str(c) for c in row) + " |")


if __name__ == "__main__":
    main()
