"""What the processor can do, and one training on several processes: each takes its part of the batch, gradients are averaged.

On a busy machine two polite processes get twice the time of one; threads do not, as they wait for each other hundreds
of times a step, processes once.
"""

import os
import pathlib
import subprocess
import sys

import torch
from torch import distributed

RANK = int(os.environ.get("OUTRIDER_RANK", "0"))


def half_is_fast() -> bool:
    """Whether this processor computes in bfloat16; one that does not is ten times slower with it."""
    flags = pathlib.Path("/proc/cpuinfo")
    return flags.exists() and any(f in flags.read_text() for f in ("avx512_bf16", "amx_bf16"))


class Group:
    """The processes that train together; of one, everything here does nothing."""

    def __init__(self, size: int, work: pathlib.Path):
        self.size, self.rank, self.others = size, RANK, []
        if size == 1:
            return
        meeting = work / "meeting"
        if self.rank == 0:
            work.mkdir(parents=True, exist_ok=True)
            meeting.unlink(missing_ok=True)
            module = sys.modules["__main__"].__spec__.name
            for rank in range(1, size):
                environment = {**os.environ, "OUTRIDER_RANK": str(rank)}
                command = [sys.executable, "-m", module, *sys.argv[1:]]
                self.others.append(subprocess.Popen(command, env=environment, start_new_session=True))
        distributed.init_process_group("gloo", init_method=f"file://{meeting.resolve()}", rank=self.rank, world_size=size)

    def agree(self, model: torch.nn.Module, rate: float, stop: bool) -> tuple[float, bool]:
        """Average the gradients in place; everyone gets the first process's learning rate and wish to stop."""
        if self.size == 1:
            return rate, stop
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        word = torch.tensor([rate, float(stop)] if self.rank == 0 else [0.0, 0.0])
        flat = torch.cat([*(g.reshape(-1) for g in gradients), word])
        distributed.all_reduce(flat)
        rate, stop = float(flat[-2]), bool(flat[-1] > 0)
        flat /= self.size
        at = 0
        for g in gradients:
            g.copy_(flat[at : at + g.numel()].reshape(g.shape))
            at += g.numel()
        return rate, stop

    def end(self) -> None:
        """Wait for the others."""
        for other in self.others:
            other.wait()
