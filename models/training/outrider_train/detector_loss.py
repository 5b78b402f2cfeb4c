"""What the detector should answer, and how far off it is."""

import numpy as np
import torch
from torch.nn import functional as F

from .detector_net import CORNER_UNIT, STRIDE

EXACT = 1.6
"""Weight of a rendered plate's box against one drawn by hand, which is a few pixels loose."""


CLOSE = 0.05
"""Error of a corner, in units of CORNER_UNIT (0.8 px), below which its loss is no longer proportional to it.

With 1, which is 16 px, hardly any plate's corners were so far off that they mattered beside its box: on views whose lines slope
by 5.7 degrees (standard deviation) the corners that were said sloped by 0.03 of that.
"""


CORNERS = 6.0
"""Weight of the corners beside the box.

At weight 1 a slope of five degrees is a fiftieth of a typical loss, and 1,217 steps learnt 0.04 of it.
"""


def targets(plates: list[dict], width: int, height: int) -> dict[str, np.ndarray]:
    """Maps for one crop of width x height.

    A plate is {"box": [x0, y0, x1, y1], "corners": [4, 2] or None, "ignore": bool}. heat [h, w] is 1 at the cell of
    a centre and falls off as a Gaussian of the plate's size; keep is 0 where nothing is asked (cut or tiny plates);
    sides [4, h, w], corners [8, h, w] in pixels with weights on the cells near a centre.
    """
    w, h = width // STRIDE, height // STRIDE
    out = {
        "heat": np.zeros((h, w), np.float32),
        "keep": np.ones((h, w), np.float32),
        "sides": np.zeros((4, h, w), np.float32),
        "corners": np.zeros((8, h, w), np.float32),
        "side_weight": np.zeros((h, w), np.float32),
        "corner_weight": np.zeros((h, w), np.float32),
    }
    rows, columns = np.mgrid[0:h, 0:w]
    px, py = (columns + 0.5) * STRIDE, (rows + 0.5) * STRIDE
    for plate in plates:
        x0, y0, x1, y1 = plate["box"]
        pw, ph = x1 - x0, y1 - y0
        if plate["ignore"] or pw < 9:
            a, b = max(0, int(y0 / STRIDE)), max(0, int(x0 / STRIDE))
            out["keep"][a : max(0, int(y1 / STRIDE)) + 1, b : max(0, int(x1 / STRIDE)) + 1] = 0
            continue
        ix = min(w - 1, max(0, int((x0 + x1) / 2 / STRIDE)))
        iy = min(h - 1, max(0, int((y0 + y1) / 2 / STRIDE)))
        sx, sy = max(pw * 0.14, STRIDE * 0.55), max(ph * 0.16, STRIDE * 0.5)
        g = np.exp(-(((columns - ix) * STRIDE) ** 2 / (2 * sx * sx) + ((rows - iy) * STRIDE) ** 2 / (2 * sy * sy)))
        centre = (columns == ix) & (rows == iy)
        out["heat"] = np.maximum(out["heat"], g.astype(np.float32))
        out["heat"][iy, ix] = 1
        sides = np.stack([px - x0, py - y0, x1 - px, y1 - py])
        near = centre | ((g > 0.55) & (sides > 1).all(0))
        share = 1 / max(1, near.sum()) ** 0.5
        for k in range(4):
            out["sides"][k][near] = np.maximum(sides[k][near], 0.5)
        out["side_weight"][near] = share * (1 if plate["corners"] is None else EXACT)
        out["corner_weight"][near] = 0
        if plate["corners"] is not None:
            out["corner_weight"][near] = share
            for k, (qx, qy) in enumerate(plate["corners"]):
                out["corners"][2 * k][near] = (qx - px[near]) / CORNER_UNIT
                out["corners"][2 * k + 1][near] = (qy - py[near]) / CORNER_UNIT
    return out


def loss_of(y: torch.Tensor, t: dict[str, torch.Tensor]) -> tuple[torch.Tensor, list[float]]:
    """Focal loss of the centres, generalised IoU of the boxes, smooth L1 of the corners in plate heights."""
    p = y[:, 0].float().sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = (t["heat"] == 1).float()
    miss = centre * (1 - p) ** 2 * p.log()
    false = (1 - centre) * t["keep"] * (1 - t["heat"]) ** 4 * p**2 * (1 - p).log()
    heat = -(miss + false).sum() / centre.sum().clamp(min=1)

    e, s = y[:, 1:5].float().clamp(-4, 5).exp() * STRIDE, t["sides"]
    low, high = torch.minimum(e, s), torch.maximum(e, s)
    both = (low[:, 0] + low[:, 2]) * (low[:, 1] + low[:, 3])
    area = (e[:, 0] + e[:, 2]) * (e[:, 1] + e[:, 3]) + (s[:, 0] + s[:, 2]) * (s[:, 1] + s[:, 3]) - both
    hull = (high[:, 0] + high[:, 2]) * (high[:, 1] + high[:, 3])
    giou = both / area.clamp(min=1e-3) - (hull - area) / hull.clamp(min=1e-3)
    box = ((1 - giou) * t["side_weight"]).sum() / t["side_weight"].sum().clamp(min=1)

    tall = (s[:, 1] + s[:, 3]).clamp(min=8)
    off = F.smooth_l1_loss(y[:, 5:13].float(), t["corners"], reduction="none", beta=CLOSE).mean(1) * CORNER_UNIT / tall
    corner = (off * t["corner_weight"]).sum() / t["corner_weight"].sum().clamp(min=1)
    return heat + 2 * box + CORNERS * corner, [heat.item(), box.item(), corner.item()]


def like_teacher(y: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """How far `y` is from another detector's maps: centres everywhere, boxes and corners where that one sees a plate.

    A network of a new shape learns from it faster than from labels alone (Hinton et al., Distilling the knowledge in a neural
    network, 2015).
    """
    y, sure = y.float(), maps[:, :1].sigmoid()
    heat = F.mse_loss(y[:, 0].clamp(-7, 7), maps[:, 0].clamp(-7, 7))
    rest = (F.smooth_l1_loss(y[:, 1:], maps[:, 1:], reduction="none") * sure).sum() / (sure.sum().clamp(min=1) * 12)
    return heat + 4 * rest
