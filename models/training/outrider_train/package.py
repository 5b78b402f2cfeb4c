"""Checkpoints -> model packages: export, check against torch, fit the temperature, measure, choose, write model.toml."""

import argparse
import hashlib
import json
import pathlib
import tomllib

import cv2
import numpy as np

from . import checkpoint, evaluate, export, labels
from .blocks import take_blocks
from .crops import pictures, true_crops
from .detector_net import letterbox
from .flats import FlatPlates, Places, RealPlates

HEAD = '# A model package of Outrider; the keys are described in models/README.md, "Contract".\n'
TRAINED = "../shared/data/pack (Open Images CC BY, RobertLucian MIT, andrewmvd CC0, udacity MIT) and rendered plates; "
ORIGIN = "from random initialisation, continued over sessions from our own weights only"


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def toml(sections: dict[str, dict]) -> str:
    """A TOML text of flat sections; "" is the top level."""
    out = HEAD
    for name, values in sections.items():
        out += f"\n[{name}]\n" if name else ""
        for key, value in values.items():
            out += f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
    return out


def degraded_crops(data: pathlib.Path, seed: int, n: int) -> tuple[np.ndarray, list[str]]:
    """Real crops of the validation half, degraded and cut with changing margins: what calibration is fitted on."""
    rng = np.random.default_rng(seed)
    plates = RealPlates(data / "pack/val")
    drawn = [plates.draw(rng) for _ in range(n)]
    return np.stack([x for x, _ in drawn]), [t for _, t in drawn]


def fit_temperature(logits: np.ndarray, texts: list[str]) -> tuple[float, list[dict]]:
    """The temperature at which the weakest character's probability says best how often the text is right (folded)."""
    reads = [t for t, _ in labels.greedy(labels.softmax(logits))]
    right = np.array([evaluate.same(a, b) for a, b in zip(reads, texts, strict=True)], float)
    best = (np.inf, 1.0)
    for temperature in np.exp(np.linspace(np.log(0.5), np.log(4), 43)):
        p = np.clip([c for _, c in labels.greedy(labels.softmax(logits, temperature))], 1e-4, 1 - 1e-4)
        loss = -float(np.mean(right * np.log(p) + (1 - right) * np.log(1 - p)))
        best = min(best, (loss, float(temperature)))
    confidence = np.array([c for _, c in labels.greedy(labels.softmax(logits, best[1]))])
    return round(best[1], 3), evaluate.reliability(confidence, right)


def reader_scores(path: pathlib.Path, data: pathlib.Path, temperature: float = 1.0) -> dict:
    """Exact and folded on every set of true crops, pooled selective figures."""
    session, out, confidence, right = evaluate.session(path), {}, [], []
    for name in evaluate.SETS:
        x, texts = true_crops(data / "evaluation", name)
        reads = labels.greedy(labels.softmax(evaluate.reader_logits(session, x), temperature))
        folded = [evaluate.same(t, g) for (t, _), g in zip(reads, texts, strict=True)]
        strict = sum(t == g for (t, _), g in zip(reads, texts, strict=True))
        out[name] = {"folded": evaluate.rate(sum(folded), len(texts)), "strict": evaluate.rate(strict, len(texts))}
        sure = [i for i, g in enumerate(texts) if g not in evaluate.KNOWN_ERRORS]
        confidence += [reads[i][1] for i in sure]
        right += [folded[i] for i in sure]
    out["selective"] = evaluate.selective(np.array(confidence), np.array(right, float))
    out["reliability"] = evaluate.reliability(np.array(confidence), np.array(right, float))
    x = np.random.default_rng(0).random((1, 1, 64, 160), np.float32)
    out["cpu_ms"] = evaluate.cpu_ms(session, x)
    return out


def detector_scores(path: pathlib.Path, reader: pathlib.Path, data: pathlib.Path, threshold: float) -> dict:
    """Recall and frame-to-text per region, pooled."""
    session, read, out, everything = evaluate.session(path), evaluate.session(reader), {}, []
    for name in ("e2e_us", "e2e_eu", "e2e_br"):
        records = evaluate.frames_to_text(session, read, data / "evaluation", name, 0.03, threshold)
        out[name], everything = evaluate.summary(records), everything + records
    out["pooled"] = evaluate.summary(everything)
    out["slices"] = evaluate.slices(everything)
    out["misread"] = [
        {k: r[k] for k in ("file", "text", "read", "confidence", "width")}
        for r in everything
        if not evaluate.same(r["read"], r["text"])
    ]
    x = np.random.default_rng(0).random((1, 3, 384, 640), np.float32)
    out["cpu_ms"] = evaluate.cpu_ms(session, x)
    return out


def reader_line(s: dict) -> str:
    """Scores in one line for model.toml."""
    parts = [
        f"{n} {s[n]['folded']['percent']} / {s[n]['strict']['percent']} % (n={s[n]['folded']['n']})" for n in evaluate.SETS
    ]
    return "true crops, exact folded (O/Q=0, I=1) / strict: " + ", ".join(parts)


def detector_line(s: dict, threshold: float) -> str:
    """Scores in one line for model.toml."""
    parts = [f"{n} {s[n]['found']['percent']} % (n={s[n]['found']['n']})" for n in ("e2e_us", "e2e_eu", "e2e_br")]
    pooled = s["pooled"]["any"]
    text = f"frame to text folded, pooled {pooled['percent']} % (n={pooled['n']})"
    return f"recall at score {threshold}, IoU 0.5: {', '.join(parts)}; {text}"


def variants(kind: str, args) -> dict[str, pathlib.Path]:
    """Export float32, half-stored and int8 files into WORK/export."""
    folder = args.work / "export"
    folder.mkdir(parents=True, exist_ok=True)
    files = {v: folder / f"{kind}-{v}.onnx" for v in ("f32", "half", "int8")}
    model = export.network(kind, args.work)
    export.to_onnx(model, kind, files["f32"])
    export.store_half(files["f32"], files["half"])
    if kind == "detector":
        images = [letterbox(p.load())[0] for p in pictures(args.data / "pack/train")[::12]]
        examples = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
        export.to_int8(files["f32"], files["int8"], examples, ["Conv"], ("/head/",))
    else:
        real, _ = true_crops(args.data / "pack/train")
        plates, rng = FlatPlates(args.pool or args.work / "pool", Places(args.data / "pack/train")), np.random.default_rng(3)
        plates.refresh()
        rendered = np.stack([plates.draw(rng)[0] for _ in range(300)])
        examples = np.concatenate([real[::3], rendered])[:, None].astype(np.float32) / 255
        export.to_int8(files["f32"], files["int8"], examples, ["Conv"], ("/stages/stages.0/",))  # matrix products lose a point
    return files


def write(folder: pathlib.Path, file: pathlib.Path, sections: dict[str, dict]) -> None:
    """Put file and model.toml into the package's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(file.read_bytes())
    sections[""] = {
        **sections[""],
        "file": "model.onnx",
        "sha256": digest(folder / "model.onnx"),
        "licence": "MIT OR Apache-2.0",
    }
    (folder / "model.toml").write_text(toml(sections))


LEAST = 50.0
"""Percent of plates below which a package is not written, as it would take the place of one that reads."""


def check_worth(what: str, percent: float, folder: pathlib.Path, anyway: bool) -> None:
    """Stop before a package that is hardly trained replaces the one in `folder`."""
    if percent < LEAST and not anyway:
        raise SystemExit(f"{what} {percent} % of the plates: {folder} is left as it is (--anyway replaces it)")


def package_reader(args) -> None:
    """Export, calibrate, measure and write plate-ocr-small."""
    files = variants("reader", args)
    state = checkpoint.load(args.work / "ocr.pt")
    scores = {v: reader_scores(f, args.data) for v, f in files.items()}
    chosen = args.variant or ("int8" if _loss(scores) <= 0.5 else "half")
    x, texts = degraded_crops(args.data, 5, 1500)
    temperature, bins = fit_temperature(evaluate.reader_logits(evaluate.session(files[chosen]), x), texts)
    final = reader_scores(files[chosen], args.data, temperature)
    report = {"step": state["step"], "chosen": chosen, "temperature": temperature, "fitted": bins, "final": final, **scores}
    (args.work / "reader-report.json").write_text(json.dumps(report, indent=1))
    for v, s in scores.items():
        print(v, round(files[v].stat().st_size / 1e6, 2), "MB", s["cpu_ms"], "ms", reader_line(s))
    print("temperature", temperature, "selective", final["selective"], "reliability", final["reliability"])
    if args.dry:
        return
    right, n = (sum(final[s]["folded"][k] for s in evaluate.SETS) for k in ("right", "n"))
    check_worth("this reader reads", round(100 * right / max(1, n), 1), args.models / "plate-ocr-small", args.anyway)
    top = {"name": "plate-ocr-small", "version": args.version, "kind": "ocr", "decoder": "ctc"}
    image = {
        "width": 160,
        "height": 64,
        "layout": "nchw",
        "dtype": "f32",
        "colour": "grey",
        "scale": 1 / 255,
        "mean": [0.0],
        "resize": "stretch",
    }
    ocr = {"alphabet": labels.ALPHABET, "blank": 0, "slots": 40, "crop_margin": 0.03, "temperature": temperature}
    origin = {"trained_on": TRAINED + ORIGIN, "steps": state["step"], "precision": chosen, "scores": reader_line(final)}
    write(args.models / "plate-ocr-small", files[chosen], {"": top, "input": image, "ocr": ocr, "provenance": origin})


def _loss(scores: dict) -> float:
    """Points that int8 loses against float32, folded, over all crops."""
    right = {v: sum(s[n]["folded"]["percent"] * s[n]["folded"]["n"] for n in evaluate.SETS) for v, s in scores.items()}
    n = sum(scores["f32"][s]["folded"]["n"] for s in evaluate.SETS)
    return (right["f32"] - right["int8"]) / n


def package_detector(args) -> None:
    """Export, measure and write plate-detector-small (--light: -light); read with the reader package that is there."""
    files = variants("detector", args)
    state = checkpoint.load(args.work / "detector.pt")
    reader = args.models / "plate-ocr-small/model.onnx"
    scores = {v: detector_scores(f, reader, args.data, args.threshold) for v, f in files.items()}
    loss = max(scores["f32"]["pooled"][k]["percent"] - scores["int8"]["pooled"][k]["percent"] for k in ("found", "any"))
    chosen = args.variant or ("int8" if loss <= 0.5 else "half")
    (args.work / "detector-report.json").write_text(json.dumps({"step": state["step"], "chosen": chosen, **scores}, indent=1))
    for v, s in scores.items():
        p = s["pooled"]
        print(
            v,
            round(files[v].stat().st_size / 1e6, 2),
            "MB",
            s["cpu_ms"],
            "ms",
            detector_line(s, args.threshold),
            "strict",
            p["strict"]["percent"],
            "best",
            p["best"]["percent"],
            "extra",
            p["extra_boxes_per_frame"],
        )
    if args.dry:
        return
    name = "plate-detector-light" if args.light else "plate-detector-small"
    check_worth("this detector finds", scores[chosen]["pooled"]["found"]["percent"], args.models / name, args.anyway)
    top = {"name": name, "version": args.version, "kind": "detector", "decoder": "outrider-centre"}
    if chosen == "int8":
        export.take_bytes(files[chosen])
        take_blocks(files[chosen])
    image = {
        "width": 640,
        "height": 384,
        "layout": "blocks" if chosen == "int8" else "nchw",
        "dtype": "u8" if chosen == "int8" else "f32",
        "colour": "bgr",
        "scale": 1 / 255,
        "mean": [0.0] * 3,
    }
    image |= {"resize": "letterbox", "pad": "corner", "fill": 114}
    limits = {"score_threshold": args.threshold, "nms_iou": 0.4}
    origin = {
        "trained_on": TRAINED + ORIGIN,
        "steps": state["step"],
        "precision": chosen,
        "scores": detector_line(scores[chosen], args.threshold),
    }
    write(
        args.models / name,
        files[chosen],
        {"": top, "input": image, "output": {"stride": 8}, "detector": limits, "provenance": origin},
    )


def package_large(args) -> None:
    """Write plate-ocr-large: the small reader, or --first, and a second one in one file.

    The second is --second; both are ONNX files of the same shape, from another training or another time of it. Where the two
    disagree neither is sure. `outrider eval` measures the package; its scores are in models/README.md.
    """
    source, target = args.models / "plate-ocr-small", args.models / "plate-ocr-large"
    target.mkdir(parents=True, exist_ok=True)
    first = args.first or source / "model.onnx"
    export.together([first, args.second], target / "model.onnx")
    described = tomllib.loads((source / "model.toml").read_text())
    sections = {"": {k: v for k, v in described.items() if not isinstance(v, dict)}}
    sections |= {k: v for k, v in described.items() if isinstance(v, dict)}
    sections[""] |= {"name": target.name, "version": args.version, "sha256": digest(target / "model.onnx")}
    sections["ocr"]["readers"] = 2
    sections["provenance"].pop("scores", None)
    named = f"another reader ({digest(first)[:12]})" if args.first else "plate-ocr-small"
    sections["provenance"]["weights"] = f"{named}, and a second reader ({digest(args.second)[:12]})"
    (target / "model.toml").write_text(toml(sections))


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("what", choices=["reader", "detector", "large"])
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--pool", type=pathlib.Path)
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument("--version", default="0.2.0")
    p.add_argument("--variant", choices=["f32", "half", "int8"], help="default: int8 when it loses no more than half a point")
    p.add_argument("--threshold", type=float, default=0.3, help="detector: score from which a box counts")
    p.add_argument("--first", type=pathlib.Path, help="large: ONNX file of the first reader; default plate-ocr-small's")
    p.add_argument("--second", type=pathlib.Path, help="large: ONNX file of the second reader")
    p.add_argument("--light", action="store_true", help="detector: the checkpoint is plate-detector-light's")
    p.add_argument("--dry", action="store_true", help="measure only")
    p.add_argument("--anyway", action="store_true", help=f"write it even where it reads or finds less than {LEAST:.0f} %")
    args = p.parse_args()
    cv2.setNumThreads(1)
    if args.what == "large" and args.second is None:
        p.error("large needs --second: an int8 ONNX file of another reader")
    {"reader": package_reader, "detector": package_detector, "large": package_large}[args.what](args)


if __name__ == "__main__":
    main()
