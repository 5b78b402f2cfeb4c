"""The reader: a grey crop of one plate in, CTC logits out.

x [n, 1, 64, 160] in [0, 1]  ->  y [n, 80, 37]; class 0 is blank, class i is ALPHABET[i - 1].

Convolutions take the height to 1 and the width to 40 slots of 4 px, which see the whole height: a plate of one row is read
there. A second convolution gives the upper and the lower half 20 slots of 8 px each, behind the 40: a plate of two rows is read
there, in the order of lists (0140). Transformer layers with a depthwise convolution let the slots talk. 1.64 M parameters.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .labels import CLASSES

HEIGHT, WIDTH = 64, 160
WHOLE, ROW = 40, 20
"""Slots that see the whole height, and slots of each half."""
SLOTS = WHOLE + 2 * ROW
SILENT = 8.0
"""Logit of blank with which the halves' slots begin: a network that knew plates of one row only reads them as before."""


def conv(cin: int, cout: int, stride=1, size=3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(cin, cout, size, stride, size // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; `idle` starts as the identity."""

    def __init__(self, channels: int, idle: bool = False):
        super().__init__()
        self.a = conv(channels, channels)
        self.b = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        if idle:
            nn.init.zeros_(self.b[1].weight)

    def forward(self, x):
        """[n, c, h, w] -> the same."""
        return F.relu(x + self.b(self.a(x)))


def sight() -> torch.Tensor:
    """What is added to the attention of each slot to each, [80, 80]: the whole height's never look at the halves'."""
    mask = torch.zeros(SLOTS, SLOTS)
    mask[:WHOLE, WHOLE:] = -1e4
    return mask


class Layer(nn.Module):
    """Pre-norm attention, depthwise convolution over the slots, feed forward; `idle` starts as the identity."""

    def __init__(self, d: int, heads: int = 4, idle: bool = False):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.depthwise = nn.Conv1d(d, d, 5, 1, 2, groups=d)
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.register_buffer("sight", sight(), persistent=False)
        if idle:
            for module in (self.out, self.depthwise, self.down):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        """[n, slots, d] -> the same."""
        n, slots, d = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, slots, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = (q @ k.transpose(-1, -2) * (d // self.heads) ** -0.5 + self.sight).softmax(-1) @ v
        x = x + self.out(attention.transpose(1, 2).reshape(n, slots, d))
        beside = [self.depthwise(part.transpose(1, 2)) for part in (x[:, :WHOLE], x[:, WHOLE:])]
        x = x + torch.cat(beside, 2).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Reader(nn.Module):
    """The whole network; `d` is the width of the slots. Its last blocks start as the identity."""

    YOUNGER = ("rows.0", "row_head")
    """Modules that packages before 0.9.0 do not have: beside such weights they start silent (warm.py)."""

    def __init__(self, d: int = 160):
        super().__init__()
        stages = [conv(1, 24, 2), conv(24, 48, 2), Residual(48), conv(48, 80, (2, 1)), Residual(80)]
        stages += [Residual(80, idle=True), conv(80, 112, (2, 1)), Residual(112), Residual(112, idle=True)]
        self.stages = nn.Sequential(*stages)
        self.squeeze = nn.Sequential(nn.Conv2d(112, d, (4, 1), bias=False), nn.BatchNorm2d(d), nn.ReLU(inplace=True))
        self.rows = nn.Sequential(nn.Conv2d(112, d, 2, 2, bias=False), nn.BatchNorm2d(d), nn.ReLU(inplace=True))
        self.position = nn.Parameter(torch.randn(1, SLOTS, d) * 0.02)
        self.layers = nn.Sequential(Layer(d), Layer(d), Layer(d, idle=True))
        self.norm = nn.LayerNorm(d)
        self.head, self.row_head = nn.Linear(d, CLASSES), nn.Linear(d, CLASSES)
        with torch.no_grad():
            self.row_head.bias.zero_()[0] = SILENT

    def forward(self, x):
        """Crops [n, 1, 64, 160] in [0, 1] -> logits [n, 80, 37]."""
        seen = self.stages((x - 0.5) * 4)
        x = torch.cat([self.squeeze(seen).squeeze(2), self.rows(seen).flatten(2)], 2).transpose(1, 2) + self.position
        x = self.norm(self.layers(x))
        return torch.cat([self.head(x[:, :WHOLE]), self.row_head(x[:, WHOLE:])], 1)
