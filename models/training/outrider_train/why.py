"""The head that says why a plate is not read, trained on the ladder of degradation and put into a package.

The reader stays as it is, to the bit: the head takes averages and maxima of what its layers see anyway, in the very int8 file
that is shipped, and becomes the file's second output, `why` [n, 5], logits of legible, soft, dark, covered, glare. It is taught
by the reader's own results: a spoilt picture that is still read right is legible, and one that is not has the cause by which it
was spoilt (ladder.py). Far away and out of focus are one class, soft: which of the two it is, the plate's width says exactly.
"""

import argparse
import concurrent.futures
import json
import pathlib

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from . import crops, labels, ladder
from .package import digest
from .photograph import Surroundings
from .sources import Use, pictures

CLASSES = ("legible", "soft", "dark", "covered", "glare")
OF_CAUSE = {"small": 1, "blurred": 1, "dark": 2, "covered": 3, "glare": 4}
OUTPUT = "why"
EARLY = tuple(f"/stages/stages.{i}/{rest}_DequantizeLinear_Output" for i, rest in
              ((1, "stages.1.2/Relu_output_0"), (4, "Relu_output_0"), (8, "Relu_output_0")))  # fmt: skip
LATE = "/norm/LayerNormalization_output_0"
"""Tensors of the int8 file that the head looks at: three convolutions [n, c, h, w], and the slots [n, 80, 160]."""
HIDDEN, EPOCHS, BATCH, RATE = 48, 30, 128, 2e-3


def pools(graph: onnx.GraphProto) -> str:
    """Adds the averages and maxima of what the head looks at; the name of the tensor [n, features] that has them all."""
    known = {name for node in graph.node for name in node.output}
    if missing := [name for name in (*EARLY, LATE) if name not in known]:
        raise ValueError(f"not a reader of ours in int8: it has no {', '.join(missing)}")
    parts = []
    for name, axes in (*((name, [2, 3]) for name in EARLY), (LATE, [1])):
        for kind in ("ReduceMean", "ReduceMax"):
            parts.append(f"{OUTPUT}/{kind}_{len(parts)}")
            graph.node.append(helper.make_node(kind, [name], [parts[-1]], axes=axes, keepdims=0))
    graph.node.append(helper.make_node("Concat", parts, [f"{OUTPUT}/seen"], axis=1))
    return f"{OUTPUT}/seen"


def without_head(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as it was before it had a head."""
    graph = model.graph
    mine = [node for node in graph.node if all(name.split("/")[0] == OUTPUT for name in node.output)]
    for node in mine:
        graph.node.remove(node)
    for values in (graph.output, graph.initializer):
        for value in [v for v in values if v.name.split("/")[0] == OUTPUT]:
            values.remove(value)
    return model


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """One thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def looked(model: onnx.ModelProto, x: np.ndarray, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """(logits [n, 80, 37], features [n, f]) of crops uint8 [n, 64, 160]."""
    model = without_head(onnx.ModelProto.FromString(model.SerializeToString()))
    seen = pools(model.graph)
    model.graph.output.append(helper.make_tensor_value_info(seen, TensorProto.FLOAT, ["n", None]))
    run = session(model)
    parts = [run.run(None, {"x": x[i : i + batch, None].astype(np.float32) / 255}) for i in range(0, len(x), batch)]
    return tuple(np.concatenate(some) for some in zip(*parts, strict=True))


def rungs(data: pathlib.Path, seed: int, n: int, out: pathlib.Path) -> pathlib.Path:
    """Renders `n` spoilt pictures into a file, unless it is there."""
    if not out.exists():
        cv2.setNumThreads(1)
        rng, around = np.random.default_rng(seed), Surroundings(data / "pack" / "train")
        drawn = [ladder.rung(rng, around) for _ in range(n)]
        images, texts, causes, heights = zip(*drawn, strict=True)
        part = out.with_suffix(".part.npz")
        np.savez(part, x=np.stack([crops.to_input(i) for i in images]), text=texts, cause=causes, height=heights)
        part.rename(out)
    return out


class Rungs:
    """Spoilt pictures with what the reader made of them. Those that nothing has spoilt and that are misread teach nothing."""

    def __init__(self, model: onnx.ModelProto, files: list[pathlib.Path], temperature: float):
        parts = [np.load(file) for file in files]
        x, text, cause, self.height = (np.concatenate([p[k] for p in parts]) for k in ("x", "text", "cause", "height"))
        logits, features = looked(model, x)
        read = labels.greedy(labels.softmax(logits, temperature))
        right = np.array([labels.fold(r) == labels.fold(t) for (r, _), t in zip(read, text, strict=True)])
        kept = right | (cause != "none")
        self.features, self.cause = features[kept], cause[kept]
        self.target = np.array([0 if ok else OF_CAUSE.get(c, 0) for ok, c in zip(right, cause, strict=True)])[kept]


def train(rungs: Rungs, epochs: int = EPOCHS) -> list[np.ndarray]:
    """Weights and biases [w1, b1, w2, b2] of the head, for features as they are."""
    torch.manual_seed(1)
    x, y = torch.tensor(rungs.features), torch.tensor(rungs.target)
    middle, spread = x.mean(0), x.std(0) + 1e-3
    z = (x - middle) / spread
    net = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, len(CLASSES)))
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
    for epoch in range(epochs):
        for settings in optimiser.param_groups:
            settings["lr"] = RATE * (1 - epoch / epochs)
        for some in torch.randperm(len(y)).split(BATCH):
            loss = F.cross_entropy(net(z[some]), y[some], label_smoothing=0.02)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    first, last = net[0], net[3]
    with torch.no_grad():
        w1 = first.weight / spread
        b1 = first.bias - w1 @ middle
        return [v.numpy().astype(np.float32) for v in (w1, b1, last.weight, last.bias)]


def said(head: list[np.ndarray], features: np.ndarray) -> np.ndarray:
    """Probabilities [n, 5] as the car has them."""
    w1, b1, w2, b2 = head
    return labels.softmax(np.maximum(features @ w1.T + b1, 0) @ w2.T + b2)


def put_in(model: onnx.ModelProto, head: list[np.ndarray]) -> onnx.ModelProto:
    """The model with the head as its second output."""
    graph = without_head(model).graph
    seen = pools(graph)
    names = [f"{OUTPUT}/{name}" for name in ("w1", "b1", "w2", "b2")]
    graph.initializer.extend(numpy_helper.from_array(v, name) for v, name in zip(head, names, strict=True))
    w1, b1, w2, b2 = names
    graph.node.append(helper.make_node("Gemm", [seen, w1, b1], [f"{OUTPUT}/hidden"], transB=1))
    graph.node.append(helper.make_node("Relu", [f"{OUTPUT}/hidden"], [f"{OUTPUT}/active"]))
    graph.node.append(helper.make_node("Gemm", [f"{OUTPUT}/active", w2, b2], [OUTPUT], transB=1))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(CLASSES)]))
    onnx.checker.check_model(model)
    return model


def table(p: np.ndarray, target: np.ndarray) -> dict:
    """Of spoilt pictures not read: how many get a cause, how many of these the right one. Of those read: how many get one."""
    best, unread = p.argmax(1), target > 0
    told = unread & (best > 0)
    return {
        "read": int((~unread).sum()),
        "read_and_cause_said": int((~unread & (best > 0)).sum()),
        "unread": int(unread.sum()),
        "unread_and_cause_said": int(told.sum()),
        "right_of_those": int((best[told] == target[told]).sum()),
    }


TAGS = {
    "blur": 1, "small": 1, "night": 2, "dark": 2, "dusk": 2, "unreadable_dark": 2, "cut": 3, "tow_ball_occlusion": 3, "mud": 3,
    "dirty": 3, "dealer_frame": 3, "glare": 4,
}  # fmt: skip
"""What somebody wrote beside a real plate, as a class."""


def real(model: onnx.ModelProto, head: list[np.ndarray], folder: pathlib.Path, use: Use, temperature: float) -> dict:
    """The same of real plates: `tagged` are those unread whose tags name a cause, which is right if it is one of these."""
    x, texts, tags = [], [], []
    for picture in pictures(folder, use):
        image = picture.load()
        for i, (box, text) in enumerate(zip(picture.boxes, picture.texts, strict=True)):
            if min(box[2:]) >= 6 and (not picture.kinds or picture.kinds[i] == "plate"):
                x.append(crops.to_input(crops.cut(image, box, (0.05,) * 4)))
                texts.append(labels.fold(labels.normalise(text or "")))
                tags.append({TAGS[t] for t in (picture.tags[i] if picture.tags else []) if t in TAGS})
    logits, features = looked(model, np.stack(x))
    read = [labels.fold(r) for r, _ in labels.greedy(labels.softmax(logits, temperature))]
    best = said(head, features).argmax(1)
    right = np.array([bool(t) and r == t for r, t in zip(read, texts, strict=True)])
    tagged = [i for i in np.flatnonzero(~right) if tags[i]]
    told = [i for i in tagged if best[i] > 0]
    return {
        "read": int(right.sum()),
        "read_and_cause_said": int((right & (best > 0)).sum()),
        "unread": int((~right).sum()),
        "unread_and_cause_said": int((~right & (best > 0)).sum()),
        "tagged": len(tagged),
        "tagged_and_cause_said": len(told),
        "right_of_those": int(sum(int(best[i]) in tags[i] for i in told)),
    }


def temperature_of(package: pathlib.Path) -> float:
    """As model.toml has it."""
    line = next(line for line in (package / "model.toml").read_text().splitlines() if line.startswith("temperature"))
    return float(line.split("=")[1])


def described(text: str, sha256: str, version: str, about: str) -> str:
    """model.toml with the head."""
    lines, skip = [], False
    for line in text.splitlines():
        if line.startswith("["):
            skip = line == "[legibility]"
            if line == "[provenance]":
                lines += ["[legibility]", f'output = "{OUTPUT}"', f"classes = {json.dumps(CLASSES)}", "temperature = 1.0", ""]
        if skip or line.startswith("legibility = "):
            continue
        key = line.split(" = ")[0]
        lines.append({"sha256": f'sha256 = "{sha256}"', "version": f'version = "{version}"'}.get(key, line))
    return "\n".join([*lines, f"legibility = {json.dumps(about)}"]) + "\n"


def main() -> None:
    """Renders, trains, measures, and writes the package."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, required=True)
    p.add_argument("--work", type=pathlib.Path, required=True, help="rendered pictures, kept for the next time")
    p.add_argument("--package", type=pathlib.Path, default=pathlib.Path("../plate-ocr-small"))
    p.add_argument("--version", required=True, help="of the package with the head")
    p.add_argument("--rungs", type=int, default=7000, help="pictures a file; three train, one measures")
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    seeds = [11, 12, 13, 14]
    with concurrent.futures.ProcessPoolExecutor(2) as two:
        jobs = [two.submit(rungs, args.data, s, args.rungs, args.work / f"rungs-{s}.npz") for s in seeds]
        files = [job.result() for job in jobs]
    temperature, path = temperature_of(args.package), args.package / "model.onnx"
    model = onnx.load(path)
    torch.set_num_threads(1)
    head = train(Rungs(model, files[:3], temperature))
    kept_back = Rungs(model, files[3:], temperature)
    measured = {"rendered": table(said(head, kept_back.features), kept_back.target)}
    for name, folder, use in (
        ("dev", args.data / "pack2" / "dev", Use.CHOOSE),
        ("train", args.data / "pack2" / "train", Use.TRAIN),
    ):
        measured[name] = real(model, head, folder, use, temperature)
    print(json.dumps(measured, indent=1))
    path.write_bytes(put_in(model, head).SerializeToString())
    drawn = measured["rendered"]
    about = (
        f"trained on {3 * args.rungs} rendered plates; of {drawn['unread']} others that this reader did not read, a cause was "
        f"said for {drawn['unread_and_cause_said']} and right for {drawn['right_of_those']}"
    )
    toml = args.package / "model.toml"
    toml.write_text(described(toml.read_text(), digest(path), args.version, about))


if __name__ == "__main__":
    main()
