"""Trains the detector on crops that worker processes make while it learns."""

import argparse
import json
import multiprocessing
import pathlib
import time

import cv2
import numpy as np
import torch

from . import checkpoint
from .detector_data import Scenes
from .detector_loss import like_teacher, loss_of
from .detector_net import Detector, decode, iou, letterbox, tensor
from .evaluate import detector_maps, session
from .share import half_is_fast
from .sources import Use, pictures
from .warm import load_package


def frames(
    folder: pathlib.Path, use: Use, width: int, height: int, held: frozenset[str] = frozenset()
) -> tuple[np.ndarray, list]:
    """Letterboxed frames and their boxes [x0, y0, x1, y1] in network pixels, without the sources in `held`."""
    images, boxes = [], []
    for picture in pictures(folder, use, held=held):
        image, k = letterbox(picture.load(), width, height)
        images.append(image)
        boxes.append([[x * k, y * k, (x + w) * k, (y + h) * k] for x, y, w, h in picture.boxes])
    return np.stack(images), boxes


def typical_frames(data: pathlib.Path, held: frozenset[str]) -> torch.Tensor:
    """Frames for the statistics of a network that is read back out of a package."""
    return tensor(frames(data / "pack/train", Use.TRAIN, 640, 384, held)[0][::40]).contiguous()


@torch.no_grad()
def detect(model: Detector, images: np.ndarray, threshold: float = 0.05) -> list[list[tuple]]:
    """Detections of every picture."""
    out = []
    for i in range(0, len(images), 8):
        out += [decode(maps, threshold) for maps in model(tensor(images[i : i + 8])).numpy()]
    return out


def score(found: list, truth: list, threshold: float) -> dict[str, float]:
    """Recall at IoU 0.5 and 0.7, share of pictures whose best box is a labelled plate, other boxes per picture."""
    half = tight = best = extra = 0
    for boxes, plates in zip(found, truth, strict=True):
        boxes = [b for b in boxes if b[4] >= threshold]
        overlaps = [max((iou(b, p) for b in boxes), default=0) for p in plates]
        half += sum(v >= 0.5 for v in overlaps)
        tight += sum(v >= 0.7 for v in overlaps)
        best += bool(boxes) and any(iou(boxes[0], p) >= 0.5 for p in plates)
        extra += sum(all(iou(b, p) < 0.3 for p in plates) for b in boxes)
    plates = max(1, sum(map(len, truth)))
    n = max(1, len(truth))
    return {
        "recall": round(100 * half / plates, 1),
        "recall70": round(100 * tight / plates, 1),
        "best": round(100 * best / n, 1),
        "extra": round(extra / n, 2),
    }


class Teacher:
    """Another detector's package, whose maps a new one learns beside the labels; fades out over `steps`."""

    def __init__(self, path: pathlib.Path, steps: int):
        self.session, self.steps = session(path), steps

    def share(self, step: int) -> float:
        """Weight of its loss at `step`."""
        return max(0.0, 1 - step / self.steps)

    def maps(self, images: np.ndarray) -> torch.Tensor:
        """uint8 [n, h, w, 3] -> its maps [n, 13, h/8, w/8]."""
        return torch.from_numpy(detector_maps(self.session, images))


def worker(data: pathlib.Path, pool: pathlib.Path, seed: int, batch: int, held: frozenset[str], queue) -> None:
    """Fill the queue for ever."""
    cv2.setNumThreads(1)
    scenes = Scenes([data / "pack/train", data / "pack2/train"], pool, seed, held)
    while True:
        queue.put(scenes.batch(batch))


def arguments() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--pool", type=pathlib.Path, help="folder with plates.pkl and panels.pkl; default WORK/pool")
    p.add_argument("--init", type=pathlib.Path, help="ONNX file of a package to continue from")
    p.add_argument("--light", action="store_true", help="train plate-detector-light")
    p.add_argument("--teacher", type=pathlib.Path, help="ONNX file of another detector to learn from at the start")
    p.add_argument("--teacher-steps", type=int, default=800)
    p.add_argument("--steps", type=int, default=8_000)
    p.add_argument("--cooldown", type=int, default=2_000)
    p.add_argument("--minutes", type=float, default=0, help="end after this time, cooling down all along, instead of --steps")
    p.add_argument("--warm", type=int, default=150)
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--batch", type=int, default=24)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--every", type=float, default=420, help="seconds between measurements")
    p.add_argument("--hold-out", default="", metavar="SOURCE,...", help="sources that are neither trained nor chosen on")
    args = p.parse_args()
    args.hold_out = sorted(filter(None, args.hold_out.split(",")))
    return args


def start(args):
    """Network, average, optimiser and step: resumed, from a package, or from nothing."""
    torch.manual_seed(args.seed)
    model = Detector(light=args.light)
    state = checkpoint.load(args.work / "detector.pt")
    checkpoint.same_held_out(args.work, state, args.hold_out)
    if state is None and args.init and args.init.suffix == ".pt":
        checkpoint.begin_from(model, args.init, args.hold_out)
    elif state is None and args.init:
        load_package(model, str(args.init), typical_frames(args.data, frozenset(args.hold_out)))
    average = checkpoint.Average(model)
    if state is not None:
        model.load_state_dict(state["model"])
        average.model.load_state_dict(state["average"])
        average.steps = state["step"]
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=0.03)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    return model, average, optimiser, state["step"] if state else 0


def main() -> None:
    """Train until `--steps`, or until asked to stop; either way the state is saved."""
    args = arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    queue, fast = multiprocessing.Queue(4), half_is_fast()
    model, average, optimiser, step = start(args)
    teacher = Teacher(args.teacher, args.teacher_steps) if args.teacher and step < args.teacher_steps else None
    for i in range(args.workers):
        seed = 1000 * args.seed + step * 7 + i
        job = (args.data, args.pool or args.work / "pool", seed, args.batch, frozenset(args.hold_out), queue)
        multiprocessing.Process(target=worker, args=job, daemon=True).start()
    stop = checkpoint.Stop()
    schedule = checkpoint.Schedule(args.steps, args.lr, args.warm, args.cooldown, args.minutes)
    choose = [n for n in ("pack/val", "pack2/dev") if (args.data / n / "labels.jsonl").exists()]
    sets = {n: frames(args.data / n, Use.CHOOSE, 640, 384, frozenset(args.hold_out)) for n in choose}
    losses, rate, last = np.zeros(3), 0.0, time.time()

    def keep():
        state = {"model": model.state_dict(), "average": average.model.state_dict(), "optimiser": optimiser.state_dict()}
        checkpoint.save(args.work / "detector.pt", **state, step=step, held=args.hold_out)
        checkpoint.save(args.work / f"kept/detector-{step:06}.pt", average=state["average"], step=step, held=args.hold_out)
        line = {"step": step, "loss": np.round(losses, 4).tolist(), "lr": rate, "cpu": round(time.process_time())}
        line.update({k: score(detect(average.model, x), g, 0.35) for k, (x, g) in sets.items()})
        with (args.work / "detector-curve.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    if step == 0:
        keep()
    while not schedule.done(step) and not stop:
        rate = schedule.rate(step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = queue.get()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            images = batch.pop("image")
            y = model(tensor(images))
        loss, parts = loss_of(y, {k: torch.from_numpy(v) for k, v in batch.items()})
        if teacher and teacher.share(step) > 0:
            loss = loss + teacher.share(step) * like_teacher(y, teacher.maps(images))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        average.update(model)
        step += 1
        losses = np.array(parts) if step == 1 else 0.97 * losses + 0.03 * np.array(parts)
        if time.time() - last > args.every:
            keep()
            last = time.time()
    keep()


if __name__ == "__main__":
    main()
