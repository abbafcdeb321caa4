"""Patch discriminators at several scales (Wang et al. 2018, Sec. 3.2), which also give the features of each layer."""

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_mmdiff.baselines.spatially_adaptive import xavier

PatchNorm = Literal["instance", "spectral-instance"]


class PatchLayers(nn.Module):
    """4 x 4 convolutions C-2C-4C-8C-1 with strides 2, 2, 2, 1, 1; layer i's output is feature i.

    Args:
        channels_in: channels of condition and image together.
        width: number of channels C of the first layer.
        norm: instance norm of the three middle layers, as pix2pixHD; with spectral norm of their weights, as SPADE.
    """

    def __init__(self, channels_in: int, width: int, norm: PatchNorm) -> None:
        super().__init__()
        widths = [channels_in, width, 2 * width, 4 * width, 8 * width, 1]
        self.layers = nn.ModuleList()
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            plain = i in (0, 4)
            spectral = norm == "spectral-instance" and not plain
            layer: nn.Module = nn.Conv2d(a, b, 4, stride=2 if i < 3 else 1, padding=2, bias=not spectral)
            layer = spectral_norm(xavier(layer)) if spectral else normal(layer) if norm == "instance" else xavier(layer)
            parts = [layer, *([] if plain else [nn.InstanceNorm2d(b)]), *([nn.LeakyReLU(0.2)] if i < 4 else [])]
            self.layers.append(nn.Sequential(*parts))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the output of each layer for x [B, channels_in, S, S]; the last is the logits [B, 1, h, w]."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs


class MultiScaleDiscriminator(nn.Module):
    """The same discriminator at full size, at half of it, and so on.

    Args:
        channels_in: channels of condition and image together.
        width: channels of the first layer.
        norm: norm of the middle layers.
        num_scales: number of sizes.
    """

    def __init__(self, channels_in: int, width: int, norm: PatchNorm, num_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchLayers(channels_in, width, norm) for _ in range(num_scales))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Return the outputs of all layers at each scale, largest first, for x [B, channels_in, S, S]."""
        outputs = []
        for scale in self.scales:
            outputs.append(scale(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return outputs


def normal(layer: nn.Module) -> nn.Module:
    """Draw a layer's weights from N(0, 0.02^2), as pix2pix, pix2pixHD and CycleGAN do; its bias becomes zero."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer
