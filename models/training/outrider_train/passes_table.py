"""Tables of passes.py: how alike the errors of one pass are, and what the vote makes of them, in Markdown."""

import itertools
import json
import pathlib

import numpy as np

from . import labels

GROUPS = ("trained", "chosen", "reported")
SAID = ((0.8, 0.9), (0.9, 0.95), (0.95, 0.98), (0.98, 0.99), (0.99, 1.01))
GATE, LEAST, SURE = 0.95, 0.8, 0.9
FAR = 5
"""Frames between two that are no neighbours: a sixth of a second."""


def load(folder: pathlib.Path, files: list[pathlib.Path]) -> list[dict]:
    """Passes with what was read, texts folded; each vote says `how` it was taken: the weighing's three numbers."""
    told = {}
    for file in files:
        for voted in map(json.loads, file.read_text().splitlines()):
            one = told.setdefault(voted["file"], {"frames": voted["frames"], "votes": []})
            for vote in voted["votes"]:
                one["votes"].append(vote | ({"how": f"{file.stem}, {vote['how']}"} if len(files) > 1 else {}))
    out = []
    for line in (folder / "passes.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["file"] in told:
            voted = told[one["file"]]
            said = [(labels.fold(text), p) for text, p in voted["frames"]]
            out.append({**one, "text": labels.fold(one["text"]), "said": said, "votes": voted["votes"]})
    return out


def share(right: int, n: int, per: int = 100) -> str:
    """`9.2 (7.1-11.8)`: so many in `per`, with Wilson's interval."""
    if n == 0:
        return "-"
    low, high = labels.wilson(right, n)
    k = per / 100
    return f"{per * right / n:.1f} ({max(0.0, low) * k:.1f}-{high * k:.1f})"


def alike(passes: list[dict]) -> list[str]:
    """Cells of one group: wrong frames, correlations of being wrong, and how often another frame says the same wrong text."""
    wrong, frames = 0, 0
    pairs = {"all": [], "neighbours": [], "far": []}
    repeat = {"any": [0, 0], "sure": [0, 0]}
    for one in passes:
        said = [(text, p) for text, p in one["said"] if text]
        bad = [text != one["text"] for text, _ in said]
        wrong, frames = wrong + sum(bad), frames + len(said)
        weight = 2 / max(1, len(said) * (len(said) - 1))
        for (i, a), (j, b) in itertools.combinations(enumerate(bad), 2):
            pairs["all"].append((a, b, weight))
            if j - i == 1:
                pairs["neighbours"].append((a, b, 1 / max(1, len(said) - 1)))
            if j - i >= FAR:
                pairs["far"].append((a, b, weight))
        for i, (text, p) in enumerate(said):
            if bad[i] and len(said) > 1:
                same = sum(other == text for k, (other, _) in enumerate(said) if k != i) / (len(said) - 1)
                for kind in ("any", "sure") if p >= SURE else ("any",):
                    repeat[kind][0] += same
                    repeat[kind][1] += 1
    cells = [str(len(passes)), share(wrong, frames)]
    for kind in pairs.values():
        a, b, w = (np.array(v, float) for v in zip(*kind, strict=True)) if kind else (np.zeros(1),) * 3
        mean = np.average((a + b) / 2, weights=w) if w.sum() else 0
        both = np.average(a * b, weights=w) if w.sum() else 0
        cells.append(f"{(both - mean**2) / (mean * (1 - mean)):.2f}" if 0 < mean < 1 else "-")
    cells += [f"{100 * s / n:.0f} % of {n}" if n else "-" for s, n in repeat.values()]
    return cells


def outcome(one: dict, fps: int, how: str, gate: float) -> tuple[bool, bool, float, bool]:
    """Whether the pass was read, whether it was misread, what the first read said, and whether that was right."""
    vote = next(v for v in one["votes"] if (v["fps"], v["how"]) == (fps, how) and abs(v["gate"] - gate) < 1e-4)
    reads = [(labels.fold(text), p) for text, p, _ in vote["reads"]]
    right = [text == one["text"] for text, _ in reads]
    return any(right), not all(right), reads[0][1] if reads else 0.0, bool(right and right[0])


def head(names: list[str]) -> list[str]:
    """A table's first two lines."""
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def row(*cells) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(c) for c in cells)} |"


def how_alike(groups: dict[str, list[dict]]) -> list[str]:
    """The table of correlations."""
    names = ["typefaces", "passes", "frames misread %", "correlation, any two frames", "neighbours"]
    names += ["a sixth of a second apart and more", "other frames with the same wrong text", "the same, of frames that say 0.9"]
    return head(names) + [row(g, *alike(of)) for g, of in groups.items()]


def voted(groups: dict[str, list[dict]], hows: list[str]) -> list[str]:
    """The table of what the vote makes of all passes, for each way of voting and frame rate."""
    names = [
        "typefaces",
        "vote",
        "frames a second",
        "passes",
        "read %",
        "misread, per 1,000 passes",
        "right of first reads %",
    ]
    out = head(names)
    for (g, of), how, fps in itertools.product(groups.items(), hows, (30, 15)):
        ends = [outcome(p, fps, how, GATE) for p in of]
        said = [e[3] for e in ends if e[2] > 0]
        read, mis = share(sum(e[0] for e in ends), len(of)), share(sum(e[1] for e in ends), len(of), 1000)
        out.append(row(g, how, fps, len(of), read, mis, share(sum(said), len(said))))
    return out


def by_probability(groups: dict[str, list[dict]], hows: list[str]) -> list[str]:
    """The table of first reads by what the vote says; those below the gate as a lower one would let them out."""
    out = head(["typefaces", "vote", *(f"{a:g} to {min(b, 1):g}" for a, b in SAID)])
    for (g, of), how in itertools.product(groups.items(), hows):
        cells = []
        for low, high in SAID:
            gate = GATE if low >= GATE else LEAST
            firsts = [(p, ok) for _, _, p, ok in (outcome(x, 30, how, gate) for x in of) if low <= p < high]
            wrong = sum(not ok for _, ok in firsts)
            cells.append(f"{wrong} of {len(firsts)}: {share(wrong, len(firsts), 1000)}" if firsts else "none")
        out.append(row(g, how, *cells))
    return out


def by_speed(groups: dict[str, list[dict]], hows: list[str]) -> list[str]:
    """The table by closing speed, at 30 frames a second and at 15."""
    names = ["read %, 30 a second", "misread per 1,000", "read %, 15 a second", "misread per 1,000"]
    out = head(["typefaces", "closing, km/h", "vote", "passes", *names])
    for g, of in groups.items():
        for kmh, how in itertools.product(sorted({p["kmh"] for p in of}), hows):
            some, cells = [p for p in of if p["kmh"] == kmh], []
            for fps in (30, 15):
                ends = [outcome(p, fps, how, GATE) for p in some]
                cells += [share(sum(e[0] for e in ends), len(some)), share(sum(e[1] for e in ends), len(some), 1000)]
            out.append(row(g, kmh, how, len(some), *cells))
    return out


def tables(folder: pathlib.Path, files: list[pathlib.Path]) -> str:
    """Everything."""
    passes = load(folder, files)
    groups = {g: [p for p in passes if p["group"] == g] for g in GROUPS}
    groups = {g: of for g, of in groups.items() if of}
    hows = list(dict.fromkeys(v["how"] for v in passes[0]["votes"]))
    said = "Misread of first reads, and per 1,000 of them; below 0.95 as a gate of 0.8 would let them out. 30 frames a second."
    out = ["## How alike the frames of one pass are", "", *how_alike(groups), ""]
    out += ["## What the vote makes of them", "", *voted(groups, hows), ""]
    out += ["## By what the vote says", "", said, "", *by_probability(groups, hows), ""]
    return "\n".join([*out, "## By closing speed", "", *by_speed(groups, hows)])
