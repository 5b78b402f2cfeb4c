"""Reads the frames of passes.py and votes over them with ballot.py: votes.jsonl without a build, one look at each frame."""

import json
import math
import pathlib
import tomllib

import cv2
import numpy as np

from . import evaluate, labels
from .ballot import CHANGE, Ballot, slots
from .crops import cut, to_input

GATES, LEAST_AGREEING, NARROWEST, SCORE = (0.95, 0.8), 3, 40.0, 0.8
LEAST_WEIGHT = 0.05
"""The constants of vote.rs."""


def read(folder: pathlib.Path, package: pathlib.Path) -> list[dict]:
    """Passes with `slots` and `said` (text, least certain character) of every frame."""
    about = tomllib.loads((package / "model.toml").read_text())
    reader, margins = evaluate.session(package / about["file"]), (about["ocr"]["crop_margin"],) * 4
    out = []
    for line in (folder / "passes.jsonl").read_text().splitlines():
        one = json.loads(line)
        strip = cv2.imread(str(folder / one["file"]), cv2.IMREAD_GRAYSCALE)
        crops = np.stack([to_input(cut(strip, f["box"], margins)) for f in one["frames"]])
        p = labels.softmax(evaluate.reader_logits(reader, crops), about["ocr"]["temperature"])
        out.append(one | {"slots": [slots(steps) for steps in p], "said": labels.greedy(p)})
    return out


def change(before: dict, now: dict) -> float:
    """How differently the plate was seen, as ballot.rs has it."""
    (x0, y0, w0, h0), (x1, y1, w1, h1) = before["seen"], now["seen"]
    moved = math.hypot(x1 + w1 / 2 - x0 - w0 / 2, y1 + h1 / 2 - y0 - h0 / 2) / w1
    second, growth, width, new = CHANGE
    return second * (now["ms"] - before["ms"]) / 1000 + growth * abs(math.log(w1 / w0)) + width * moved + new


def counts(one: dict, weighing: tuple[float, float, float], every: int = 1) -> list[tuple]:
    """(text, least certain character, frames that agree, frames) after each frame that votes.

    `weighing` is what frames share, the width that counts in full, and the power of narrower ones' share of it.
    """
    shared, full, power = weighing
    ballot, out, last = Ballot(shared), [], None
    for frame, seen in list(zip(one["frames"], one["slots"], strict=True))[::every]:
        width = frame["seen"][2]
        if width < NARROWEST or not seen:
            continue
        weight = max(LEAST_WEIGHT, SCORE * min(1.0, width / full) ** power)
        ballot.add(seen, weight, change(last, frame) if last else 0.0)
        last = frame
        text, weakest, agree = ballot.count()
        out.append((text, float(weakest), int(agree), ballot.frames))
    return out


def votes(one: dict, weighing: tuple[float, float, float]) -> list[dict]:
    """The first read at each frame rate and gate, in the form of examples/vote_typefaces.rs."""
    out = []
    for every in (1, 2):
        counted = counts(one, weighing, every)
        for gate in GATES:
            first = next((c for c in counted if c[1] >= gate and min(c[2:]) >= LEAST_AGREEING and len(c[0]) >= 3), None)
            reads = [[first[0], first[1], False]] if first else []
            out.append({"fps": 30 // every, "how": ",".join(f"{v:g}" for v in weighing), "gate": gate, "reads": reads})
    return out
