"""How sure a vote over frames may be: the measurement behind docs/decisions/0030.

Takes labelled plates, makes passes of frames that differ as a camera's do (size, place of the pixel grid, box jitter,
sensor noise, blur, JPEG), reads each frame with a CTC package and votes as src/onboard/vote/ballot.rs does, for several
shared correlations. Prints log loss, reads and wrong reads per gate, and how often votes were right by what they said.

    python vote_calibration.py --data ../../../shared/data/evaluation --package ../plate-ocr-small
"""

import argparse
import json
import math
import tomllib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NONE = 36
FRAMES = 14
# The constants of ballot.rs.
DOUBT, MISSED, MISSED_AT_END, INVENTED, MISTAKEN, SYMBOLS_APART = 0.06, 0.07, 0.15, 0.02, 0.05, 33.0
MIN_WIDTH, FULL_WIDTH = 40.0, 80.0
# KNOWN_LABEL_ERRORS.md of the evaluation data.
RIGHT_LABELS = {"5DJ0529": "BDJ0529", "FZB9581": "FBZ9581", "BJL833": "BJL3833", "R820503": "R8Z0503", "P602849": "P6D2849"}
NO_LABELS = {"0", "YBW23"}


def fold(text):
    return text.replace("O", "0").replace("Q", "0").replace("I", "1")


FOLDED = [SYMBOLS.index(fold(c)) for c in SYMBOLS]
LIVE = np.array([FOLDED[i] == i for i in range(36)] + [True])


def plates(data):
    for line in (data / "labels.jsonl").open():
        row = json.loads(line)
        picture = None
        for box, text in zip(row["boxes"], row["text"]):
            if text and text not in NO_LABELS:
                if picture is None:
                    picture = cv2.imread(str(data / row["file"]), cv2.IMREAD_GRAYSCALE)
                yield picture, box, RIGHT_LABELS.get(text, text)


def wander(rng, spread):
    """Box jitter that stays for some frames."""
    steps = [rng.normal(0, spread)]
    for _ in range(FRAMES - 1):
        steps.append(0.7 * steps[-1] + math.sqrt(1 - 0.49) * rng.normal(0, spread))
    return steps


def make_pass(rng, picture, box, model):
    x, y, w, h = box
    x0, y0 = max(0, int(x - 0.25 * w)), max(0, int(y - 0.25 * h))
    around = picture[y0 : int(y + 1.25 * h), x0 : int(x + 1.25 * w)].astype(np.float32)
    corners = np.array([x - x0, y - y0, x - x0 + w, y - y0 + h])
    first = math.exp(rng.uniform(math.log(38), math.log(min(110, max(45, w)))))
    growth = float(rng.choice([0.0, 0.01, 0.03, 0.06]))
    gain, offset, noise, blur = rng.uniform(0.5, 1.1), rng.uniform(0, 40), rng.uniform(1.5, 7), rng.uniform(0, 1.3)
    jitter = [wander(rng, 0.02) for _ in range(4)]
    width, height = model["input"]["width"], model["input"]["height"]
    margin = model["ocr"].get("crop_margin", 0.03)
    crops = []
    for n in range(FRAMES):
        scale = min(1.0, first * math.exp(growth * n) / w)
        shift = rng.uniform(0, 1, 2)
        seen = cv2.GaussianBlur(around, (0, 0), max(0.3, 0.45 / scale)) if scale < 0.95 else around
        size = (int(around.shape[1] * scale) + 2, int(around.shape[0] * scale) + 2)
        move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        seen = cv2.warpAffine(seen, move, size, borderMode=cv2.BORDER_REPLICATE)
        if blur > 0.3:
            seen = cv2.GaussianBlur(seen, (0, 0), blur * 0.7)
        seen = np.clip(seen * gain + offset + rng.normal(0, noise, seen.shape), 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 92))]
        seen = cv2.imdecode(cv2.imencode(".jpg", seen, quality)[1], cv2.IMREAD_GRAYSCALE)
        at = corners * scale + np.tile(shift, 2)
        pw, ph = at[2] - at[0], at[3] - at[1]
        left, right = at[0] - (margin + jitter[0][n]) * pw, at[2] + (margin + jitter[2][n]) * pw
        top, bottom = at[1] - (margin + 2 * jitter[1][n]) * ph, at[3] + (margin + 2 * jitter[3][n]) * ph
        sx, sy = width / (right - left), height / (bottom - top)
        crop = np.array([[sx, 0, -left * sx], [0, sy, -top * sy]])
        crops.append(cv2.warpAffine(seen, crop, (width, height), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(crops)[:, None], first, growth


def slots(steps):
    """Best path; per character the distribution of its surest step (class 0 is blank)."""
    best, found, t = steps.argmax(-1), [], 0
    while t < len(best):
        end = t + 1
        while best[t] and end < len(best) and best[end] == best[t]:
            end += 1
        if best[t]:
            found.append(steps[t + int(steps[t:end, best[t]].argmax()), 1:])
        t = end
    return found[:12]


def likelihoods(slot):
    p = np.zeros(37)
    np.add.at(p, FOLDED, slot)
    seen = p.sum()
    p[NONE] = max(1 - seen, INVENTED)
    whole = seen + p[NONE]
    q = (1 - DOUBT) * p / whole + DOUBT / 2 / SYMBOLS_APART
    q[NONE] = ((1 - DOUBT) * p[NONE] / whole + DOUBT / 2) / SYMBOLS_APART
    q[~LIVE] = 1e-38
    return q


class Ballot:
    def __init__(self, shared, change):
        self.shared, self.change = shared, change
        self.columns, self.weight, self.frames, self.sum = [], 0.0, 0, 0.0

    def looks(self):
        return self.sum if self.sum <= 1 else self.sum / (1 + (self.sum - 1) * self.shared)

    def elect(self):
        elected = []
        for logs, _ in self.columns:
            p = np.exp((logs - logs.max()) * self.looks() / max(self.weight, 1e-9))
            p[NONE] *= SYMBOLS_APART
            p[~LIVE] = 0
            elected.append(p / p.sum())
        return elected

    @staticmethod
    def missed(column, weight, at_end):
        column[0][:NONE] += weight * math.log(MISSED_AT_END if at_end else MISSED)
        column[0][NONE] += weight * math.log(1 - INVENTED)
        column[1][NONE] += 1
        return column

    def unseen(self, at_end):
        column = [np.where(LIVE, 0.0, -1e6), np.zeros(37, int)]
        self.missed(column, self.weight, at_end)
        column[1][NONE] = self.frames
        return column

    def align(self, seen):
        elected = self.elect()
        n, m = len(elected), len(seen)
        ends = (0, n - 1)
        none = [p[NONE] + (1 - p[NONE]) * (MISSED_AT_END if j in ends else MISSED) for j, p in enumerate(elected)]
        meet = np.log(MISTAKEN + (1 - MISTAKEN) * np.minimum(1, np.array(elected) @ np.array(seen).T))
        best = np.full((n + 1, m + 1), -1e9)
        best[0, 0] = 0
        for j in range(n + 1):
            for i in range(m + 1):
                if j:
                    best[j, i] = max(best[j, i], best[j - 1, i] + math.log(none[j - 1]))
                if i:
                    best[j, i] = max(best[j, i], best[j, i - 1] + math.log(INVENTED))
                if i and j:
                    best[j, i] = max(best[j, i], best[j - 1, i - 1] + meet[j - 1, i - 1])
        places, j, i = [None] * m, n, m
        while i and j:
            if best[j, i] == best[j - 1, i - 1] + meet[j - 1, i - 1]:
                j, i = j - 1, i - 1
                places[i] = j
            elif best[j, i] == best[j - 1, i] + math.log(none[j - 1]):
                j -= 1
            else:
                i -= 1
        return places

    def add(self, found, weight, growth):
        seen = [likelihoods(slot) for slot in found]
        if self.frames:
            r = math.exp(-(self.change + 5 * abs(growth)))
            self.sum += (1 - r) / (1 + r)
            places = self.align(seen)
        else:
            self.sum, places = 1.0, [None] * len(seen)
        last, taken, columns = len(self.columns) - 1, 0, []
        for i, (p, place) in enumerate(zip(seen, places)):
            if place is None:
                column = self.unseen(i in (0, len(seen) - 1))
            else:
                for j in range(taken, place):
                    columns.append(self.missed(self.columns[j], weight, j in (0, last)))
                column, taken = self.columns[place], place + 1
            column[0] += weight * np.log(p)
            shown = p.copy()
            shown[NONE] *= SYMBOLS_APART
            column[1][shown.argmax()] += 1
            columns.append(column)
        for j in range(taken, len(self.columns)):
            columns.append(self.missed(self.columns[j], weight, j in (0, last)))
        self.columns, self.weight, self.frames = columns, self.weight + weight, self.frames + 1

    def count(self):
        text, weakest, agree = "", 1.0, FRAMES
        for p, (_, agreed) in zip(self.elect(), self.columns):
            best = int(p.argmax())
            weakest, agree = min(weakest, p[best]), min(agree, agreed[best])
            text += SYMBOLS[best] if best != NONE else ""
        return text, weakest, agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--most", type=int, default=10_000, help="passes at most")
    arguments = parser.parse_args()
    model = tomllib.loads((arguments.package / "model.toml").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(arguments.package / model["file"], options)
    rng = np.random.default_rng(arguments.seed)
    passes = []
    for picture, box, text in plates(arguments.data):
        crops, first, growth = make_pass(rng, picture, box, model)
        if model["input"]["dtype"] == "f32":
            crops = (crops.astype(np.float32) - model["input"]["mean"][0]) * np.float32(model["input"]["scale"])
        logits = session.run(None, {session.get_inputs()[0].name: crops})[0] / model["ocr"].get("temperature", 1.0)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        passes.append(([slots(steps) for steps in p], first, growth, fold(text)))
        if len(passes) == arguments.most:
            break
    for shared, change in ((0.0, 5.0), (0.3, 0.1), (0.6, 0.1), (0.8, 0.1)):
        votes = []
        for frames, first, growth, text in passes:
            ballot, counts = Ballot(shared, change), []
            for n, found in enumerate(frames):
                width = first * math.exp(growth * n)
                if found and width >= MIN_WIDTH:
                    ballot.add(found, max(0.05, 0.9 * min(1, width / FULL_WIDTH)), growth)
                    counts.append(ballot.count())
            votes.append((counts, text))
        ends = [(counts[-1][1], counts[-1][0] == text) for counts, text in votes if counts]
        loss = np.mean([-math.log(max(1e-4, p if right else 1 - p)) for p, right in ends])
        print(f"shared {shared}: log loss {loss:.3f} over {len(ends)} passes")
        for gate in (0.9, 0.95):
            out = [(c, t) for counts, t in votes if (c := next((c for c in counts if c[1] >= gate and c[2] >= 3), None))]
            wrong = sum(c[0] != t for c, t in out)
            print(f"  gate {gate}: {len(out)} of {len(votes)} read, {wrong} wrong")
        for low, high in ((0, 0.5), (0.5, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.99), (0.99, 1.01)):
            inside = [right for p, right in ends if low <= p < high]
            if inside:
                print(f"  said {low} to {min(high, 1)}: {np.mean(inside):.1%} of {len(inside)} right")


if __name__ == "__main__":
    main()
