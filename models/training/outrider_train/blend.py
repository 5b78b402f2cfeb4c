"""Mean of a checkpoint's average and the package it was continued from: one lineage, so that weights can be averaged.

    python -m outrider_train.blend reader --work work --init reader-0.1.0.onnx --share 0.35

A short training moves towards its new data further than the old pictures like; between start and end lies a network that is
better than both (models/README.md). The result goes to OUT/ocr.pt or OUT/detector.pt, for `package --work OUT`.
"""

import argparse
import pathlib

import torch

from . import checkpoint
from .crops import true_crops
from .detector_net import Detector
from .detector_train import typical_frames
from .ocr_net import Reader
from .sources import Use
from .warm import load_package

FILE = {"reader": "ocr.pt", "detector": "detector.pt"}


def mean(start: dict, end: dict, share: float) -> dict:
    """`share` of the end, the rest of the start; counters from the end."""
    return {k: v.lerp(end[k], share) if v.dtype.is_floating_point else end[k] for k, v in start.items()}


def blended(start: dict, state: dict, share: float) -> dict:
    """The checkpoint of the mean of weights `start` and a training's `state`; what the training held out stays held out."""
    return {"average": mean(start, state["average"], share), "step": state["step"], "held": state.get("held", [])}


def start_of(kind: str, init: pathlib.Path, data: pathlib.Path, held: frozenset[str]) -> dict:
    """The weights that a training from `init`, a package's ONNX file or a kept checkpoint, begins with."""
    if init.suffix == ".pt":
        kept = checkpoint.load(init)
        if kept is None:
            raise FileNotFoundError(init)
        return kept["average"]
    if kind == "detector":
        model, examples = Detector(), typical_frames(data, held)
    else:
        model = Reader()
        examples = torch.from_numpy(true_crops(data / "pack/train", Use.TRAIN, held=held)[0][:256])[:, None].float() / 255
    load_package(model, str(init), examples)
    return model.state_dict()


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=sorted(FILE))
    p.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../../../shared/data"))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("work"))
    p.add_argument("--init", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("work/blend"))
    p.add_argument("--share", type=float, default=0.35)
    p.add_argument("--seed", type=int, default=1, help="the training's: new blocks start from it")
    args = p.parse_args()
    file = FILE[args.kind]
    state = checkpoint.load(args.work / file)
    if state is None:
        raise FileNotFoundError(args.work / file)
    torch.manual_seed(args.seed)
    start = start_of(args.kind, args.init, args.data, frozenset(state.get("held", [])))
    checkpoint.save(args.out / file, **blended(start, state, args.share))


if __name__ == "__main__":
    main()
