"""Spatially adaptive normalization (Park et al. 2019, Eq. 1) and the residual generator that SPADE, OASIS and INADE share."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from lightning_mmdiff.networks.whole_batch import BatchNorm

Norm = Callable[[int], nn.Module]
"""Function from a number of channels to a layer that takes (x [B, C, h, w], condition)."""
INIT_GAIN = 0.02
"""Gain of Xavier's initialization of every convolution and linear layer, as released."""


def xavier(layer: nn.Module) -> nn.Module:
    """Draw the weights of a layer by Xavier's rule with the released gain; its bias becomes zero."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(layer.weight, gain=INIT_GAIN)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer


def convolution(width_in: int, width_out: int, size: int = 3, **options: Any) -> nn.Module:
    """Return a convolution that keeps the image's size, with the released initialization and spectral norm.

    Args:
        width_in: number of input channels.
        width_out: number of output channels.
        size: side of the kernel.
        options: further arguments of ``nn.Conv2d``.
    """
    return spectral_norm(xavier(nn.Conv2d(width_in, width_out, size, padding=size // 2, **options)))


@torch.no_grad()
def rescale(module: nn.Module, gain: float) -> None:
    """Give the weights under spectral norm the size that Xavier's rule with ``gain`` would have given them."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrizations: Any = layer.parametrizations
            parametrizations.weight.original.mul_(gain / INIT_GAIN)


class SpatiallyAdaptiveNorm(nn.Module):
    """Batch norm without parameters, scaled and shifted at each pixel as a small network of the label map says.

    Args:
        channels: number of channels of x.
        label_channels: number of channels of the label map.
        hidden: width of the small network.
    """

    def __init__(self, channels: int, label_channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=False)
        self.shared = xavier(nn.Conv2d(label_channels, hidden, 3, padding=1))
        self.gamma = xavier(nn.Conv2d(hidden, channels, 3, padding=1))
        self.beta = xavier(nn.Conv2d(hidden, channels, 3, padding=1))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the normalized x [B, C, h, w] under the label map [B, K, S, S]."""
        hidden = F.relu(self.shared(F.interpolate(labels, x.shape[2:], mode="nearest")))
        return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)  # Eq. 1, gamma about 1


class ResidualBlock(nn.Module):
    """Two convolutions with conditional norms, and a shortcut that has its own where the width changes (Fig. 4, Park et al.)."""

    def __init__(self, width_in: int, width_out: int, norm: Norm) -> None:
        super().__init__()
        middle = min(width_in, width_out)
        self.norms = nn.ModuleList([norm(width_in), norm(middle)])
        self.convolutions = nn.ModuleList([convolution(width_in, middle), convolution(middle, width_out)])
        self.shortcut_norm = norm(width_in) if width_in != width_out else None
        self.shortcut = convolution(width_in, width_out, 1, bias=False) if width_in != width_out else None

    def forward(self, x: Tensor, condition: Any) -> Tensor:
        """Return [B, width_out, h, w] for x [B, width_in, h, w]."""
        hidden = x
        for norm, layer in zip(self.norms, self.convolutions):
            hidden = layer(F.leaky_relu(norm(hidden, condition), 0.2))
        if self.shortcut is None or self.shortcut_norm is None:
            return x + hidden
        return self.shortcut(self.shortcut_norm(x, condition)) + hidden


class ResidualDecoder(nn.Module):
    """Residual blocks with nearest-neighbor upsampling between them, then a convolution to an image.

    Args:
        widths: number of channels before the first block and after each.
        upsampled: for each block, whether the image doubles in size before it.
        norm: makes the conditional norms.
    """

    def __init__(self, widths: Sequence[int], upsampled: Sequence[bool], norm: Norm) -> None:
        super().__init__()
        self.upsampled = tuple(upsampled)
        self.blocks = nn.ModuleList(ResidualBlock(a, b, norm) for a, b in zip(widths, widths[1:], strict=False))
        self.to_image = xavier(nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, x: Tensor, condition: Any) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for features [B, widths[0], s, s]."""
        for block, doubles in zip(self.blocks, self.upsampled, strict=True):
            x = block(F.interpolate(x, scale_factor=2, mode="nearest") if doubles else x, condition)
        return self.to_image(F.leaky_relu(x, 0.2)).tanh()
