"""Trains the network that says whose plate it is: `python -m outrider_train.place_train --data DATA --work WORK --minutes 40`.

Three of four crops of a batch are rendered (looks.py), from a store of flat plates that is renewed while training; one is real,
a plate of a `train` folder with its jurisdiction, rare ones as often as common ones. All go through the same lens (photograph,
degrade). Chosen on: pack2's dev and pack's val (`--every` prints them); the evaluation folder is never opened.
"""

import argparse
import json
import pathlib
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from . import checkpoint, crops, flats, labels, looks, plates
from .degrade import degrade
from .photograph import Surroundings, bend, stand
from .place_net import HEIGHT, WIDTH, PlaceNet
from .share import half_is_fast
from .sources import Picture, Use, pictures
from .warm import load_package

BATCH = 64
REAL = 14
"""Real crops in a batch."""
FRESH = 3
"""Flat plates that are rendered anew at every step."""
CLEAR = 0.75
"""Share of rendered plates that are near and hardly degraded: what a name says is learnt where it can be read."""
STORE = 20_000
TAKEN, KEPT = 14, 8_000
"""Photographs that are taken anew at every step, and those that are kept: the rest of a batch is drawn from them again, moved
and in other light, which costs a tenth of a photograph."""
NUMBER = {code: i for i, code in enumerate(looks.CLASSES)}


def number_of(place: str) -> int:
    """The class of a jurisdiction: its own, or `other`."""
    return NUMBER.get(place, NUMBER["other"])


def draw_code(rng) -> str:
    """A jurisdiction to render: North America evenly mostly."""
    u = rng.random()
    if u < 0.64:
        return str(rng.choice(list(looks.NORTH_AMERICA)))
    return str(rng.choice(looks.BAND)) if u < 0.88 else "BR" if u < 0.91 else "other"


def to_input(crop: np.ndarray) -> np.ndarray:
    """BGR crop -> uint8 RGB [96, 192, 3], by the daemon's own way of resizing."""
    return cv2.cvtColor(cv2.resize(crop, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)


class Store:
    """Flat plates in memory."""

    def __init__(self, around: Surroundings):
        self.around, self.items = around, []

    def render(self, rng, n: int) -> None:
        """`n` new ones, in the place of old ones once there are STORE."""
        for _ in range(n):
            code = draw_code(rng)
            plate = looks.render_of(code, rng)
            item = (np.clip(plate.image, 0, 255).astype(np.uint8), code, plate.lines)
            if len(self.items) < STORE:
                self.items.append(item)
            else:
                self.items[int(rng.integers(STORE))] = item

    def draw(self, rng) -> tuple[np.ndarray, int]:
        """A photograph of one: (uint8 [96, 192, 3], class)."""
        image, code, lines = self.items[int(rng.integers(len(self.items)))]
        plate = plates.Plate(image.astype(np.float32), "", code, np.zeros((0, 4)), lines)
        if rng.random() < 0.2:
            plate = bend(plate, rng)
        h, w = image.shape[:2]
        wider = 1.4 if w / h > 3 else 1.0
        clear = rng.random() < CLEAR
        width = wider * float(np.exp(rng.uniform(np.log(110 if clear else 50), np.log(280))))
        crop, _ = stand(plate, rng, width, self.around)
        return to_input(usual(crop, rng) if clear else degrade(crop, rng, width)), number_of(code)


def usual(image: np.ndarray, rng) -> np.ndarray:
    """What most frames look like: a float32 BGR crop with little blur and noise, any exposure and white, a codec; uint8 out."""
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0))
    gain = rng.uniform(0.5, 1.2) * (1 + rng.uniform(-0.12, 0.12, 3))
    image = (image * gain.astype(np.float32)) + rng.uniform(-10, 30)
    if rng.random() < 0.3:
        image = 255 * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.6, 1.7)
    if rng.random() < 0.08:  # infrared, or a camera without colours
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    out = np.clip(image + rng.standard_normal(image.shape, np.float32) * rng.uniform(0, 5), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1], 1)
    return out


def again(crop: np.ndarray, rng) -> np.ndarray:
    """A photograph in other light, boxed a little differently."""
    dx, dy = rng.uniform(-7, 7), rng.uniform(-4, 4)
    kx, ky = 1 + rng.uniform(-0.05, 0.05), 1 + rng.uniform(-0.05, 0.05)
    move = np.array([[kx, 0, dx], [rng.normal(0, 0.01), ky, dy]], np.float32)
    out = cv2.warpAffine(crop, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    gain = rng.uniform(0.7, 1.2) * (1 + rng.uniform(-0.06, 0.06, 3))
    return cv2.convertScaleAbs(np.clip(out * gain.astype(np.float32) + rng.uniform(-20, 25), 0, 255))


class Album:
    """Photographs in memory."""

    def __init__(self, store: Store):
        self.store, self.items = store, []

    def draw(self, rng, anew: bool) -> tuple[np.ndarray, int]:
        """One that is taken anew, and kept; or one that was."""
        if anew or not self.items:
            item = self.store.draw(rng)
            if len(self.items) < KEPT:
                self.items.append(item)
            else:
                self.items[int(rng.integers(KEPT))] = item
            return item
        crop, number = self.items[int(rng.integers(len(self.items)))]
        return again(crop, rng), number


def more_places(found: list[Picture]) -> list[Picture]:
    """The pictures with the jurisdictions of extra_places.jsonl: plates of the first pack."""
    return crops.add_afterwards(found, "extra_places.jsonl", "jurisdiction", "places")


class Real:
    """Plates of labelled folders whose jurisdiction is known, with their surroundings."""

    def __init__(self, folders: list[pathlib.Path], use: Use):
        self.items = []
        for folder in folders:
            for picture in more_places(pictures(folder, use)):
                image = None
                plates_of = zip(picture.boxes, picture.places, picture.kinds, picture.texts, strict=True)
                for box, place, kind, text in plates_of:
                    if place and kind in (None, "plate") and box[2] >= 40:
                        image = picture.load() if image is None else image
                        text = labels.normalise(text) if text else None
                        self.items.append((*around(image, box), place, picture.path.name, text))
        counts = {}
        for item in self.items:
            counts[item[2]] = counts.get(item[2], 0) + 1
        weight = np.array([counts[i[2]] ** -0.6 * (2.5 if i[2][:3] in ("US-", "CA-") else 1.0) for i in self.items])
        self.weight = np.cumsum(weight / weight.sum())

    def draw(self, rng) -> tuple[np.ndarray, int]:
        """One as a detector might box it, mostly smaller and worse than it is: (uint8 [96, 192, 3], class)."""
        i = min(len(self.items) - 1, int(np.searchsorted(self.weight, rng.random())))
        return self.draw_at(i, rng), number_of(self.items[i][2])

    def draw_at(self, i: int, rng) -> np.ndarray:
        """Plate number `i`."""
        image, box, *_ = self.items[i]
        width = box[2]
        if rng.random() < 0.6 and width > 60:
            width = float(np.exp(rng.uniform(np.log(50), np.log(width))))
        crop, _ = flats.view(image, box, rng, width, 0.5, None, lambda: flats.margins(rng, rng.random() < 0.6))
        if rng.random() < 0.6:
            crop = degrade(crop, rng, width)
        else:
            crop = np.clip(crop * rng.uniform(0.6, 1.3, 3) + rng.uniform(-30, 30), 0, 255).astype(np.uint8)
        return to_input(crop)

    def plain(self, margin: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        """All of them as they are: (uint8 [n, 96, 192, 3], classes)."""
        crops = []
        for image, (x, y, w, h), *_ in self.items:
            x0, y0, x1, y1 = (round(v) for v in (x - margin * w, y - margin * h, x + w * (1 + margin), y + h * (1 + margin)))
            crops.append(to_input(image[max(0, y0) : y1, max(0, x0) : x1]))
        return np.stack(crops), np.array([number_of(i[2]) for i in self.items])


def around(image: np.ndarray, box) -> tuple[np.ndarray, tuple]:
    """The plate at `box` with a third of its size on every side, in colour, at most 360 wide; and its box therein."""
    x, y, w, h = box
    x0, y0 = max(0, int(x - w / 3)), max(0, int(y - h / 3))
    part = image[y0 : int(y + h * 4 / 3) + 1, x0 : int(x + w * 4 / 3) + 1]
    k = min(1.0, 360 / w)
    if k < 1:
        part = cv2.resize(part, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    return part.copy(), ((x - x0) * k, (y - y0) * k, w * k, h * k)


def logits_of(model, crops: np.ndarray) -> np.ndarray:
    """Logits of uint8 crops [n, 96, 192, 3]."""
    out = []
    with torch.no_grad():
        for i in range(0, len(crops), 64):
            out.append(model(torch.from_numpy(crops[i : i + 64]).permute(0, 3, 1, 2).float() / 255).numpy())
    return np.concatenate(out)


def measured(model, sets: dict) -> dict:
    """Share right of each set, and of its North American plates."""
    model.eval()
    out = {}
    for name, (cut, want) in sets.items():
        got = logits_of(model, cut).argmax(1)
        na = want < NUMBER["AU-NSW"]  # the first classes are North America's
        out[name] = [round(float((got == want).mean()), 3), len(want), round(float((got == want)[na].mean()), 3), int(na.sum())]
    return out


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, required=True)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--minutes", type=float, default=40)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=31)
    p.add_argument("--every", type=float, default=120, help="seconds between measurements")
    p.add_argument("--init", type=pathlib.Path, help="checkpoint, or ONNX file of a package, to start from")
    p.add_argument("--first", type=int, default=4000, help="flat plates before the first step")
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    rng, stop = np.random.default_rng(args.seed), checkpoint.Stop()
    train = [args.data / "pack/train", args.data / "pack2/train"]
    choose = [args.data / "pack/val", args.data / "pack2/dev"]
    real, dev = Real(train, Use.TRAIN), Real(choose, Use.CHOOSE)
    store = Store(Surroundings(args.data / "pack/train"))
    store.render(rng, args.first)
    album = Album(store)
    for _ in range(args.first):
        album.draw(rng, True)
    held = Store(store.around)
    held.render(np.random.default_rng(args.seed + 1), 300)
    seen = [held.draw(np.random.default_rng([args.seed, i])) for i in range(600)]
    sets = {"dev": dev.plain(), "rendered": (np.stack([x for x, _ in seen]), np.array([y for _, y in seen]))}
    model = PlaceNet().to(memory_format=torch.channels_last)
    if args.init and args.init.suffix == ".onnx":
        examples = torch.from_numpy(sets["rendered"][0]).permute(0, 3, 1, 2).float() / 255
        load_package(model, str(args.init), examples.contiguous(memory_format=torch.channels_last))
    elif args.init:
        model.load_state_dict(checkpoint.load(args.init)["average"])
    average = checkpoint.Average(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02)
    fast, began, last, step, loss_seen = half_is_fast(), time.time(), time.time(), 0, 0.0
    print(json.dumps({"real": len(real.items), "dev": len(dev.items), "classes": len(looks.CLASSES)}), flush=True)
    over = False
    while not over:
        done = (time.time() - began) / 60 / args.minutes
        over = bool(stop) or done >= 1
        rate = args.lr * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * min(1.0, done)))
        for settings in optimiser.param_groups:
            settings["lr"] = rate
        store.render(rng, FRESH)
        drawn = [real.draw(rng) if i < REAL else album.draw(rng, i < REAL + TAKEN) for i in range(BATCH)]
        x = torch.from_numpy(np.stack([a for a, _ in drawn])).permute(0, 3, 1, 2).float() / 255
        want = torch.tensor([b for _, b in drawn])
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            logits = model(x.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), want)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update(model)
        step += 1
        loss_seen = loss.item() if not loss_seen else 0.98 * loss_seen + 0.02 * loss.item()
        if time.time() - last > args.every or over:
            last = time.time()
            line = {"step": step, "loss": round(loss_seen, 3), "lr": round(rate, 6), "cpu": round(time.process_time())}
            line.update(measured(average.model, sets))
            print(json.dumps(line), flush=True)
            with (args.work / "place-curve.jsonl").open("a") as f:
                f.write(json.dumps(line) + "\n")
            checkpoint.save(args.work / "place.pt", average=average.model.state_dict(), step=step, classes=list(looks.CLASSES))


if __name__ == "__main__":
    main()
