"""Small U-Net that labels every pixel: our evaluator of masks in the mini profile."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError


class ConvBlock(nn.Module):
    """Residual block of two 3x3 convolutions with group norm."""

    def __init__(self, in_channels: int, out_channels: int, groups: int = 8) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block, [B, C_in, H, W] -> [B, C_out, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class Segmenter(nn.Module):
    """Pixel-unshuffle by 2, a U-Net at S/2, S/4 and S/8, pixel-shuffle back to S.

    Two more input channels hold the position of the pixel, which in aligned faces tells a left eye from a right one.
    """

    stride = 8
    """Required divisor of height and width."""

    def __init__(self, num_classes: int, channels: tuple[int, int]) -> None:
        super().__init__()
        narrow, wide = channels
        self.stem = nn.Conv2d(4 * 3 + 2, narrow, 3, padding=1)
        self.down = nn.ModuleList([ConvBlock(narrow, narrow), ConvBlock(narrow, wide)])
        self.middle = ConvBlock(wide, wide)
        self.up = nn.ModuleList([ConvBlock(2 * wide, wide), ConvBlock(wide + narrow, narrow)])
        self.norm = nn.GroupNorm(8, narrow)
        self.head = nn.Conv2d(narrow, 4 * num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class logits of images.

        Args:
            x: images, float [-1, 1], [B, 3, S, S].

        Returns:
            Logits, [B, num_classes, S, S].
        """
        if x.shape[-1] % self.stride or x.shape[-2] % self.stride:
            raise UserError(f"Segmenter got an image of {tuple(x.shape[-2:])} pixels; both must be multiples of 8.")
        folded = F.pixel_unshuffle(x, 2)  # [B, 12, S/2, S/2]
        h = self.stem(torch.cat([folded, _position(folded)], dim=1))
        skips = []
        for block in self.down:
            h = block(h)
            skips.append(h)
            h = F.avg_pool2d(h, 2)
        h = self.middle(h)
        for block in self.up:
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = block(torch.cat([h, skips.pop()], dim=1))
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), 2)  # [B, 4K, S/2, S/2] -> [B, K, S, S]


def _position(x: Tensor) -> Tensor:
    """Return the row and column of each pixel in [-1, 1], [B, 2, H, W], for x [B, C, H, W]."""
    batch, _, height, width = x.shape
    row = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    column = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)[None].expand(height, width)
    return torch.stack([row, column]).expand(batch, 2, height, width)
