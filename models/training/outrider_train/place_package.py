"""Checkpoint of place_train -> models/plate-jurisdiction-small: export, int8, temperature, format weight, threshold.

Everything is chosen on pack's val and pack2's dev (sources.py: CHOOSE), as labelled and in degraded draws. What is said of
the evaluation's crops afterwards, whose file names carry the state, chooses nothing: docs/evaluation/generate.sh.
"""

import argparse
import json
import pathlib
import re

import cv2
import numpy as np
import torch

from . import checkpoint, evaluate, export, labels, looks
from .package import digest, toml
from .photograph import Surroundings
from .place_net import HEIGHT, WIDTH, PlaceNet
from .place_train import Real, Store, logits_of
from .sources import Use

NAME = "plate-jurisdiction-small"
DRAWS = 6
"""Degraded draws of every plate that may be chosen on."""
DOUBT, FOLLOWING, ANY = 0.01, 0.8, 33.0
"""As in crates/onboard (vision/jurisdiction.rs) and crates/base (plate/formats.rs)."""
RIGHT, SURE_AND_WRONG, LEAST = 0.97, 0.005, 0.9
NOVEL = 600
"""What a threshold must reach: right of what is said, on the draws; wrong of all, as labelled; and the lowest there is."""


def formats_of(syntax: pathlib.Path) -> dict[str, list[str]]:
    """The formats of each issuer, out of the one table: crates/base/src/plate/formats.rs."""
    found = re.findall(r'(?:usual_formats|likelihood_only)\(\s*"([A-Z-]+)",((?:\s*&\[[^\]]*\],?)+)\s*\)', syntax.read_text())
    out = {code: re.findall(r'"([^"]+)"', lists) for code, lists in found}
    if len(out) < 90:
        raise ValueError(f"{syntax}: only {len(out)} issuers found")
    return out


def fits(text: str, pattern: str) -> bool:
    """As syntax::fits."""

    def one(c: str, kind: str) -> bool:
        both = c in "OQ0I1"
        if kind == "L":
            return c.isalpha() or both
        if kind == "D":
            return c.isdigit() or both
        return kind == "X" or labels.fold(c) == labels.fold(kind.upper())

    return len(text) == len(pattern) and all(map(one, text, pattern))


def format_logs(texts: list[str | None], table: dict[str, list[str]]) -> np.ndarray:
    """[n, classes] log likelihood of each text against the average issuer; zeros where a text or an issuer is not known."""
    out = np.zeros((len(texts), len(looks.CLASSES)))
    for row, text in zip(out, texts, strict=True):
        if not text:
            continue
        p = {}
        for i, code in enumerate(looks.CLASSES):
            if code in table:
                size = {"L": 23.0, "D": 10.0, "X": ANY}
                followed = sum(1 / np.prod([size.get(k, 1.0) for k in f]) for f in table[code] if fits(text, f))
                p[i] = FOLLOWING * followed / len(table[code]) + (1 - FOLLOWING) * ANY ** -len(text)
        usual = np.mean(list(p.values()))
        for i, value in p.items():
            row[i] = np.log(value / usual)
    return out


def joined(logits: np.ndarray, formats: np.ndarray, temperature: float, weight: float) -> np.ndarray:
    """Probabilities as the car has them."""
    p = labels.softmax(logits, temperature)
    logs = np.log((1 - DOUBT) * p + DOUBT / p.shape[1]) + weight * formats
    return labels.softmax(logs)


def choosing(data: pathlib.Path) -> tuple[np.ndarray, np.ndarray, list[str | None], np.ndarray]:
    """(crops, classes, texts, whether as labelled) of all that may be chosen on."""
    real = Real([data / "pack/val", data / "pack2/dev"], Use.CHOOSE)
    crops, want = real.plain()
    rng, drawn = np.random.default_rng(5), []
    for _ in range(DRAWS):
        drawn += [real.draw_at(i, rng) for i in range(len(real.items))]
    texts = [item[4] for item in real.items] * (DRAWS + 1)
    plain = np.arange(len(texts)) < len(want)
    return np.concatenate([crops, np.stack(drawn)]), np.tile(want, DRAWS + 1), texts, plain


def novel(n: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(crops, classes, texts) of rendered plates with a jurisdiction's name in a design that nobody has.

    Real plates that may be chosen on are Californian mostly; a head that goes by designs alone is sure and wrong where it meets
    one that it has not seen, and only this shows it before the road does.
    """
    rng, store = np.random.default_rng(6), Store(Surroundings(None))
    codes = [code for code in looks.NORTH_AMERICA if code not in ("AU-NSW", "CA-NU")]
    drawn = []
    for i in range(n):
        code = codes[i % len(codes)]
        plate = looks.novel(code, rng)
        store.items = [(np.clip(plate.image, 0, 255).astype(np.uint8), code, plate.lines)]
        crop, number = store.draw(rng)
        drawn.append((crop, number, plate.text))
    return np.stack([d[0] for d in drawn]), np.array([d[1] for d in drawn]), [d[2] for d in drawn]


def choose(logits, want, formats, plain, strange) -> dict:
    """Temperature and format weight by likelihood, then the lowest threshold that keeps what is asked.

    `strange` are (logits, classes, formats) of plates of novel designs.
    """
    best = (np.inf, 1.0, 0.0)
    for temperature in np.exp(np.linspace(np.log(0.6), np.log(3), 25)):
        for weight in (0.0, 0.25, 0.5, 0.75, 1.0):
            p = joined(logits, formats, temperature, weight)[np.arange(len(want)), want]
            best = min(best, (-float(np.log(np.maximum(p, 1e-4)).mean()), float(temperature), weight))
    _, temperature, weight = best
    p = joined(logits, formats, temperature, weight)
    got, sure, other = p.argmax(1), p.max(1), looks.CLASSES.index("other")
    for threshold in (*np.arange(LEAST, 0.9901, 0.005), 0.9925, 0.995, 0.9975, 0.999):
        said = (sure >= threshold) & (got != other)
        right = said & (got == want)
        wrong = said & ~right
        q = joined(strange[0], strange[2], temperature, weight)
        unheard = (q.max(1) >= threshold) & (q.argmax(1) != other)
        misled = unheard & (q.argmax(1) != strange[1])
        if not said.any():
            break
        enough = right.sum() / said.sum() >= RIGHT and wrong[plain].sum() <= max(1, SURE_AND_WRONG * plain.sum())
        if enough and misled.sum() <= SURE_AND_WRONG * len(misled):
            break
    n, k, r = int(plain.sum()), int(said[plain].sum()), int(right[plain].sum())
    scores = f"dev and val as labelled: {k} of {n} said, {r} right; "
    scores += f"degraded draws: {int(said.sum())} of {len(want)} said, {int(right.sum())} right"
    scores += f"; of {len(misled)} rendered plates of novel designs {int(unheard.sum())} said, {int(misled.sum())} wrongly"
    wrongs = [f"{looks.CLASSES[w]} as {looks.CLASSES[g]}" for w, g in zip(want[wrong & plain], got[wrong & plain], strict=True)]
    return {
        "temperature": round(temperature, 3),
        "format_weight": weight,
        "threshold": round(float(threshold), 4),
        "scores": scores,
        "wrong": wrongs,
    }


def export_all(model: PlaceNet, folder: pathlib.Path, examples: np.ndarray) -> dict[str, pathlib.Path]:
    """float32 and int8 files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"place-{name}.onnx" for name in ("f32", "int8")}
    export.to_onnx(model, "jurisdiction", files["f32"])
    export.to_int8(files["f32"], files["int8"], examples, ["Conv", "Gemm"], ("/stages/stages.0/", "/head/"))
    return files


def run(path: pathlib.Path, crops: np.ndarray) -> np.ndarray:
    """Logits of an ONNX file."""
    session = evaluate.session(path)
    x = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return np.concatenate([session.run(None, {"x": x[i : i + 32]})[0] for i in range(0, len(x), 32)])


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, required=True, help="with place.pt")
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument("--version", default="0.1.0")
    p.add_argument("--syntax", type=pathlib.Path, default=pathlib.Path("../../crates/base/src/plate/formats.rs"))
    p.add_argument("--dry", action="store_true", help="measure only")
    args = p.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    state = checkpoint.load(args.work / "place.pt")
    if state["classes"] != list(looks.CLASSES):
        raise ValueError(f"{args.work}/place.pt was trained on other classes than looks.py has")
    model = PlaceNet()
    model.load_state_dict(state["average"])
    model.eval()
    rng = np.random.default_rng(4)
    real = Real([args.data / "pack/train", args.data / "pack2/train"], Use.TRAIN)
    store = Store(Surroundings(args.data / "pack/train"))
    store.render(rng, 120)
    seen = [real.draw(rng)[0] for _ in range(200)] + [store.draw(rng)[0] for _ in range(200)]
    files = export_all(model, args.work / "export", np.stack(seen).transpose(0, 3, 1, 2).astype(np.float32) / 255)
    crops, want, texts, plain = choosing(args.data)
    formats = format_logs(texts, formats_of(args.syntax))
    unseen, theirs, said = novel(NOVEL)
    told = format_logs(said, formats_of(args.syntax))
    for name, of in (("f32", lambda x: logits_of(model, x)), ("int8", lambda x: run(files["int8"], x))):
        chosen = choose(of(crops), want, formats, plain, (of(unseen), theirs, told))
        x = rng.random((1, 3, HEIGHT, WIDTH), np.float32)
        size, ms = files[name].stat().st_size / 1e6, evaluate.cpu_ms(evaluate.session(files[name]), x)
        print(json.dumps({"file": name, "MB": round(size, 2), "ms": ms, **chosen}))
    if args.dry:
        return
    folder = args.models / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(files["int8"].read_bytes())
    top = {"name": NAME, "version": args.version, "kind": "jurisdiction", "decoder": "labels", "file": "model.onnx"}
    top |= {"sha256": digest(folder / "model.onnx"), "licence": "MIT OR Apache-2.0"}
    image = {"width": WIDTH, "height": HEIGHT, "layout": "nchw", "dtype": "f32", "colour": "rgb", "scale": 1 / 255}
    image |= {"mean": [0.0] * 3, "resize": "stretch"}
    of = {"labels": list(looks.CLASSES)} | {k: chosen[k] for k in ("temperature", "threshold", "format_weight")}
    trained = "rendered plates (designs.py), ../shared/data/pack and pack2 train: 755 real plates whose jurisdiction is known"
    origin = {"trained_on": trained, "steps": state["step"], "precision": "int8", "scores": chosen["scores"], "cpu_ms": ms}
    sections = {"": top, "input": image, "jurisdiction": of | {"crop_margin": 0.05}, "provenance": origin}
    (folder / "model.toml").write_text(toml(sections))


if __name__ == "__main__":
    main()
