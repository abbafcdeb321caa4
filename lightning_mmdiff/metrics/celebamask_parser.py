"""The face parser published with CelebAMask-HQ (Lee et al. 2020), with which Collaborative Diffusion evaluates masks.

A U-Net of 16 to 256 channels and 19 classes in the data set's own order; 1.9M parameters. The network is written from its
published shape; the weights are licensed for research only and are read from disk. Its authors report an accuracy of
93.42 % of pixels on real photographs. This code has never been run on the released file.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_mmdiff import images, weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import check_images

CHANNELS = (16, 32, 64, 128, 256)
NUM_CLASSES = 19


class DoubleConv(nn.Module):
    """Two 3 x 3 convolutions with batch norm; layers are named as in the released file."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(num_in, num_out, 3, padding=1), nn.BatchNorm2d(num_out), nn.ReLU())
        self.conv2 = nn.Sequential(nn.Conv2d(num_out, num_out, 3, padding=1), nn.BatchNorm2d(num_out), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolutions, [B, num_in, H, W] -> [B, num_out, H, W]."""
        return self.conv2(self.conv1(x))


class UpConv(nn.Module):
    """Layer that doubles the resolution and joins the encoder's features at that resolution."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv = DoubleConv(num_in, num_out)
        self.up = nn.ConvTranspose2d(num_in, num_out, 2, stride=2)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Join [B, num_out, 2H, 2W] and [B, num_in, H, W] -> [B, num_out, 2H, 2W]."""
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


class CelebAMaskParser(nn.Module):
    """Network from faces to the 19 classes of CelebAMask-HQ, in evaluation mode."""

    image_size = 512  # pixels

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            DoubleConv(num_in, num_out) for num_in, num_out in zip((3, *CHANNELS), CHANNELS[:4])
        )
        self.center = DoubleConv(CHANNELS[3], CHANNELS[4])
        self.up_concat1, self.up_concat2, self.up_concat3, self.up_concat4 = (
            UpConv(num_in, num_out) for num_out, num_in in zip(CHANNELS[:4], CHANNELS[1:])
        )
        self.final = nn.Conv2d(CHANNELS[0], NUM_CLASSES, 1)
        self.pool = nn.MaxPool2d(2)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float [-1, 1], [B, 3, S, S] with S a multiple of 16, to logits [B, 19, S, S]."""
        skips = []
        for encode in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = encode(x)
            skips.append(x)
            x = self.pool(x)
        x = self.center(x)
        for join in (self.up_concat4, self.up_concat3, self.up_concat2, self.up_concat1):
            x = join(skips.pop(), x)
        return self.final(x)

    @torch.inference_mode()
    def parse(self, image: Tensor) -> Tensor:
        """Return the class of every pixel, uint8 [B, 512, 512], of images uint8 [B, 3, S, S] of any S.

        Images are resized by nearest-neighbor interpolation, as in the authors' script.
        """
        check_images(image)
        resized = interpolate(images.to_float(image), (self.image_size, self.image_size), mode="nearest-exact")
        return self(resized).argmax(dim=1).to(torch.uint8)


def load_celebamask_parser(path: Path | None = None) -> CelebAMaskParser:
    """Build the parser from the user's weights.

    Raises:
        UserError: if the file holds another network.
    """
    path = path or weights.require("celebamask_parser")
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {name.removeprefix("module."): value for name, value in state.items()}  # saved by DataParallel
    parser = CelebAMaskParser()
    try:
        parser.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path} is not the parser of CelebAMask-HQ: {error}") from error
    return parser
