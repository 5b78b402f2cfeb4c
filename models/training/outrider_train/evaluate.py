"""Measures ONNX files as the daemon will run them: crops, frames, slices, calibration, what a threshold buys.

What is reported here chooses nothing: checkpoints, int8, temperature and thresholds are chosen on what sources.py says. Exact
= all characters; folded = with O, Q = 0 and I = 1, as the matcher compares. Labels known to be wrong (KNOWN_ERRORS, as in
docs/evaluation/known-label-errors.txt) are left out of `clean` figures.
"""

import pathlib
import time

import cv2
import numpy as np
import onnxruntime as ort

from . import labels
from .blocks import PER_BLOCK, blocks
from .crops import cut, to_input
from .detector_net import decode, iou, letterbox
from .sources import Use, pictures

SETS = ("e2e_us", "e2e_eu", "e2e_br", "seg_us")
KNOWN_ERRORS = {"5DJ0529", "YBW23", "FZB9581", "BJL833", "0", "R820503", "P602849", "RKO82AL", "RK3OOAG", "RK6O5AB"}


def session(path: pathlib.Path) -> ort.InferenceSession:
    """A session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def cpu_ms(run: ort.InferenceSession, x: np.ndarray, times: int = 20) -> float:
    """CPU milliseconds of one run, the median."""
    run.run(None, {"x": x})
    spent = []
    for _ in range(times):
        start = time.process_time()
        run.run(None, {"x": x})
        spent.append(time.process_time() - start)
    return round(1000 * float(np.median(spent)), 2)


def reader_logits(reader: ort.InferenceSession, x: np.ndarray) -> np.ndarray:
    """Logits of uint8 crops [n, 64, 160]."""
    x = x[:, None].astype(np.float32) / 255
    return np.concatenate([reader.run(None, {"x": x[i : i + 16]})[0] for i in range(0, len(x), 16)])


def detector_maps(detector: ort.InferenceSession, images: np.ndarray) -> np.ndarray:
    """Maps of uint8 pictures [n, h, w, 3], given as the file takes them: floats or bytes, planes or blocks."""
    takes = detector.get_inputs()[0]
    x = blocks(images) if takes.shape[3] == 3 * PER_BLOCK else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return detector.run(None, {"x": x if takes.type == "tensor(uint8)" else x.astype(np.float32) / 255})[0]


def find(detector: ort.InferenceSession, image: np.ndarray, size=(640, 384), threshold: float = 0.05) -> list[tuple]:
    """Detections in the pixels of `image`."""
    picture, k = letterbox(image, *size)
    return [(*(v / k for v in b[:4]), b[4], b[5] / k) for b in decode(detector_maps(detector, picture[None])[0], threshold)]


def crop_of(image: np.ndarray, box, margin: float) -> np.ndarray:
    """The crop of a detection [x0, y0, x1, y1, ...] with the package's margin."""
    return cut(image, (box[0], box[1], box[2] - box[0], box[3] - box[1]), (margin,) * 4)


def rate(right: int, n: int) -> dict:
    """Share with its Wilson interval, in percent."""
    low, high = labels.wilson(right, n)
    percent = round(100 * right / max(1, n), 1)
    return {"n": n, "right": int(right), "percent": percent, "low": round(low, 1), "high": round(high, 1)}


def same(a: str, b: str) -> bool:
    """Equal after folding."""
    return labels.fold(a) == labels.fold(b)


def frames_to_text(
    detector, reader, folder: pathlib.Path, name: str, margin: float, threshold: float, size=(640, 384)
) -> list[dict]:
    """One record per labelled frame: what was found and read; `any` looks at the six best boxes, `best` at the best."""
    records = []
    for picture in pictures(folder, Use.REPORT, name):
        image, text = picture.load(), labels.normalise(picture.texts[0] or "")
        x, y, w, h = picture.boxes[0]
        truth = (x, y, x + w, y + h)
        boxes = find(detector, image, size, threshold)
        reads = []
        if boxes:
            crops = np.stack([to_input(crop_of(image, b, margin)) for b in boxes[:6]])
            reads = labels.greedy(labels.softmax(reader_logits(reader, crops)))
        overlap = [iou(b, truth) for b in boxes]
        own = int(np.argmax(overlap)) if overlap else -1
        matched = own >= 0 and overlap[own] >= 0.3
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[int(y) : int(y + h), int(x) : int(x + w)]
        ranked = sorted(zip(boxes, reads, strict=False), key=lambda r: -r[0][4] * r[1][1])
        records.append(
            {
                "file": picture.path.name,
                "text": text,
                "width": w * size[0] / max(image.shape[1], image.shape[0] * size[0] / size[1]),
                "light": float(grey.mean()) if grey.size else 0.0,
                "sharp": float(cv2.Laplacian(cv2.resize(grey, (160, 64)), cv2.CV_32F).var()) if grey.size else 0.0,
                "found": bool(max(overlap, default=0) >= 0.5),
                "iou": float(max(overlap, default=0.0)),
                "read": reads[own][0] if matched and own < len(reads) else "",
                "confidence": reads[own][1] if matched and own < len(reads) else 0.0,
                "any": any(same(t, text) for t, _ in reads),
                "strict": any(t == text for t, _ in reads),
                "best": bool(ranked) and same(ranked[0][1][0], text),
                "extra": int(sum(v < 0.1 for v in overlap)),
            }
        )
    return records


def summary(records: list[dict]) -> dict:
    """Rates over the records of frames_to_text, with and without known label errors."""
    clean = [r for r in records if r["text"] not in KNOWN_ERRORS]
    out = {k: rate(sum(r[k] for r in records), len(records)) for k in ("found", "any", "strict", "best")}
    out["any_clean"] = rate(sum(r["any"] for r in clean), len(clean))
    out["own_box"] = rate(sum(same(r["read"], r["text"]) for r in records), len(records))
    out["extra_boxes_per_frame"] = round(float(np.mean([r["extra"] for r in records])), 2)
    return out


SLICES = {
    "plate under 30 px at the network": lambda r: r["width"] < 30,
    "plate 30-60 px": lambda r: 30 <= r["width"] < 60,
    "plate 60-150 px": lambda r: 60 <= r["width"] < 150,
    "plate over 150 px": lambda r: r["width"] >= 150,
    "dark plate (mean under 70)": lambda r: r["light"] < 70,
    "blurred plate (Laplacian under 300)": lambda r: r["sharp"] < 300,
    "box off (IoU under 0.7)": lambda r: r["iou"] < 0.7,
}
"""Where a record of frames_to_text belongs."""


def slices(records: list[dict]) -> dict:
    """Found and read (folded, own box) for each slice of the records."""
    out = {}
    for name, belongs in SLICES.items():
        part = [r for r in records if belongs(r)]
        if part:
            read = sum(same(r["read"], r["text"]) for r in part)
            out[name] = {"found": rate(sum(r["found"] for r in part), len(part)), "read": rate(read, len(part))}
    return out


def selective(confidence: np.ndarray, right: np.ndarray, want: float = 0.995) -> dict:
    """The largest share of reads that can be accepted by confidence with `want` of the accepted right."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= want)
    accepted = int(good[-1]) + 1 if len(good) else 0
    threshold = float(confidence[order[accepted - 1]]) if accepted else 1.0
    return {"want": want, "accepted": round(100 * accepted / max(1, len(order)), 1), "threshold": round(threshold, 4)}


def reliability(confidence: np.ndarray, right: np.ndarray, edges=(0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.001)) -> list[dict]:
    """Mean confidence against share right, by bins."""
    rows = []
    for low, high in zip(edges, edges[1:], strict=False):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            rows.append(
                {
                    "from": low,
                    "n": int(inside.sum()),
                    "said": round(float(confidence[inside].mean()), 3),
                    "right": round(float(right[inside].mean()), 3),
                }
            )
    return rows
