"""Writes WORK/report/card.md, the measured part of a model card, from the reports of `package`.

What `../README.md` says of the shipped packages is taken from it by a person, who also says what was tried beside it.
"""

import argparse
import json
import pathlib

from . import evaluate
from .report import read_curve


def share(r: dict) -> str:
    """93.1 (89.0-95.8)."""
    return f"{r['percent']} ({r['low']}-{r['high']})"


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(c) for c in row) + " |" for row in lines) + "\n"


def reader_part(report: dict) -> str:
    """Scores of the reader package."""
    final = report["final"]
    scored = [(n, final[n]) for n in evaluate.SETS]
    rows = [[n, s["folded"]["n"], share(s["folded"]), share(s["strict"])] for n, s in scored]
    chosen = final["selective"]
    out = f"### Reader, step {report['step']}, shipped as {report['chosen']}\n\n"
    out += "True crops (labelled box + 3 %), % exact (95 % Wilson):\n\n"
    out += table(["set", "n", "folded (O/Q=0, I=1)", "strict"], rows)
    kinds = [
        [v, *(report[v][n]["folded"]["percent"] for n in evaluate.SETS), report[v]["cpu_ms"]] for v in ("f32", "half", "int8")
    ]
    out += "\nPrecision, folded %; CPU ms a crop on one busy x86-64 thread:\n\n" + table(["file", *evaluate.SETS, "ms"], kinds)
    out += f"\nTemperature {report['temperature']}, fitted on degraded crops of what may be chosen on (both packs). "
    out += "Reliability on all true crops without the known label errors, by the weakest character:\n\n"
    out += table(
        ["confidence from", "n", "said", "right"], [[b["from"], b["n"], b["said"], b["right"]] for b in final["reliability"]]
    )
    accepted, want, at = chosen["accepted"], 100 * chosen["want"], chosen["threshold"]
    out += f"\nSelective: {accepted} % of the crops can be accepted with {want} % of them right (threshold {at}).\n"
    return out


def detector_part(report: dict) -> str:
    """Scores of the detector package, alone and with the reader."""
    scores = report[report["chosen"]]
    sets = ("e2e_us", "e2e_eu", "e2e_br", "pooled")
    rows = [
        [
            n,
            s["found"]["n"],
            share(s["found"]),
            share(s["any"]),
            share(s["any_clean"]),
            share(s["strict"]),
            share(s["best"]),
            s["extra_boxes_per_frame"],
        ]
        for n, s in ((n, scores[n]) for n in sets)
    ]
    head = [
        "set",
        "n",
        "recall, IoU 0.5",
        "frame to text, folded",
        "the same, label errors set aside",
        "strict",
        "best box only, folded",
        "other boxes a frame",
    ]
    out = f"### Detector, step {report['step']}, shipped as {report['chosen']}, with the reader above\n\n"
    out += "% (95 % Wilson), one reading, no voting:\n\n"
    out += table(head, rows)
    kinds = [
        [v, report[v]["pooled"]["found"]["percent"], report[v]["pooled"]["any"]["percent"], report[v]["cpu_ms"]]
        for v in ("f32", "half", "int8")
    ]
    out += "\nPrecision, pooled; CPU ms a frame on one busy x86-64 thread:\n\n" + table(
        ["file", "recall", "frame to text", "ms"], kinds
    )
    parts = [[k, v["found"]["n"], share(v["found"]), share(v["read"])] for k, v in scores["slices"].items()]
    out += "\nSlices of all frames:\n\n" + table(["slice", "n", "found", "read, folded"], parts)
    misread = ", ".join(f"{m['text']}>{m['read'] or '-'}" for m in scores["misread"])
    return out + f"\nMisread or missed (truth>read): {misread}.\n"


def curve_part(work: pathlib.Path) -> str:
    """A few points of the learning curves."""
    out = ""
    lines = read_curve(work / "ocr-curve.jsonl")
    if lines:
        some = lines[:: max(1, len(lines) // 10)] + [lines[-1]]
        rows = [[x["step"], x["loss"], f"{x['lr']:.1e}", *(x.get(n, ["", ""])[1] for n in evaluate.SETS)] for x in some]
        out += "### Learning curves\n\nReader, % folded on true crops (running average of the weights):\n\n"
        out += table(["step", "loss", "rate", *evaluate.SETS], rows)
    lines = read_curve(work / "detector-curve.jsonl")
    if lines:
        rows = [[x["step"], *(f"{x[n]['recall']} / {x[n]['recall70']}" for n in ("e2e_us", "e2e_eu", "e2e_br"))] for x in lines]
        out += "\nDetector, recall at IoU 0.5 / 0.7, score 0.35:\n\n" + table(["step", "e2e_us", "e2e_eu", "e2e_br"], rows)
    return out


def card(work: pathlib.Path) -> str:
    """The page, of the reports and curves that `work` has."""
    parts = []
    for name, part in (("reader", reader_part), ("detector", detector_part)):
        path = work / f"{name}-report.json"
        if path.exists():
            parts.append(part(json.loads(path.read_text())))
    return "\n".join([*parts, curve_part(work)])


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    args = p.parse_args()
    path = args.work / "report" / "card.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card(args.work))
    print(f"measured: {path}")


if __name__ == "__main__":
    main()
