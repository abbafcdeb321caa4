"""Layers of StyleGAN2 (Karras et al., CVPR 2020) in plain PyTorch: equalized rates, modulated convolutions, smoothing."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

SMOOTHING = (1.0, 3.0, 3.0, 1.0)


def activate(x: Tensor) -> Tensor:
    """Return leaky ReLU with slope 0.2, times sqrt(2) to keep the variance."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def smoothing_kernel(x: Tensor) -> Tensor:
    """Return the 4 x 4 kernel that sums to 1, [C, 1, 4, 4], for x [B, C, h, w]."""
    line = torch.tensor(SMOOTHING, device=x.device, dtype=x.dtype)
    square = line.outer(line) / line.sum() ** 2
    return square.expand(x.shape[1], 1, -1, -1)


def smooth(x: Tensor, padding: int) -> Tensor:
    """Return x [B, C, h, w] smoothed after zero padding, [B, C, h + 2 p - 3, w + 2 p - 3]."""
    return F.conv2d(x, smoothing_kernel(x), padding=padding, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """Return x [B, C, h, w] with zeros between its pixels, smoothed to the same mean, [B, C, 2 h, 2 w]."""
    return F.conv_transpose2d(x, 4 * smoothing_kernel(x), stride=2, padding=1, groups=x.shape[1])


class EqualizedLinear(nn.Module):
    """Linear layer whose weights are N(0, 1) and scaled when used, so that Adam treats all layers alike.

    Args:
        width_in: width of the input.
        width_out: width of the output.
        bias: initial value of the bias.
        rate: factor of the learning rate.
    """

    def __init__(self, width_in: int, width_out: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in) / rate)
        self.bias = nn.Parameter(torch.full((width_out,), bias))
        self.scale, self.rate = rate / math.sqrt(width_in), rate

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., width_out] for x [..., width_in]."""
        return F.linear(x, self.scale * self.weight, self.rate * self.bias)


class EqualizedConvolution(nn.Module):
    """Convolution with equalized rate that keeps the image's size, or halves it after smoothing.

    Args:
        width_in: number of input channels.
        width_out: number of output channels.
        size: side of the kernel, odd.
        halves: whether the image becomes half as large.
        bias: whether there is a bias.
    """

    def __init__(self, width_in: int, width_out: int, size: int, *, halves: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in, size, size))
        self.bias = nn.Parameter(torch.zeros(width_out)) if bias else None
        self.scale, self.size, self.halves = 1 / math.sqrt(width_in * size**2), size, halves

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width_out, h, w], or half of that size, for x [B, width_in, h, w]."""
        weight = self.scale * self.weight
        if self.halves:
            return F.conv2d(smooth(x, 1 + self.size // 2), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=self.size // 2)


class ModulatedConvolution(nn.Module):
    """Convolution whose input channels are scaled by the style, and whose output is divided by the expected deviation.

    Scaling inputs and outputs equals scaling the weights (Eq. 1 and 3), and needs no convolution of its own for each image.

    Args:
        width_in: number of input channels.
        width_out: number of output channels.
        size: side of the kernel, odd.
        style_dim: width of the style.
        demodulated: whether the output is divided.
        doubles: whether the image becomes twice as large.
    """

    def __init__(
        self, width_in: int, width_out: int, size: int, style_dim: int, *, demodulated: bool = True, doubles: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in, size, size))
        self.modulation = EqualizedLinear(style_dim, width_in, bias=1.0)
        self.scale, self.size = 1 / math.sqrt(width_in * size**2), size
        self.demodulated, self.doubles = demodulated, doubles

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return [B, width_out, h, w], or twice that size, for x [B, width_in, h, w] and styles [B, style_dim]."""
        scales = self.modulation(style)  # s_i, [B, width_in]
        weight = self.scale * self.weight
        x = x * scales[:, :, None, None]  # Eq. 1
        if self.doubles:
            x = 4 * smooth(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1)
        else:
            x = F.conv2d(x, weight, padding=self.size // 2)
        if not self.demodulated:
            return x
        variance = scales.square() @ weight.square().sum(dim=(2, 3)).T  # [B, width_out]
        return x * (variance + 1e-8).rsqrt()[:, :, None, None]  # Eq. 3


class StyledLayer(nn.Module):
    """Modulated convolution, noise of a learned strength, bias and activation."""

    def __init__(self, width_in: int, width_out: int, style_dim: int, *, doubles: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(width_in, width_out, 3, style_dim, doubles=doubles)
        self.strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Return [B, width_out, h, w] for x [B, width_in, ...], styles [B, style_dim] and noise [B or 1, 1, h, w]."""
        x = self.convolution(x, style) + self.strength * noise
        return activate(x + self.bias[:, None, None])


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to an image, without demodulation."""

    def __init__(self, width_in: int, style_dim: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(width_in, 3, 1, style_dim, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return [B, 3, h, w] for x [B, width_in, h, w] and styles [B, style_dim]."""
        return self.convolution(x, style) + self.bias[:, None, None]
