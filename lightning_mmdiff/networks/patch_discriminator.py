"""Patch discriminator (Isola et al. 2017, Sec. 3.2.2): tells real from fake in overlapping patches of 70 pixels."""

from typing import Literal

from torch import Tensor, nn

from lightning_mmdiff.networks.whole_batch import BatchNorm

SMALLEST_IMAGE = 24
"""Height and width in pixels that yield a single logit."""


class PatchDiscriminator(nn.Module):
    """4x4 convolutions C-2C-4C-8C of stride 2, 2, 2, 1 with norms from the second on, and a last one to one channel.

    Args:
        channels: C.
        num_layers: number of layers with stride 2.
        channels_in: channels of the image, and of what it is judged with.
        norm: batch norm (pix2pix, latent diffusion), or instance norm without parameters (CycleGAN).
    """

    def __init__(
        self, channels: int = 64, num_layers: int = 3, *, channels_in: int = 3,
        norm: Literal["batch", "instance"] = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [channels * min(2**level, 8) for level in range(num_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels_in, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for level, (width_in, width_out) in enumerate(zip(widths, widths[1:]), start=1):
            stride = 2 if level < num_layers else 1
            convolution = nn.Conv2d(width_in, width_out, 4, stride=stride, padding=1, bias=norm == "instance")
            normalize = BatchNorm(width_out) if norm == "batch" else nn.InstanceNorm2d(width_out)
            layers += [convolution, normalize, nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)
            elif isinstance(layer, BatchNorm):
                nn.init.normal_(layer.weight, mean=1.0, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of patches, [B, 1, h, w], of images, float [-1, 1], [B, C, S, S]; positive means real."""
        return self.layers(image)
