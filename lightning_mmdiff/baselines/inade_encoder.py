"""INADE's encoder (Tan et al. 2021, Sec. 3.3): from an image and its label map to the noise of each class."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class InstanceConvolution(nn.Module):
    """3 x 3 convolution in which a pixel sees only those neighbors that are of its own class.

    Args:
        width_in: number of input channels.
        width_out: number of output channels.
        stride: 1 or 2.
    """

    def __init__(self, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        plain = nn.Conv2d(width_in, width_out, 3)
        assert plain.bias is not None
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """Return [B, width_out, h / stride, w / stride] for x [B, width_in, h, w] and classes, float [B, 1, S, S]."""
        size = x.shape[2:]
        near = F.unfold(F.interpolate(classes, size, mode="nearest"), 3, padding=1, stride=self.stride)  # [B, 9, L]
        same = (near == near[:, 4:5]).to(x)
        columns = F.unfold(x, 3, padding=1, stride=self.stride).unflatten(1, (x.shape[1], 9)) * same[:, None]
        out = self.weight.flatten(1) @ columns.flatten(1, 2)
        return out.unflatten(2, (size[0] // self.stride, size[1] // self.stride)) + self.bias[:, None, None]


class InstanceEncoder(nn.Module):
    """A U-Net of such convolutions, and the mean over each class of what it says of the pixels.

    Args:
        width: channels after the first convolution; each step down doubles them.
        noise_dim: width of the noise of a class.
        num_downs: number of steps down, and up again.
    """

    def __init__(self, width: int, noise_dim: int, num_downs: int = 4) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(num_downs)]
        down = list(zip((3, *widths), widths))
        targets = [*reversed(widths[:-1]), width]
        up = list(zip([widths[-1], *(2 * w for w in targets[:-1])], targets))
        self.down = nn.ModuleList(InstanceConvolution(a, b, stride=2) for a, b in down)
        self.up = nn.ModuleList(InstanceConvolution(a, b) for a, b in up)
        self.heads = nn.ModuleList(InstanceConvolution(width, noise_dim) for _ in range(4))

    def forward(self, image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the noise of each class, each [B, K, 2, noise_dim]; 0 for absent classes.

        Args:
            image: [B, 3, S, S] in [-1, 1].
            labels: one-hot, [B, K, S, S].
        """
        classes = labels.argmax(dim=1, keepdim=True).float()
        features, x = [], image
        for layer in self.down:
            x = _activated(layer(x, classes))
            features.append(x)
        features.pop()
        for i, layer in enumerate(self.up):
            x = layer(torch.cat([x, features.pop()], dim=1) if i else x, classes)
            x = F.interpolate(_activated(x), scale_factor=2, mode="bilinear", align_corners=False)
        counts = labels.sum(dim=(2, 3)).clamp(min=1)[..., None]  # [B, K, 1]
        scale_mean, scale_log, shift_mean, shift_log = (
            torch.einsum("nchw,nkhw->nkc", head(x, classes), labels) / counts for head in self.heads
        )
        return torch.stack([scale_mean, shift_mean], dim=2), torch.stack([scale_log, shift_log], dim=2)


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(F.instance_norm(x), 0.2)
