"""pSp (Richardson et al., CVPR 2021, Sec. 3): a feature pyramid that gives one StyleGAN2 style for each layer."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.baselines.stylegan2_layers import EqualizedLinear
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.whole_batch import BatchNorm


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(Config):
    """Architecture; the defaults are IR-SE-50 and the published split of 18 styles."""

    first_width: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage, which halves the image; styles, as wide as the last, are read from the last three."""
    units: tuple[int, ...] = (3, 4, 14, 3)
    """Residual units of each stage."""
    squeeze: int = 16
    """Factor by which the channels shrink where a unit weighs them."""
    coarse: int = 3
    """Number of styles read from the last stage."""
    middle: int = 4
    """Number of styles read from the stage before; the others come from the one before that."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "first_width", "units", "coarse", "middle")
        self._multiples(self.squeeze, "widths")
        if len(self.widths) != len(self.units) or len(self.widths) < 3:
            raise UserError(
                f"Expected the same number of widths and units, 3 or more; got {self.widths} and {self.units}."
            )


class ChannelWeights(nn.Module):
    """Squeeze and excitation: weights of the channels, made from their means."""

    def __init__(self, width: int, squeeze: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(width, width // squeeze, 1, bias=False)
        self.grow = nn.Conv2d(width // squeeze, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, C, h, w] with its channels weighted."""
        return x * self.grow(F.relu(self.shrink(x.mean(dim=(2, 3), keepdim=True)))).sigmoid()


class ResidualUnit(nn.Module):
    """Batch norm, two convolutions and weighted channels, beside a shortcut; the second convolution has the stride."""

    def __init__(self, width_in: int, width_out: int, stride: int, squeeze: int) -> None:
        super().__init__()
        self.shortcut: nn.Module = nn.MaxPool2d(1, stride)
        if width_in != width_out:
            self.shortcut = nn.Sequential(nn.Conv2d(width_in, width_out, 1, stride, bias=False), BatchNorm(width_out))
        self.residual = nn.Sequential(
            BatchNorm(width_in),
            nn.Conv2d(width_in, width_out, 3, padding=1, bias=False),
            nn.PReLU(width_out),
            nn.Conv2d(width_out, width_out, 3, stride, padding=1, bias=False),
            BatchNorm(width_out),
            ChannelWeights(width_out, squeeze),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width_out, s / stride, s / stride] for x [B, width_in, s, s]."""
        return self.shortcut(x) + self.residual(x)


class StyleHead(nn.Module):
    """Convolutions with stride 2 down to one pixel, then a linear layer: one style."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        downs = size.bit_length() - 1
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(downs))
        self.linear = EqualizedLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, D] for x [B, D, size, size]."""
        for layer in self.convolutions:
            x = F.leaky_relu(layer(x), 0.01)
        return self.linear(x.flatten(1))


class PyramidEncoder(nn.Module):
    """Offsets of all styles from the mean style.

    Args:
        config: architecture.
        channels_in: number of channels of the input.
        image_size: height and width of the input.
        num_styles: number L of styles.
    """

    def __init__(self, config: PyramidConfig, channels_in: int, image_size: int, num_styles: int) -> None:
        super().__init__()
        widths, dim = config.widths, config.widths[-1]
        self.first = nn.Sequential(
            nn.Conv2d(channels_in, config.first_width, 3, padding=1, bias=False),
            BatchNorm(config.first_width),
            nn.PReLU(config.first_width),
        )
        self.stages = nn.ModuleList(
            _stage(a, b, units, config.squeeze)
            for a, b, units in zip((config.first_width, *widths), widths, config.units)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, dim, 1) for width in (widths[-2], widths[-3]))
        smallest = image_size // 2 ** len(widths)
        self.level = [_level(config, i) for i in range(num_styles)]
        self.heads = nn.ModuleList(StyleHead(dim, smallest * 2**level) for level in self.level)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, L, D] for x [B, channels_in, S, S]."""
        x, features = self.first(x), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        levels = [x]
        for layer, feature in zip(self.lateral, (features[-2], features[-3])):
            lateral = layer(feature)
            levels.append(lateral + F.interpolate(levels[-1], lateral.shape[2:], mode="bilinear", align_corners=True))
        styles = [head(levels[level]) for head, level in zip(self.heads, self.level, strict=True)]
        return torch.stack(styles, dim=1)


def _stage(width_in: int, width_out: int, units: int, squeeze: int) -> nn.Sequential:
    first = ResidualUnit(width_in, width_out, 2, squeeze)
    return nn.Sequential(first, *(ResidualUnit(width_out, width_out, 1, squeeze) for _ in range(units - 1)))


def _level(config: PyramidConfig, style: int) -> int:
    """Return which level of the pyramid a style is read from: 0 is the coarsest."""
    return 0 if style < config.coarse else 1 if style < config.coarse + config.middle else 2
