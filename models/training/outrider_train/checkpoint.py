"""Training state on disk: written whole or not at all, and taken up again where it stopped."""

import copy
import os
import pathlib
import signal

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


def learning_rate(step: int, steps: int, peak: float, warm: int, cooldown: int) -> float:
    """Linear warm-up, flat, then linear to 2 % over the last `cooldown` steps.

    Flat in between, so that a run can be stretched by more steps without having planned for them.
    """
    rise = min(1.0, (step + 1) / max(1, warm))
    fall = min(1.0, max(0.02, (steps - step) / max(1, cooldown)))
    return peak * rise * fall
