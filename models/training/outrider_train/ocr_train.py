"""Trains the reader on rendered crops with a few real ones in every batch; CTC with a flat start."""

import argparse
import json
import pathlib
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from . import checkpoint, labels
from .crops import true_crops
from .flats import FlatPlates, NotPlates, Places, RealPlates
from .ocr_net import SLOTS, Reader
from .share import Group, half_is_fast
from .warm import load_package

BATCH, REAL, NOTHING = 64, 8, 0.05
"""Samples a step over all processes, how many of them are real plates, which share of the others are no plates at all."""
FLAT_STEPS = 450
"""Steps over which the flat start fades out: CTC leaves its plateau at about 450."""


def loss_of(logits: torch.Tensor, texts: list[str], flat: float) -> torch.Tensor:
    """CTC a character, with the share `flat` replaced by frame-wise cross entropy against evenly spread characters.

    A tenth of the photographs show nothing that could be read and would make 60 % of the loss: once the flat start is over, a
    crop's loss l counts as ln(1 + l).
    """
    n = len(texts)
    codes = torch.tensor([c for t in texts for c in labels.encode(t)], dtype=torch.long)
    lengths = torch.tensor([len(t) for t in texts])
    logits, whole = logits.float(), torch.full((n,), SLOTS)
    each = F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), codes, whole, lengths, reduction="none", zero_infinity=True)
    each = each / lengths.clamp(min=1)
    if flat <= 0:
        return torch.log1p(each).mean()
    targets = torch.from_numpy(labels.flat_targets(texts, SLOTS)).reshape(-1)
    return each.mean() * (1 - flat) + 3 * flat * F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)


@torch.no_grad()
def predict(model: Reader, x: np.ndarray, batch: int = 64) -> np.ndarray:
    """Logits of uint8 crops [n, 64, 160]."""
    parts = [model(torch.from_numpy(x[i : i + batch])[:, None].float() / 255).numpy() for i in range(0, len(x), batch)]
    return np.concatenate(parts)


def exact(model: Reader, sets: dict) -> dict:
    """{set: [exact %, exact folded %]}."""
    out = {}
    for name, (x, texts) in sets.items():
        read = [t for t, _ in labels.greedy(labels.softmax(predict(model, x)))]
        strict = np.mean([a == b for a, b in zip(read, texts, strict=True)])
        folded = np.mean([labels.fold(a) == labels.fold(b) for a, b in zip(read, texts, strict=True)])
        out[name] = [round(100 * float(strict), 1), round(100 * float(folded), 1)]
    return out


def measured_sets(data: pathlib.Path) -> dict:
    """Crops for the curve: the pack's validation half, and the evaluation pictures when they are there."""
    sets = {"val": true_crops(data / "pack/val"), "val_j": true_crops(data / "pack/val", jitter=np.random.default_rng(1))}
    for name in ("e2e_us", "e2e_eu", "e2e_br", "seg_us"):
        if (data / "evaluation/labels.jsonl").exists():
            sets[name] = true_crops(data / "evaluation", name)
            sets[name + "_j"] = true_crops(data / "evaluation", name, jitter=np.random.default_rng(1))
    return sets


def start(args) -> tuple[Reader, checkpoint.Average, torch.optim.Optimizer, int, int]:
    """Network, average, optimiser, step and first step of this lineage: resumed, from a package, or from nothing."""
    torch.manual_seed(args.seed)
    model = Reader()
    state = checkpoint.load(args.work / "ocr.pt")
    if state is None and args.init:
        examples = torch.from_numpy(true_crops(args.data / "pack/train")[0][:256])[:, None].float() / 255
        load_package(model, str(args.init), examples)
    average = checkpoint.Average(model)
    if state is not None:
        model.load_state_dict(state["model"])
        average.model.load_state_dict(state["average"])
        average.steps = state["step"]
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=0.02)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    flat = FLAT_STEPS if not args.init else 0
    return model, average, optimiser, state["step"] if state else 0, state["flat"] if state else flat


def arguments() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--pool", type=pathlib.Path, help="folder of rendered plates; default WORK/pool")
    p.add_argument("--limit", type=int, default=400_000, help="rendered plates to keep in memory (25 KB each)")
    p.add_argument("--init", type=pathlib.Path, help="ONNX file of a package to continue from")
    p.add_argument("--steps", type=int, default=30_000)
    p.add_argument("--cooldown", type=int, default=6_000)
    p.add_argument("--minutes", type=float, default=0, help="end after this time, cooling down all along, instead of --steps")
    p.add_argument("--warm", type=int, default=300)
    p.add_argument("--lr", type=float, default=1.2e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--processes", type=int, default=1, help="that share each batch")
    p.add_argument("--every", type=float, default=600, help="seconds between measurements")
    return p.parse_args()


def main() -> None:
    """Train until `--steps`, or until asked to stop; either way the state is saved."""
    args = arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    stop = checkpoint.Stop()
    schedule = checkpoint.Schedule(args.steps, args.lr, args.warm, args.cooldown, args.minutes)
    model, average, optimiser, step, flat_steps = start(args)
    group = Group(args.processes, args.work)
    rng = np.random.default_rng([args.seed, step, group.rank])
    share, real_share = BATCH // group.size, REAL // group.size
    pool, places = args.pool or args.work / "pool", Places(args.data / "pack/train")
    rendered, nothing = FlatPlates(pool, places, args.limit), NotPlates(pool / "not-plates.npz", places)
    real, fast = RealPlates(args.data / "pack/train"), half_is_fast()

    def draw(i):
        return (real if i < real_share else nothing if rng.random() < NOTHING else rendered).draw(rng)

    sets, seen_loss, last = {} if group.rank else measured_sets(args.data), 0.0, time.time()
    if group.rank == 0 and step == 0:
        print(json.dumps({"step": step, "real": len(real.items), **exact(average.model, sets)}), flush=True)

    def keep():
        if group.rank:
            return
        state = {"model": model.state_dict(), "average": average.model.state_dict(), "optimiser": optimiser.state_dict()}
        checkpoint.save(args.work / "ocr.pt", **state, step=step, flat=flat_steps)
        line = {"step": step, "pool": len(rendered), "loss": round(seen_loss, 4), "lr": rate, "cpu": round(time.process_time())}
        line.update(exact(average.model, sets))
        with (args.work / "ocr-curve.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    rate, over = 0.0, False
    while not over:
        if step % 50 == 0 or not len(rendered):
            rendered.refresh()
        x, texts = zip(*map(draw, range(share)), strict=True)
        batch = torch.from_numpy(np.stack(x))[:, None].float() / 255
        if rng.random() < 0.03:
            batch = 1 - batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            logits = model(batch.to(memory_format=torch.channels_last))
        loss = loss_of(logits, texts, 1 - step / flat_steps if step < flat_steps else 0)
        optimiser.zero_grad()
        loss.backward()
        rate, over = group.agree(model, schedule.rate(step), bool(stop) or schedule.done(step + 1))
        for settings in optimiser.param_groups:
            settings["lr"] = rate
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update(model)
        step += 1
        seen_loss = loss.item() if seen_loss == 0 else 0.98 * seen_loss + 0.02 * loss.item()
        if time.time() - last > args.every:
            keep()
            last = time.time()
    keep()
    group.end()


if __name__ == "__main__":
    main()
