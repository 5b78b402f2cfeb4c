"""Checkpoints -> model packages: export, choose, fit the temperature, measure, write model.toml.

int8 or not and the temperature are decided on what may be chosen on (sources.py: the packs' val and dev), without the sources
that the checkpoint held out; what is measured for model.toml decides nothing.
"""

import argparse
import hashlib
import json
import pathlib
import tomllib

import cv2
import numpy as np

from . import evaluate, export, labels
from .blocks import take_blocks
from .crops import true_crops
from .detector_net import letterbox
from .flats import FlatPlates, Places, RealPlates
from .ocr_net import SLOTS
from .sources import Source, Use, pictures, usual

HEAD = '# A model package of Outrider; the keys are described in models/README.md, "Contract".\n'
TRAINED = (
    "../shared/data/pack (Open Images CC BY, RobertLucian MIT, andrewmvd CC0, udacity MIT), ../shared/data/pack2 (Open Images "
    "CC BY; Caltech cars 1999, believed CC BY 4.0; four small ones, MIT and CC BY) and rendered plates; "
)
CHOOSE = ("pack/val", "pack2/dev")
"""What is chosen on."""
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


def choosing_crops(data: pathlib.Path, held: frozenset[str]) -> tuple[np.ndarray, list[str]]:
    """Every labelled crop that may be chosen on, as labelled and with the margins of a detector."""
    x, texts = [], []
    for folder in (data / name for name in CHOOSE):
        if (folder / "labels.jsonl").exists():
            for jitter in (None, np.random.default_rng(1), np.random.default_rng(2)):
                some, theirs = true_crops(folder, Use.CHOOSE, jitter=jitter, held=held)
                x.append(some)
                texts += theirs
    return np.concatenate(x), texts


def degraded_crops(data: pathlib.Path, seed: int, n: int, held: frozenset[str]) -> tuple[np.ndarray, list[str]]:
    """Draws of all plates that may be chosen on, degraded, with changing margins: what the temperature is fitted on.

    None is cut off as one in five of the training's are: a temperature that makes up for those doubts every other plate.
    """
    rng, drawn = np.random.default_rng(seed), []
    folders = [data / name for name in CHOOSE if (data / name / "labels.jsonl").exists()]
    plates = [RealPlates(Source(f.name, f, "", 1), Use.CHOOSE, held=held) for f in folders]
    share = np.array([len(p.items) for p in plates], float)
    for _ in range(n):
        drawn.append(plates[int(rng.choice(len(plates), p=share / share.sum()))].draw(rng, whole=True))
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
        x, texts = true_crops(data / "evaluation", Use.REPORT, name)
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
    state = export.state_of(kind, args.work, args.checkpoint)
    model, held = export.network_of(kind, state), frozenset(state.get("held", ()))
    export.to_onnx(model, kind, files["f32"])
    export.store_half(files["f32"], files["half"])
    if kind == "detector":
        seen = [p for s in usual(args.data) for p in pictures(s.folder, Use.TRAIN, held=held)]
        images = [letterbox(p.load())[0] for p in seen[::24]]
        examples = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
        export.to_int8(files["f32"], files["int8"], examples, ["Conv"], ("/head/",))
    else:
        folders = [s.folder for s in usual(args.data)]
        real = np.concatenate([true_crops(f, Use.TRAIN, held=held)[0] for f in folders])
        pool, rng = args.pool or args.work / "pool", np.random.default_rng(3)
        places, drawn = Places(*folders, held=held), []
        for two, count in ((False, 250), (True, 50)):
            plates = FlatPlates(pool, places, 10_000, two=two)
            plates.refresh()
            drawn += [plates.draw(rng)[0] for _ in range(count if len(plates) else 0)]
        rendered = np.stack(drawn)
        examples = np.concatenate([real[::6], rendered])[:, None].astype(np.float32) / 255
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


def exact_percent(path: pathlib.Path, x: np.ndarray, texts: list[str]) -> float:
    """Percent of the crops that an ONNX file reads, folded."""
    reads = labels.greedy(labels.softmax(evaluate.reader_logits(evaluate.session(path), x)))
    return 100 * float(np.mean([evaluate.same(t, g) for (t, _), g in zip(reads, texts, strict=True)]))


def package_reader(args) -> None:
    """Export, choose, calibrate, measure and write plate-ocr-small."""
    files = variants("reader", args)
    state = export.state_of("reader", args.work, args.checkpoint)
    held = frozenset(state.get("held", ()))
    chosen_on = {v: round(exact_percent(f, *choosing_crops(args.data, held)), 2) for v, f in files.items()}
    chosen = args.variant or ("int8" if chosen_on["f32"] - chosen_on["int8"] <= 0.5 else "half")
    x, texts = degraded_crops(args.data, 5, 3000, held)
    temperature, bins = fit_temperature(evaluate.reader_logits(evaluate.session(files[chosen]), x), texts)
    scores = {v: reader_scores(f, args.data) for v, f in files.items()}
    final = reader_scores(files[chosen], args.data, temperature)
    report = {"step": state["step"], "held": sorted(held), "chosen": chosen, "chosen_on": chosen_on, "temperature": temperature}
    report |= {"fitted": bins, "final": final, **scores}
    (args.work / "reader-report.json").write_text(json.dumps(report, indent=1))
    print("folded % of what is chosen on:", chosen_on, "->", chosen)
    for v, s in scores.items():
        print(v, round(files[v].stat().st_size / 1e6, 2), "MB", s["cpu_ms"], "ms", reader_line(s))
    print("temperature", temperature, "selective", final["selective"], "reliability", final["reliability"])
    if args.dry:
        return
    if held and (args.models / "plate-ocr-large").exists():
        raise SystemExit(f"this reader held out {', '.join(sorted(held))}: it is for a table, not for {args.models}")
    check_worth("this reader reads", round(chosen_on[chosen], 1), args.models / "plate-ocr-small", args.anyway)
    version = args.version + (f"+without-{'-'.join(sorted(held))}" if held else "")
    top = {"name": "plate-ocr-small", "version": version, "kind": "ocr", "decoder": "ctc"}
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
    ocr = {"alphabet": labels.ALPHABET, "blank": 0, "slots": SLOTS, "crop_margin": args.margin, "temperature": temperature}
    origin = {"trained_on": TRAINED + ORIGIN, "steps": state["step"], "precision": chosen, "scores": reader_line(final)}
    write(args.models / "plate-ocr-small", files[chosen], {"": top, "input": image, "ocr": ocr, "provenance": origin})


def found_percent(path: pathlib.Path, data: pathlib.Path, threshold: float, held: frozenset[str] = frozenset()) -> float:
    """Percent of the labelled plates that may be chosen on, 40 px wide or more, that a detector's file boxes (IoU 0.5)."""
    session, found, plates = evaluate.session(path), 0, 0
    for folder in (data / name for name in CHOOSE):
        for picture in pictures(folder, Use.CHOOSE, held=held) if (folder / "labels.jsonl").exists() else []:
            boxes = evaluate.find(session, picture.load(), threshold=threshold)
            for x, y, w, h in picture.boxes:
                if w >= 40:
                    plates += 1
                    found += any(evaluate.iou(b, (x, y, x + w, y + h)) >= 0.5 for b in boxes)
    return 100 * found / max(1, plates)


def package_detector(args) -> None:
    """Export, measure and write plate-detector-small (--light: -light); read with the reader package that is there."""
    files = variants("detector", args)
    state = export.state_of("detector", args.work, args.checkpoint)
    reader = args.models / "plate-ocr-small/model.onnx"
    held = frozenset(state.get("held", ()))
    chosen_on = {v: round(found_percent(f, args.data, args.threshold, held), 2) for v, f in files.items()}
    chosen = args.variant or ("int8" if chosen_on["f32"] - chosen_on["int8"] <= 0.5 else "half")
    scores = {v: detector_scores(f, reader, args.data, args.threshold) for v, f in files.items()}
    (args.work / "detector-report.json").write_text(
        json.dumps({"step": state["step"], "held": sorted(held), "chosen": chosen, "chosen_on": chosen_on, **scores}, indent=1)
    )
    print("found % of what is chosen on:", chosen_on, "->", chosen)
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
    check_worth("this detector finds", round(chosen_on[chosen], 1), args.models / name, args.anyway)
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
    if held:
        origin["held_out"] = ", ".join(sorted(held))
        origin["trained_on"] += "; without the sources in held_out"
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
    p.add_argument("--checkpoint", type=pathlib.Path, help="a kept one instead of WORK's last")
    p.add_argument("--models", type=pathlib.Path, default=pathlib.Path(".."))
    p.add_argument(
        "--margin", type=float, default=0.05, help="reader: crop_margin, chosen with the detector on what may be chosen on"
    )
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
