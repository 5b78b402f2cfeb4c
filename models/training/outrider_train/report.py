"""Curves and failure sheets into WORK/report: what to look at after training. Pictures of evaluation data stay out of git."""

import argparse
import json
import pathlib

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from . import evaluate, labels
from .crops import to_input, true_crops
from .sources import Use, pictures


def read_curve(path: pathlib.Path) -> list[dict]:
    """Lines of a curve file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def curves(work: pathlib.Path, out: pathlib.Path) -> None:
    """reader-curve.png and detector-curve.png."""
    for name, measures in (
        ("ocr", ("pack/val", "pack2/dev", "pack2/dev US, CA")),
        ("detector", ("pack/val", "pack2/dev")),
    ):
        lines = read_curve(work / f"{name}-curve.jsonl")
        if not lines:
            continue
        fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
        steps = [line["step"] for line in lines]
        left.plot(steps, [np.sum(line["loss"]) for line in lines])
        left.set(xlabel="step", ylabel="loss", yscale="log", title=f"{name}: loss")
        for key in measures:
            values = [(line["step"], line[key]) for line in lines if key in line]
            points = [(s, v[1] if name == "ocr" else v["recall"]) for s, v in values]
            if points:
                right.plot(*zip(*points, strict=True), label=key)
        right.set(xlabel="step", ylabel="%", ylim=(75, 100.5), title="exact, folded" if name == "ocr" else "recall at 0.35")
        right.legend()
        fig.tight_layout()
        fig.savefig(out / f"{name}-curve.png", dpi=90)
        plt.close(fig)


def reliability_plot(reader: pathlib.Path, data: pathlib.Path, temperature: float, out: pathlib.Path) -> None:
    """reliability.png: said against right; selective.png: share accepted against share right."""
    session, confidence, right = evaluate.session(reader), [], []
    for name in evaluate.SETS:
        x, texts = true_crops(data / "evaluation", Use.REPORT, name)
        reads = labels.greedy(labels.softmax(evaluate.reader_logits(session, x), temperature))
        for (text, score), truth in zip(reads, texts, strict=True):
            if truth not in evaluate.KNOWN_ERRORS:
                confidence.append(score)
                right.append(evaluate.same(text, truth))
    confidence, right = np.array(confidence), np.array(right, float)
    fig, (left, middle) = plt.subplots(1, 2, figsize=(11, 4))
    bins = evaluate.reliability(confidence, right)
    left.plot([0, 1], [0, 1], "k:")
    left.plot([b["said"] for b in bins], [b["right"] for b in bins], "o-")
    left.set(xlabel="said (weakest character)", ylabel="right (folded)", title=f"reliability, temperature {temperature}")
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    middle.plot(np.arange(1, len(order) + 1) / len(order) * 100, share * 100)
    middle.set(xlabel="% of plates accepted", ylabel="% of accepted right", ylim=(85, 100.2), title="selective reading")
    fig.tight_layout()
    fig.savefig(out / "reliability.png", dpi=90)
    plt.close(fig)


def misread_sheet(reader: pathlib.Path, data: pathlib.Path, out: pathlib.Path) -> None:
    """misread.png: every crop that was read wrongly, with truth and reading."""
    session, tiles = evaluate.session(reader), []
    for name in evaluate.SETS:
        x, texts = true_crops(data / "evaluation", Use.REPORT, name)
        reads = labels.greedy(labels.softmax(evaluate.reader_logits(session, x)))
        for image, (text, score), truth in zip(x, reads, texts, strict=True):
            if not evaluate.same(text, truth):
                tile = cv2.copyMakeBorder(image, 0, 16, 1, 1, cv2.BORDER_CONSTANT, value=0)
                cv2.putText(tile, f"{truth}>{text} {score:.2f}", (2, 76), 0, 0.36, 255, 1, cv2.LINE_AA)
                tiles.append(tile)
    _sheet(tiles, 10, out / "misread.png")


def missed_sheet(detector: pathlib.Path, data: pathlib.Path, out: pathlib.Path, threshold: float) -> None:
    """missed.png: frames whose plate was not found, or with strong boxes elsewhere."""
    session, tiles = evaluate.session(detector), []
    for name in ("e2e_us", "e2e_eu", "e2e_br"):
        for picture in pictures(data / "evaluation", Use.REPORT, name):
            image = picture.load()
            x, y, w, h = picture.boxes[0]
            boxes = [b for b in evaluate.find(session, image) if b[4] >= threshold]
            overlap = [evaluate.iou(b, (x, y, x + w, y + h)) for b in boxes]
            if max(overlap, default=0) >= 0.5 and sum(v < 0.1 for v in overlap) == 0:
                continue
            k = 420 / image.shape[1]
            tile = cv2.resize(image, (420, 260))
            scale = np.array([k, 260 / image.shape[0]])
            cv2.rectangle(tile, *[tuple(int(v) for v in np.array(p) * scale) for p in ((x, y), (x + w, y + h))], (0, 255, 0), 1)
            for b in boxes:
                cv2.rectangle(tile, *[tuple(int(v) for v in np.array(p) * scale) for p in (b[:2], b[2:4])], (0, 0, 255), 1)
                cv2.putText(tile, f"{b[4]:.2f}", tuple(int(v) for v in np.array(b[:2]) * scale), 0, 0.4, (0, 255, 255), 1)
            tiles.append(tile)
    _sheet(tiles, 5, out / "missed.png")


def beside_sheet(detector: pathlib.Path, reader: pathlib.Path, data: pathlib.Path, out: pathlib.Path, how: dict) -> None:
    """beside.png and beside.txt: everything read away from the labels, to be looked at and told apart by eye."""
    find, read, tiles, lines = evaluate.session(detector), evaluate.session(reader), [], []
    for name in ("e2e_us", "e2e_eu", "e2e_br", "uc3m_frame"):
        for picture in pictures(data / "evaluation", Use.REPORT, name):
            image = picture.load()
            truth = [(x, y, x + w, y + h) for x, y, w, h in picture.boxes]
            for b in evaluate.find(find, image, threshold=how["threshold"]):
                if any(evaluate.iou(b, t) >= 0.1 for t in truth):
                    continue
                crop = to_input(evaluate.crop_of(image, b, 0.03))[None]
                ((text, sure),) = labels.greedy(labels.softmax(evaluate.reader_logits(read, crop), how["temperature"]))
                if sure < 0.5:
                    continue
                x0, y0, x1, y1 = b[:4]
                w, h = x1 - x0, y1 - y0
                part = image[max(0, int(y0 - h)) : int(y1 + h), max(0, int(x0 - w / 2)) : int(x1 + w / 2)]
                k = min(240 / part.shape[1], 130 / part.shape[0])
                tile = np.zeros((165, 244, 3), np.uint8)
                small = cv2.resize(part, None, fx=k, fy=k)
                tile[: small.shape[0], : small.shape[1]] = small
                cv2.putText(tile, f"{len(tiles)} {picture.path.stem[:26]}", (2, 142), 0, 0.38, (255, 255, 255), 1)
                cv2.putText(tile, f"{text} {sure:.2f} box {b[4]:.2f}", (2, 158), 0, 0.42, (0, 255, 255), 1)
                tiles.append(tile)
                lines.append(f"{picture.path.name} {[round(float(v)) for v in b[:4]]} {text} {sure:.2f}")
    _sheet(tiles, 6, out / "beside.png")
    (out / "beside.txt").write_text("\n".join(lines) + "\n")


def _sheet(tiles: list[np.ndarray], columns: int, path: pathlib.Path) -> None:
    """Tiles in rows; the last row is filled with black."""
    if not tiles:
        return
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]))


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument("--temperature", type=float, default=1.0)
    p.add_argument("--threshold", type=float, default=0.35)
    args = p.parse_args()
    out = args.work / "report"
    out.mkdir(parents=True, exist_ok=True)
    curves(args.work, out)
    if (args.data / "evaluation/labels.jsonl").exists():
        reader, detector = args.models / "plate-ocr-small/model.onnx", args.models / "plate-detector-small/model.onnx"
        reliability_plot(reader, args.data, args.temperature, out)
        misread_sheet(reader, args.data, out)
        missed_sheet(detector, args.data, out, args.threshold)
        beside_sheet(detector, reader, args.data, out, {"threshold": args.threshold, "temperature": args.temperature})


if __name__ == "__main__":
    main()
