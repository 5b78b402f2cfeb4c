"""The network that says whose plate it is: a colour crop of one plate in, one logit for each of looks.CLASSES out.

x [n, 3, 96, 192] RGB in [0, 1]  ->  y [n, classes]. Convolutions down to 3 x 12 places, each with its own weights after that: a
name stands above, a slogan below, a band at the left. 62 MMAC, 1.1 M parameters.
"""

import torch
from torch import nn

from .looks import CLASSES
from .ocr_net import Residual, conv

HEIGHT, WIDTH = 96, 192


class PlaceNet(nn.Module):
    """The whole network."""

    def __init__(self, classes: int = len(CLASSES)):
        super().__init__()
        stages = [conv(3, 16, 2), conv(16, 32, 2), conv(32, 64, 2), Residual(64), conv(64, 96, (2, 1)), conv(96, 96)]
        self.stages = nn.Sequential(*stages, conv(96, 128, 2))
        self.drop = nn.Dropout(0.2)
        self.hidden, self.head = nn.Linear(128 * 3 * 12, 160), nn.Linear(160, classes)

    def forward(self, x):
        """Crops [n, 3, 96, 192] in [0, 1] -> logits [n, classes]."""
        x = self.stages((x - 0.5) * 4).flatten(1)
        return self.head(self.drop(torch.relu(self.hidden(self.drop(x)))))
