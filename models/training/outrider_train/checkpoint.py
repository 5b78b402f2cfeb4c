"""Training state on disk: written whole or not at all, and taken up again where it stopped."""

import copy
import math
import os
import pathlib
import signal
import time

import torch


class Average:
    """Exponential moving average of a network's weights: what is measured and shipped."""

    def __init__(self, model: torch.nn.Module, decay: float = 0.9985):
        self.model, self.decay, self.steps = copy.deepcopy(model).eval(), decay, 0

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Take one step towards `model`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


def save(path: pathlib.Path, **state) -> None:
    """Write a checkpoint aside and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: pathlib.Path) -> dict | None:
    """The state saved at `path`, or None."""
    return torch.load(path, weights_only=False) if path.exists() else None


def same_held_out(work: pathlib.Path, state: dict | None, held: list[str]) -> None:
    """Leave with a message where a resumed `state` was trained with other sources held out than `held`."""
    if state is not None and set(state.get("held", [])) != set(held):
        raise SystemExit(f"{work} held out {state.get('held', [])}, not {held}: its weights have seen the others")


def begin_from(model: torch.nn.Module, path: pathlib.Path, held: list[str]) -> None:
    """Begin with the average that a run kept at `path`, saying so where it has seen sources that are held out now."""
    kept = load(path)
    if kept is None:
        raise FileNotFoundError(path)
    if missing := set(held) - set(kept.get("held", ())):
        print(f"{path} was trained with {', '.join(sorted(missing))}: held out from here on only", flush=True)
    model.load_state_dict(kept["average"])


class Stop:
    """True once SIGTERM or SIGINT came: the loop saves and leaves."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_):
        self.asked = True

    def __bool__(self):
        return self.asked


class Schedule:
    """Learning rate: linear warm-up, flat, then along a cosine to nothing over the last `cooldown` steps.

    Flat in between, so that a run can be stretched by more steps without having planned for them. With `minutes`, the
    clock decides instead: the rate falls to the end from now on. For a machine shared with others, where nobody can
    say how many steps an hour has; such a run cannot be repeated exactly.
    """

    def __init__(self, steps: int, peak: float, warm: int, cooldown: int, minutes: float = 0):
        self.steps, self.peak, self.warm, self.cooldown = steps, peak, warm, cooldown
        self.begin, self.seconds = time.time(), 60 * minutes

    def done(self, step: int) -> bool:
        """Whether the run is over."""
        return time.time() - self.begin >= self.seconds if self.seconds else step >= self.steps

    def rate(self, step: int) -> float:
        """The learning rate of this step."""
        left = (self.steps - step) / max(1, self.cooldown)
        if self.seconds:
            left = 1 - (time.time() - self.begin) / self.seconds
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, left)))
        return self.peak * min(1.0, (step + 1) / max(1, self.warm)) * max(0.002, fall)
