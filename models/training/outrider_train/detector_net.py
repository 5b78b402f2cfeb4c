"""The detector: a picture in, plate boxes with four corners out, in one pass.

x [n, 3, h, w] BGR in [0, 1], h and w multiples of 32  ->  y [n, 13, h/8, w/8]:
channel 0 the logit of a plate's centre, 1-4 ln(left, top, right, bottom / 8 px), 5-12 the corners
(top left, top right, bottom right, bottom left) as (x, y) from the cell's centre / 16 px.

Five stages of strided convolutions and bottlenecks, spatial pooling, a feature pyramid down to stride 8: 0.6 M parameters,
0.69 GMAC at 640x384. `light` sees 4x4 patches in place of the first two convolutions and has no convolution before its head:
a seventh less time, a point or two of the plates (docs/decisions/0028-a-lighter-detector.md).
"""

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .ocr_net import conv

STRIDE, CORNER_UNIT, CHANNELS = 8, 16.0, 13


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 around a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.a, self.b = conv(channels, channels // 2, 1, 1), conv(channels // 2, channels // 2)
        self.c = nn.Sequential(nn.Conv2d(channels // 2, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        """[n, c, h, w] -> the same."""
        return F.relu(x + self.c(self.b(self.a(x))))


class Detector(nn.Module):
    """The whole network; `neck` is the width of the pyramid."""

    def __init__(self, neck: int = 48, light: bool = False):
        super().__init__()

        def stage(cin, cout, depth):
            return nn.Sequential(conv(cin, cout, 2), *[Bottleneck(cout) for _ in range(depth)])

        if light:  # a patch's 48 values go into 48 channels: nothing is lost yet
            patches = nn.Sequential(nn.Conv2d(3, 48, 4, 4, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True))
            self.stem = nn.Sequential(patches, conv(48, 32, 1, 1))
        else:
            self.stem = nn.Sequential(conv(3, 16, 2), conv(16, 32, 2))
        deep = 4 if light else 3
        self.s8, self.s16, self.s32 = stage(32, 64, 2), stage(64, 96, deep), stage(96, 128, deep)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.spatial = conv(128 * 3, 128, 1, 1)
        self.in32, self.in16, self.in8 = conv(128, neck, 1, 1), conv(96, neck, 1, 1), conv(64, neck, 1, 1)
        self.out16, self.out8 = conv(neck, neck), conv(neck, neck)
        self.tower = nn.Identity() if light else conv(neck, neck)
        self.head = nn.Conv2d(neck, CHANNELS, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        nn.init.zeros_(self.head.bias)
        self.head.bias.data[0] = -4.0  # a plate is rare: start from "no"

    def forward(self, x):
        """Pictures [n, 3, h, w] -> maps [n, 13, h/8, w/8]."""
        c8 = self.s8(self.stem(x))
        c16 = self.s16(c8)
        c32 = self.s32(c16)
        p = self.pool(c32)
        top = self.in32(self.spatial(torch.cat([c32, p, self.pool(p)], 1)))
        middle = self.out16(self.in16(c16) + self.up(top))
        return self.head(self.tower(self.out8(self.in8(c8) + self.up(middle))))


def iou(a, b) -> float:
    """Overlap of two [x0, y0, x1, y1, ...] boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def decode(maps: np.ndarray, threshold: float = 0.05, most: int = 60, nms: float = 0.4) -> list[tuple]:
    """One picture's maps [13, h, w] -> [(x0, y0, x1, y1, score, corners [4, 2])] by falling score, network pixels."""
    heat = 1 / (1 + np.exp(-maps[0]))
    peak = cv2.dilate(heat, np.ones((3, 3), np.uint8))
    ys, xs = np.where((heat >= peak - 1e-6) & (heat > threshold))
    kept: list[tuple] = []
    for i in np.argsort(-heat[ys, xs])[:most]:
        y, x = ys[i], xs[i]
        cx, cy = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
        left, top, right, bottom = np.exp(np.clip(maps[1:5, y, x], -4, 5)) * STRIDE
        corners = maps[5:13, y, x].reshape(4, 2) * CORNER_UNIT + [cx, cy]
        box = (cx - left, cy - top, cx + right, cy + bottom, float(heat[y, x]), corners)
        if all(iou(box, other) < nms for other in kept):
            kept.append(box)
    return kept


def letterbox(image: np.ndarray, width: int = 640, height: int = 384) -> tuple[np.ndarray, float]:
    """Scale to fit, pad right and bottom with 114: (uint8 [height, width, 3], scale)."""
    rows, columns = image.shape[:2]
    scale = min(width / columns, height / rows)
    out = np.full((height, width, 3), 114, np.uint8)
    small = cv2.resize(
        image,
        (int(columns * scale), int(rows * scale)),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    out[: small.shape[0], : small.shape[1]] = small
    return out, scale


def tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] -> float [n, 3, h, w] in [0, 1]."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(memory_format=torch.channels_last)
