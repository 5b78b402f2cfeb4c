"""Trains the reader on rendered crops with a few real ones in every batch; CTC with a flat start."""

import argparse
import glob
import json
import pathlib
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from . import checkpoint, labels
from .crops import RealCrops, true_crops
from .ocr_net import HEIGHT, SLOTS, WIDTH, Reader
from .share import Group
from .warm import load_package

BATCH, REAL = 64, 6
"""Samples a step over all processes, and how many of them are real."""
FLAT_STEPS = 450
"""Steps over which the flat start fades out: CTC leaves its plateau at about 450."""


class Pool:
    """Rendered crops: npz files of x uint8 [n, 64, 160] and y texts; picks up new files while they are written."""

    def __init__(self, folder: pathlib.Path, limit: int):
        self.folder, self.limit, self.files = folder, limit, {}
        self.x, self.y, self.looked = np.zeros((0, HEIGHT, WIDTH), np.uint8), np.zeros(0, str), 0.0

    def refresh(self) -> None:
        """Look for new files, at most once a minute; the oldest are dropped beyond `limit` crops."""
        if time.time() - self.looked < 60 and len(self.x):
            return
        self.looked = time.time()
        names = sorted(glob.glob(str(self.folder / "*.npz")), key=lambda f: pathlib.Path(f).stat().st_mtime)
        new = [f for f in names if f not in self.files and not f.endswith(".part.npz")]
        if not new:
            return
        for name in new:
            with np.load(name) as z:
                self.files[name] = (z["x"], z["y"])
        keep, total = [], 0
        for name in reversed(list(self.files)):
            if total < self.limit:
                keep.append(name)
                total += len(self.files[name][0])
            else:
                self.files[name] = (self.files[name][0][:0], self.files[name][1][:0])
        self.x = np.concatenate([self.files[n][0] for n in keep])
        self.y = np.concatenate([self.files[n][1] for n in keep])

    def draw(self, rng: np.random.Generator, n: int):
        """n crops and their texts."""
        index = rng.integers(0, len(self.x), n)
        return self.x[index], [str(t) for t in self.y[index]]


def augment(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shift, scale, shear, contrast, noise; now and then an inverted batch. [n, 1, 64, 160] in [0, 1]."""
    n = len(x)
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = rng.uniform(0.92, 1.12, n), rng.uniform(0.92, 1.12, n)
    theta[:, 0, 1], theta[:, 1, 0] = rng.normal(0, 0.06, n), rng.normal(0, 0.015, n)
    theta[:, 0, 2], theta[:, 1, 2] = rng.uniform(-0.05, 0.05, n), rng.uniform(-0.1, 0.1, n)
    grid = F.affine_grid(torch.from_numpy(theta), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    gain = torch.from_numpy(rng.uniform(0.5, 1.4, (n, 1, 1, 1)).astype(np.float32))
    lift = torch.from_numpy(rng.uniform(-0.15, 0.15, (n, 1, 1, 1)).astype(np.float32))
    x = (x - 0.5) * gain + 0.5 + lift
    if rng.random() < 0.5:
        x = x + torch.from_numpy(rng.standard_normal(x.shape, np.float32)) * 0.03
    x = x.clamp(0, 1)
    return 1 - x if rng.random() < 0.03 else x


def loss_of(logits: torch.Tensor, texts: list[str], flat: float) -> torch.Tensor:
    """CTC, with the share `flat` replaced by frame-wise cross entropy against evenly spread characters."""
    n = len(texts)
    codes = torch.tensor([c for t in texts for c in labels.encode(t)])
    lengths = torch.tensor([len(t) for t in texts])
    logits = logits.float()
    ctc = F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), codes, torch.full((n,), SLOTS), lengths, zero_infinity=True)
    if flat <= 0:
        return ctc
    targets = torch.from_numpy(labels.flat_targets(texts, SLOTS)).reshape(-1)
    return ctc * (1 - flat) + 3 * flat * F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)


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
    p.add_argument("--pool", type=pathlib.Path, help="folder of rendered crops; default WORK/pool")
    p.add_argument("--limit", type=int, default=400_000, help="rendered crops to keep in memory (10 KB each)")
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
    pool, real = Pool(args.pool or args.work / "pool", args.limit), RealCrops(args.data / "pack/train")
    sets, seen_loss, last = {} if group.rank else measured_sets(args.data), 0.0, time.time()
    if group.rank == 0 and step == 0:
        print(json.dumps({"step": step, "real": len(real.items), **exact(average.model, sets)}), flush=True)

    def keep():
        if group.rank:
            return
        state = {"model": model.state_dict(), "average": average.model.state_dict(), "optimiser": optimiser.state_dict()}
        checkpoint.save(args.work / "ocr.pt", **state, step=step, flat=flat_steps)
        line = {"step": step, "pool": len(pool.x), "loss": round(seen_loss, 4), "lr": rate, "cpu": round(time.process_time())}
        line.update(exact(average.model, sets))
        with (args.work / "ocr-curve.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    rate, over = 0.0, False
    while not over:
        pool.refresh()
        x, texts = pool.draw(rng, share)
        for i in range(real_share):
            x[i], texts[i] = real.draw(rng)
        batch = augment(torch.from_numpy(x)[:, None].float() / 255, rng).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch)
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
