"""The vote of crates/onboard/src/onboard/vote/ballot.rs once more, for measuring its constants without building anything.

In: softmaxed CTC steps of each frame. Out: text, least certain character, frames that agree. It reads each frame once, by the
likeliest path, where the car looks at doubtful ones again and counts what may be missing: figures of
examples/vote_typefaces.rs, which runs the car's own code, go before these.
"""

import math

import numpy as np

from . import labels

SYMBOLS = labels.ALPHABET
NONE = 36
DOUBT, MISSED, MISSED_AT_END, INVENTED, MISTAKEN, SYMBOLS_APART = 0.06, 0.07, 0.15, 0.02, 0.05, 33.0
"""The constants of ballot.rs."""
CHANGE = (1.0, 5.0, 0.5, 0.1)
"""Change per second, per unit of growth (its logarithm), per plate width of movement, and of any new frame."""
FOLDED = [SYMBOLS.index(labels.fold(c)) for c in SYMBOLS]
LIVE = np.array([FOLDED[i] == i for i in range(36)] + [True])


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
    """A slot as likelihoods: folded, with room for there being no character, and for doubt."""
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
    """The evidence of one pass, of frames that share `shared` of it."""

    def __init__(self, shared: float):
        self.shared = shared
        self.columns, self.weight, self.frames, self.sum = [], 0.0, 0, 0.0

    def looks(self):
        """How many independent looks the frames are worth."""
        return self.sum if self.sum <= 1 else self.sum / (1 + (self.sum - 1) * self.shared)

    def elect(self):
        """A distribution for each place."""
        elected = []
        for logs, _ in self.columns:
            p = np.exp((logs - logs.max()) * self.looks() / max(self.weight, 1e-9))
            p[NONE] *= SYMBOLS_APART
            p[~LIVE] = 0
            elected.append(p / p.sum())
        return elected

    @staticmethod
    def missed(column, weight, at_end):
        """A frame that did not see this place."""
        column[0][:NONE] += weight * math.log(MISSED_AT_END if at_end else MISSED)
        column[0][NONE] += weight * math.log(1 - INVENTED)
        column[1][NONE] += 1
        return column

    def unseen(self, at_end):
        """A place that no frame has seen."""
        column = [np.where(LIVE, 0.0, -1e6), np.zeros(37, int)]
        self.missed(column, self.weight, at_end)
        column[1][NONE] = self.frames
        return column

    def align(self, seen):
        """For each slot its place, or None where it is new (Needleman and Wunsch)."""
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

    def add(self, found, weight, change):
        """One frame's slots; `change` is how differently the plate was seen since the last one."""
        seen = [likelihoods(slot) for slot in found]
        if self.frames:
            r = math.exp(-change)
            self.sum += (1 - r) / (1 + r)
            places = self.align(seen)
        else:
            self.sum, places = 1.0, [None] * len(seen)
        last, taken, columns = len(self.columns) - 1, 0, []
        for i, (p, place) in enumerate(zip(seen, places, strict=True)):
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
        """Text, least certain character, and the fewest frames that agree on one."""
        text, weakest, agree = "", 1.0, self.frames
        for p, (_, agreed) in zip(self.elect(), self.columns, strict=True):
            best = int(p.argmax())
            weakest, agree = min(weakest, p[best]), min(agree, agreed[best])
            text += SYMBOLS[best] if best != NONE else ""
        return text, weakest, agree
