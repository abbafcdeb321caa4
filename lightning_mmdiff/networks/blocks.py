"""Layers of ADM's U-Net (Dhariwal & Nichol 2021), with a second adaptive norm (Unite and Conquer, supplement 7.3)."""

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.networks.norm_silu import norm_silu

Direction = Literal["up", "down"]
Module = TypeVar("Module", bound=nn.Module)
FUSED_LENGTH = 128
"""Least number of queries that a fused kernel gets on a CPU. The small networks of mini and smoke have fewer, so that what was
recorded with them stays the same to the last bit."""


def timestep_embedding(t: Tensor, channels: int) -> Tensor:
    """Return sinusoidal features of the timestep, cosines first (as in ADM; the frequencies end just above 1e-4).

    Rounded in another order than guided-diffusion's: at t = 999 angles differ by at most 3e-5 radians at the published widths
    of 192 and 320, by nothing at 128 and 256; both are as far from the exact ones. Recorded trainings depend on this order.

    Args:
        t: timesteps, integer or fractional, [B].
        channels: width of the result; must be even.

    Returns:
        float32 [B, channels].
    """
    half = channels // 2
    frequency = torch.exp(-math.log(10_000) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angle = t.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class GroupNorm(nn.GroupNorm):
    """Group norm computed in float32 at any precision of the network; the result has the dtype of the input."""

    def forward(self, h: Tensor) -> Tensor:
        """Normalize [B, C, ...] -> [B, C, ...]."""
        out = F.group_norm(h.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)
        return out.to(h.dtype)


def scale_shift(h: Tensor, modulation: Tensor) -> Tensor:
    """Return ``h (1 + scale) + shift`` for h [B, C, H, W]; ``modulation`` [B, 2C] holds scale, then shift."""
    scale, shift = modulation[:, :, None, None].chunk(2, dim=1)  # [B, C, 1, 1] each
    return torch.addcmul(shift, h, 1 + scale)


def zero(layer: Module) -> Module:
    """Set all parameters of ``layer`` to zero, so that its branch contributes nothing at first, and return it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Resample(nn.Module):
    """Layer that halves or doubles height and width, with a 3x3 convolution (``conv``) or by averaging or repetition."""

    def __init__(self, channels: int, direction: Direction, *, conv: bool) -> None:
        super().__init__()
        self.direction = direction
        stride = 2 if direction == "down" else 1
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1) if conv else None

    def forward(self, h: Tensor) -> Tensor:
        """Resample [B, C, H, W] -> [B, C, H/2, W/2] or [B, C, 2H, 2W]."""
        if self.direction == "up":
            h = F.interpolate(h, scale_factor=2, mode="nearest")
        elif self.conv is None:
            h = F.avg_pool2d(h, 2)
        return h if self.conv is None else self.conv(h)


class ResBlock(nn.Module):
    """Residual block conditioned on a timestep and, if ``embedding_dim`` is given, on an image or text embedding.

    Both act through adaptive group norm before the second convolution and share its single group norm (supplement 7.3):
    ``h = GN(h) (1 + s_t) + b_t``, then ``h = GN(h) (1 + s_e) + b_e``. Every row gets both, even with a null embedding.
    (The released code skips the second one if all rows of a batch are null, so that a row depends on the others.)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dim: int,
        *,
        embedding_dim: int | None,
        dropout: float,
        groups: int,
        resample: Direction | None = None,
    ) -> None:
        """Build the block.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            time_dim: width of the timestep's features.
            embedding_dim: width of the embedding; None for a block without one.
            dropout: probability of dropout before the second convolution.
            groups: number of groups of each group norm.
            resample: whether the block doubles or halves height and width; None keeps them.
        """
        super().__init__()
        self.norm1 = GroupNorm(groups, in_channels)
        self.resample = None if resample is None else Resample(in_channels, resample, conv=False)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * out_channels)
        self.embedding = None if embedding_dim is None else nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = GroupNorm(groups, out_channels)
        self.dropout = dropout
        self.conv2 = zero(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = None if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor, embedding: Tensor | None) -> Tensor:
        """Apply the block.

        Args:
            x: activations, [B, C, H, W].
            time: SiLU of the timestep's features, [B, time_dim].
            embedding: SiLU of the embedding, [B, embedding_dim]; None only for a block without ``embedding_dim``.
        """
        h = norm_silu(x, self.norm1)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h, modulation = self.conv1(h), self.time(time)  # AdaGN of the timestep
        if self.embedding is not None:
            h = scale_shift(self.norm2(h), modulation)
            modulation = self.embedding(embedding)  # supplement 7.3: the same norm again
        h = norm_silu(h, self.norm2, modulation)
        h = self.conv2(F.dropout(h, self.dropout, self.training))
        return h.add_(x if self.skip is None else self.skip(x))  # nothing else reads conv2's output


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v, [B, heads, L, d], by a fused kernel.

    Fused kernels take heads whose channels lie side by side; for others PyTorch silently keeps the whole [L, S] matrix.

    Args:
        q: queries, [B, heads, L, d].
        k: keys, [B, heads, S, d].
        v: values, [B, heads, S, d].
    """
    if q.is_cuda or q.shape[2] >= FUSED_LENGTH:
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    """Self-attention over pixels. Rows of ``qkv``: all queries, all keys, all values (ADM's "new" order).

    ADM-128, ADM-256 and Unite and Conquer's networks store query, key and value head by head ("legacy"): their weights
    must be permuted on loading. A wrong order raises no error; it only gives wrong images. With ``context_dim``, the pixels
    attend to the vectors of a text as well (GLIDE): ``context`` makes their keys, then their values, which go first.
    """

    def __init__(self, channels: int, num_heads: int, *, groups: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.context = None if context_dim is None else nn.Conv1d(context_dim, 2 * channels, 1)
        self.out = zero(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Apply attention to pixels and tokens [B, L, context_dim], and add the input, [B, C, H, W] -> [B, C, H, W]."""
        batch, channels, height, width = x.shape
        pixels = x.flatten(2)  # [B, C, H W]
        qkv = self.qkv(self.norm(pixels)).view(batch, 3, self.num_heads, channels // self.num_heads, -1)
        q, k, v = qkv.transpose(3, 4).unbind(1)  # [B, heads, H W, C / heads] each
        if self.context is not None:
            assert tokens is not None, "the network checks that they are given"
            pairs = self.context(tokens.transpose(1, 2)).unflatten(1, (2, self.num_heads, -1))
            k, v = (torch.cat(both, dim=2) for both in zip(pairs.transpose(3, 4).unbind(1), (k, v)))
        h = attend(q, k, v).transpose(2, 3).reshape(batch, channels, -1)
        return (pixels + self.out(h)).view(batch, channels, height, width)
