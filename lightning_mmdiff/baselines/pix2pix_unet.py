"""The U-Net of pix2pix (Isola et al. 2017, App. 6.1.1): each step up also reads the features of its size from the way down."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.baselines.adversarial import Noise
from lightning_mmdiff.baselines.patches import normal
from lightning_mmdiff.networks.whole_batch import BatchNorm

DROPPED = 0.5


class ImageStatisticsNorm(BatchNorm):
    """Batch norm in training; afterwards each image is normalized by its own statistics.

    Published images are made one at a time with the batch's statistics, which are then the image's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)
        nn.init.normal_(self.weight, mean=1.0, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized x [B, C, h, w]."""
        return super().forward(x) if self.training else F.instance_norm(x, weight=self.weight, bias=self.bias)


class Pix2PixUNet(nn.Module):
    """4 x 4 convolutions of stride 2 down to one pixel and up again; dropout in the three steps up after the first.

    Args:
        width: channels after the first step; they double up to eight times that.
        num_downs: number of steps down.
    """

    def __init__(self, width: int, num_downs: int) -> None:
        super().__init__()
        widths = [3, *(width * min(2**i, 8) for i in range(num_downs))]
        inner = (0, num_downs - 1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            layer = normal(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=i in inner))
            norm = {} if i in inner else {"norm": ImageStatisticsNorm(b)}
            self.down.append(nn.ModuleDict({"layer": layer, **norm}))
        for i in reversed(range(num_downs)):
            width_in = widths[i + 1] * (1 if i == num_downs - 1 else 2)
            layer = normal(nn.ConvTranspose2d(width_in, widths[i], 4, stride=2, padding=1, bias=i == 0))
            self.up.append(nn.ModuleDict({"layer": layer, **({"norm": ImageStatisticsNorm(widths[i])} if i else {})}))

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for pictures [B, 3, S, S]; ``noise`` draws what dropout hides."""
        features: list[Tensor] = []
        step: Any
        for i, step in enumerate(self.down):
            x = step["layer"](F.leaky_relu(x, 0.2) if i else x)
            x = step["norm"](x) if "norm" in step else x
            features.append(x)
        x = features.pop()
        for i, step in enumerate(self.up):
            x = step["layer"](F.relu(torch.cat([features.pop(), x], dim=1) if i else x))
            x = step["norm"](x) if "norm" in step else x
            if 1 <= i <= 3 and "norm" in step:
                x = x * (noise(*x.shape[1:]) > 0) / (1 - DROPPED)  # half of the normal distribution lies above 0
        return x.tanh()
