"""Two minutes from nothing to ONNX files: proves that every part of the pipeline runs, and that both losses fall.

Needs neither fonts nor the data pack: crops are rendered with the stroke face on plain backgrounds, frames likewise.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import onnxruntime as ort

from . import export
from .detector_net import letterbox
from .flats import FlatPlates, Places, pool
from .photograph import Surroundings, stand
from .plates import render
from .render import detector_pool
from .sources import Use, pictures


def scene(folder: pathlib.Path, count: int, seed: int) -> None:
    """A tiny labelled folder: one rendered plate in each of `count` frames of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, around, lines = np.random.default_rng(seed), Surroundings(None), []
    for i in range(count):
        plate = render(rng)
        crop, to = stand(plate, rng, 110, around)
        frame = around.piece(480, 320, rng)
        y, x = int(rng.integers(0, 320 - crop.shape[0])), int(rng.integers(0, 480 - crop.shape[1]))
        frame[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        h, w = plate.image.shape[:2]
        quad = cv2.perspectiveTransform(np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float32), to)[0] + [x, y]
        (x0, y0), (x1, y1) = quad.min(0), quad.max(0)
        cv2.imwrite(str(folder / f"oi_{i}.jpg"), np.clip(frame, 0, 255).astype(np.uint8))
        box = [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]
        lines.append(json.dumps({"file": f"oi_{i}.jpg", "boxes": [box], "text": [plate.text]}))
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")


def train(module: str, data: pathlib.Path, work: pathlib.Path, steps: int, curve: str) -> list[dict]:
    """Run a training module with few steps, in two halves, so that resuming is tried too; its curve."""
    for part in (steps // 2, steps):
        command = [sys.executable, "-m", f"outrider_train.{module}", "--data", str(data), "--work", str(work)]
        subprocess.run([*command, "--steps", str(part), "--cooldown", "5", "--warm", "5", "--threads", "2"], check=True)
    return [json.loads(line) for line in (work / curve).read_text().splitlines()]


def main() -> None:
    """Render, train, export, run."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work/smoke"))
    p.add_argument("--reader-steps", type=int, default=40)
    p.add_argument("--detector-steps", type=int, default=16)
    args = p.parse_args()
    work, data = args.work, args.work / "data"
    for old in work.glob("*.*"):
        old.unlink()
    scene(data / "pack/train", 12, 1)
    scene(data / "pack/val", 6, 2)
    pool(work / "pool", 1, 1, 300)
    pool(work / "pool", 1, 1, 60, two=True)
    detector_pool(work / "pool", 1, 60, 60)

    reader = train("ocr_train", data, work, args.reader_steps, "ocr-curve.jsonl")
    detector = train("detector_train", data, work, args.detector_steps, "detector-curve.jsonl")
    if not reader[-1]["loss"] < reader[0]["loss"]:
        sys.exit(f"the reader's loss did not fall: {reader[0]['loss']} -> {reader[-1]['loss']}")
    if not sum(detector[-1]["loss"]) < sum(detector[1]["loss"]):
        sys.exit(f"the detector's loss did not fall: {detector[1]['loss']} -> {detector[-1]['loss']}")

    images = np.stack([letterbox(i.load())[0] for i in pictures(data / "pack/train", Use.TRAIN)]).transpose(0, 3, 1, 2)
    plates, rng = FlatPlates(work / "pool", Places()), np.random.default_rng(1)
    plates.refresh()
    crops = np.stack([plates.draw(rng)[0] for _ in range(20)])[:, None]
    for kind, x, operators in (("detector", images, ["Conv"]), ("reader", crops, ["Conv", "MatMul"])):
        x = x.astype(np.float32) / 255
        export.to_onnx(export.network(kind, work), kind, work / "f32.onnx")
        export.store_half(work / "f32.onnx", work / "half.onnx")
        export.to_int8(work / "f32.onnx", work / "int8.onnx", x[:8], operators)
        y = [ort.InferenceSession(str(work / f"{v}.onnx")).run(None, {"x": x[:2]})[0] for v in ("f32", "half", "int8")]
        if np.abs(y[0] - y[1]).max() > 0.1:
            sys.exit(f"the {kind} kept as float16 answers something else")
        print(
            kind, y[0].shape, "half differs by", float(np.abs(y[0] - y[1]).max()), "int8 by", float(np.abs(y[0] - y[2]).max())
        )
    print("smoke: ok")


if __name__ == "__main__":
    main()
