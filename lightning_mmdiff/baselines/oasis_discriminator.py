"""OASIS' discriminator (Schoenfeld et al. 2021, App. B): a residual U-Net that tells at every pixel which class, or "fake"."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.baselines.spatially_adaptive import convolution, xavier


class ScalingBlock(nn.Module):
    """Residual block that halves or doubles the image.

    Args:
        width_in: number of input channels.
        width_out: number of output channels.
        direction: "first" halves too, but its input is an image: no activation before the first convolution.
    """

    def __init__(self, width_in: int, width_out: int, direction: Literal["first", "down", "up"]) -> None:
        super().__init__()
        self.direction = direction
        self.first = convolution(width_in, width_out)
        self.second = convolution(width_out, width_out)
        self.shortcut = convolution(width_in, width_out, 1, bias=False) if width_in != width_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width_out, 2 s, 2 s] or [B, width_out, s / 2, s / 2] for x [B, width_in, s, s]."""
        if self.direction == "up":
            hidden = self.first(F.interpolate(F.leaky_relu(x, 0.2), scale_factor=2, mode="nearest"))
            return self.shortcut(F.interpolate(x, scale_factor=2, mode="nearest")) + self._rest(hidden)
        hidden = self.first(x if self.direction == "first" else F.leaky_relu(x, 0.2))
        return F.avg_pool2d(self._rest(hidden), 2) + self.shortcut(F.avg_pool2d(x, 2))

    def _rest(self, hidden: Tensor) -> Tensor:
        return self.second(F.leaky_relu(hidden, 0.2))


class SegmentingDiscriminator(nn.Module):
    """Blocks down, blocks up that also read the features of the same size from the way down, and a 1 x 1 convolution.

    Args:
        widths: channels after each block down.
        last_width: channels after the last block up.
        outputs: number of classes, "fake" included.
    """

    def __init__(self, widths: Sequence[int], last_width: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            ScalingBlock(a, b, "down" if i else "first") for i, (a, b) in enumerate(zip((3, *widths), widths))
        )
        targets = [*reversed(widths[:-1]), last_width]
        inputs = [widths[-1], *(2 * w for w in targets[:-1])]
        self.up = nn.ModuleList(ScalingBlock(a, b, "up") for a, b in zip(inputs, targets))
        self.last = xavier(nn.Conv2d(last_width, outputs, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [B, outputs, S, S] of images [B, 3, S, S]; channel 0 is "fake"."""
        features = []
        x = image
        for block in self.down:
            x = block(x)
            features.append(x)
        x = self.up[0](features.pop())
        for block in self.up[1:]:
            x = block(torch.cat([features.pop(), x], dim=1))
        return self.last(x)
