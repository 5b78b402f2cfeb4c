"""Mean of a checkpoint's average and the package it was continued from: one lineage, so that weights can be averaged.

    python -m outrider_train.blend --work work --init reader-0.1.0.onnx --share 0.35

A short training moves towards rendered data further than real frames like; between start and end lies a reader that
is better than both (models/README.md). The result goes to OUT/ocr.pt, for `package reader --work OUT`.
"""

import argparse
import pathlib

import torch

from . import checkpoint
from .crops import true_crops
from .ocr_net import Reader
from .warm import load_package


def mean(start: dict, end: dict, share: float) -> dict:
    """`share` of the end, the rest of the start; counters from the end."""
    return {k: v.lerp(end[k], share) if v.dtype.is_floating_point else end[k] for k, v in start.items()}


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--init", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("work/blend"))
    p.add_argument("--share", type=float, default=0.35)
    p.add_argument("--seed", type=int, default=1, help="the training's: new blocks start from it")
    args = p.parse_args()
    state = checkpoint.load(args.work / "ocr.pt")
    if state is None:
        raise FileNotFoundError(args.work / "ocr.pt")
    torch.manual_seed(args.seed)
    start = Reader()
    load_package(start, str(args.init), torch.from_numpy(true_crops(args.data / "pack/train")[0][:256])[:, None].float() / 255)
    blended = mean(start.state_dict(), state["average"], args.share)
    checkpoint.save(args.out / "ocr.pt", average=blended, step=state["step"])


if __name__ == "__main__":
    main()
