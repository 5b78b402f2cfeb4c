"""Trains the reader on rendered crops with real ones in every batch; CTC with a flat start.

The curve is measured on what may be chosen on, never on what is reported (sources.py); each of its points keeps its weights
in WORK/kept, to go back to.
"""

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
from .ocr_net import ROW, SLOTS, WHOLE, Reader
from .share import Group, half_is_fast
from .sources import USUAL_WEIGHTS, Source, Use, Weights, pictures, usual
from .warm import load_package

BATCH, NOTHING, TWO_ROWS = 64, 0.05, 0.15
"""Samples a step over all processes, and which shares of the rendered ones are no plates at all, and plates of two rows."""
FLAT_STEPS = 450
"""Steps over which the flat start fades out: CTC leaves its plateau at about 450."""


def ctc(logits: torch.Tensor, texts: list[str]) -> torch.Tensor:
    """Negative log likelihood of each text, [n], of logits [n, slots, 37]."""
    codes = torch.tensor([c for t in texts for c in labels.encode(t)], dtype=torch.long)
    lengths, slots = torch.tensor([len(t) for t in texts]), torch.full((len(texts),), logits.shape[1])
    return F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), codes, slots, lengths, reduction="none", zero_infinity=True)


def loss_of(logits: torch.Tensor, texts: list[str], flat: float, rows: float = 0) -> torch.Tensor:
    """CTC a character; in the shares `flat` (plates of one row) and `rows` (of two) frame-wise cross entropy against evenly
    spread characters takes its place, which is what takes CTC over its plateau.

    A text with a break between its rows is learnt row by row, each in its own slots, and nothing in those of the whole height.
    A tenth of the photographs show nothing that could be read and would make 60 % of the loss: once the flat start is over, a
    crop's loss l counts as ln(1 + l).
    """
    logits, two = logits.float(), [labels.BREAK in t for t in texts]
    plain = [t.replace(labels.BREAK, "") for t in texts]
    lengths, losses = torch.tensor([max(1, len(t)) for t in plain]), []
    for both in (False, True):
        at = [i for i, t in enumerate(two) if t == both]
        if not at:
            continue
        y, share = logits[at], rows if both else flat
        if both:
            parts = [texts[i].split(labels.BREAK) for i in at]
            upper, lower = [p[0] for p in parts], [p[1] for p in parts]
            silent = -y[:, :WHOLE].log_softmax(-1)[..., labels.BLANK].sum(1)
            each = silent + ctc(y[:, WHOLE : WHOLE + ROW], upper) + ctc(y[:, WHOLE + ROW :], lower)
            spread = np.concatenate([labels.flat_targets(row, ROW) for row in (upper, lower)], 1)
            targets = F.pad(torch.from_numpy(spread), (WHOLE, 0))
        else:
            some = [plain[i] for i in at]
            each = ctc(y, some)
            targets = F.pad(torch.from_numpy(labels.flat_targets(some, WHOLE)), (0, SLOTS - WHOLE))
        each = each / lengths[at]
        if share <= 0:
            losses.append(torch.log1p(each))
            continue
        framewise = F.cross_entropy(y.transpose(1, 2), targets, reduction="none").mean(1)
        losses.append((torch.log1p(each) if both else each) * (1 - share) + 3 * share * framewise)
    return torch.cat(losses).mean()


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


def measured_sets(data: pathlib.Path, held: frozenset[str]) -> dict:
    """Crops for the curve: what may be chosen on, by folder, and of each those of Canada and the US and of two rows."""
    sets = {}
    for name in ("pack/val", "pack2/dev"):
        if not (data / name / "labels.jsonl").exists():
            continue
        for jitter in (None, np.random.default_rng(1)):
            x, texts = true_crops(data / name, Use.CHOOSE, jitter=jitter, held=held)
            if len(x):
                sets[name + ("" if jitter is None else " jittered")] = (x, texts)
        about = [
            (place or "", tags)
            for p in pictures(data / name, Use.CHOOSE, held=held)
            for place, tags, t in zip(p.places, p.tags, p.texts, strict=True)
            if t and labels.normalise(t)
        ]
        slices = {
            "US, CA": [i for i, (place, _) in enumerate(about) if place.startswith(("US", "CA-"))],
            "two rows": [i for i, (_, tags) in enumerate(about) if "two_lines" in tags],
        }
        for slice_, chosen in slices.items():
            if chosen:
                x, texts = sets[name]
                sets[f"{name} {slice_}"] = (x[chosen], [texts[i] for i in chosen])
    return sets


def examples_of(sources: list[Source], held: frozenset[str]) -> torch.Tensor:
    """Typical crops for the statistics of a network that is read back out of a package."""
    x = np.concatenate([true_crops(s.folder, Use.TRAIN, s.prefix, held=held)[0] for s in sources])
    return torch.from_numpy(x[:: max(1, len(x) // 256)])[:, None].float() / 255


def start(args) -> tuple[Reader, checkpoint.Average, torch.optim.Optimizer, int, int]:
    """Network, average, optimiser, step and first step of this lineage: resumed, from a package, or from nothing."""
    torch.manual_seed(args.seed)
    model = Reader()
    state = checkpoint.load(args.work / "ocr.pt")
    checkpoint.same_held_out(args.work, state, args.hold_out)
    if state is None and args.init and args.init.suffix == ".pt":
        checkpoint.begin_from(model, args.init, args.hold_out)
    elif state is None and args.init:
        load_package(model, str(args.init), examples_of(args.sources, frozenset(args.hold_out)))
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
    p.add_argument("--every", type=float, default=600, help="seconds between measurements, each of which keeps its weights")
    p.add_argument("--source", action="append", default=[], metavar="NAME=FOLDER[@PREFIX]:SHARE", help="samples of 64")
    p.add_argument("--weigh", action="append", default=[], metavar="KEY=FACTOR", help="source, tag, jurisdiction")
    p.add_argument("--two-rows", type=float, default=TWO_ROWS, metavar="SHARE", help="of the rendered plates")
    p.add_argument("--row-start", type=int, default=0, metavar="STEPS", help="of flat start for two rows, as if from nothing")
    p.add_argument("--hold-out", default="", metavar="SOURCE,...", help="sources that are neither trained nor chosen on")
    args = p.parse_args()
    try:
        args.sources = [Source.parse(s) for s in args.source] or usual(args.data)
        args.weights = Weights.parse(args.weigh) if args.weigh else USUAL_WEIGHTS
    except ValueError as e:
        p.error(str(e))
    args.hold_out = sorted(filter(None, args.hold_out.split(",")))
    if sum(s.share for s in args.sources) >= BATCH:
        p.error(f"the sources' shares are {sum(s.share for s in args.sources)} of {BATCH}: nothing rendered is left")
    return args


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
    share, held = BATCH // group.size, frozenset(args.hold_out)
    folders = sorted({s.folder for s in args.sources})
    pool, places = args.pool or args.work / "pool", Places(*folders, held=held)
    rendered, two = FlatPlates(pool, places, args.limit), FlatPlates(pool, places, args.limit, two=True)
    nothing = NotPlates(pool / "not-plates.npz", places)
    real, fast = {s.name: RealPlates(s, Use.TRAIN, args.weights, held) for s in args.sources}, half_is_fast()
    edges, names = np.cumsum([s.share / BATCH for s in args.sources]), [s.name for s in args.sources]

    def draw(i):
        at = (i * group.size + group.rank + rng.random()) / BATCH
        which = int(np.searchsorted(edges, at, "right"))
        if which < len(names):
            return real[names[which]].draw(rng)
        u = rng.random()
        kind = nothing if u < NOTHING else two if u < NOTHING + args.two_rows and len(two) else rendered
        return kind.draw(rng)

    sets, seen_loss, last = {} if group.rank else measured_sets(args.data, held), 0.0, time.time()
    if group.rank == 0 and step == 0:
        count = {k: len(v.items) for k, v in real.items()}
        print(json.dumps({"step": step, "real": count, **exact(average.model, sets)}), flush=True)

    def keep():
        if group.rank:
            return
        state = {"model": model.state_dict(), "average": average.model.state_dict(), "optimiser": optimiser.state_dict()}
        about = {"step": step, "held": args.hold_out, "sources": args.source, "weigh": args.weigh}
        checkpoint.save(args.work / "ocr.pt", **state, **about, flat=flat_steps)
        checkpoint.save(args.work / f"kept/ocr-{step:06}.pt", average=state["average"], **about)
        line = {"step": step, "pool": len(rendered), "loss": round(seen_loss, 4), "lr": rate, "cpu": round(time.process_time())}
        line.update(exact(average.model, sets))
        with (args.work / "ocr-curve.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def left(steps):
        return 1 - step / steps if step < steps else 0.0

    rate, over = 0.0, False
    while not over:
        if step % 50 == 0 or not len(rendered):
            rendered.refresh()
            two.refresh()
        x, texts = zip(*map(draw, range(share)), strict=True)
        batch = torch.from_numpy(np.stack(x))[:, None].float() / 255
        if rng.random() < 0.03:
            batch = 1 - batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            logits = model(batch.to(memory_format=torch.channels_last))
        loss = loss_of(logits, texts, left(flat_steps), left(args.row_start or flat_steps))
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
