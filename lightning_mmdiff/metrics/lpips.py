"""Perceptual distance of image i to reference i (lower is closer): LPIPS, and a stand-in that works offline.

"LPIPS": Zhang et al. 2018, Eq. 1, version 0.1, AlexNet trunk, at the images' own size (the value depends on it).
"PD-EffNetLite0": the same formula without learned channel weights, on EfficientNet-Lite0's five stages at 112 x 112,
averaged over stages. It lies in [0, 4] and is not comparable with LPIPS.
"""

import warnings
from pathlib import Path

import lpips
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.images import to_float
from lightning_mmdiff.metrics.images import per_image
from lightning_mmdiff.metrics.networks import EffNetLite0

SMALLEST = 32  # pixels: below this, AlexNet's and VGG's last stages are empty


class LPIPS:
    """LPIPS v0.1 with an ImageNet trunk from disk and the learned heads of the ``lpips`` package."""

    def __init__(self, trunk: Path | None = None, *, device: str = "cpu") -> None:
        """Load the AlexNet ``trunk`` (a torchvision state dict; default ``weights.require("alexnet")``)."""
        path = trunk or weights.require("alexnet")
        with warnings.catch_warnings():  # lpips uses torchvision's old interface
            warnings.simplefilter("ignore")
            self.network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
        state = torch.load(path, map_location="cpu", weights_only=True)
        names = self.network.net.state_dict()  # "slice2.3.weight" is torchvision's "features.3.weight"
        features = {name: "features." + name.split(".", 1)[1] for name in names}
        if missing := [old for old in features.values() if old not in state]:
            raise UserError(f"{path} is not torchvision's AlexNet: it has no {missing[0]}, found {list(state)[:3]}.")
        self.network.net.load_state_dict({name: state[old] for name, old in features.items()}, strict=True)
        self.network.requires_grad_(False).eval().to(device)
        self.device = device

    def __call__(self, images: Tensor, references: Tensor) -> NDArray[np.float64]:
        """Return the distance of each image to its reference, [N]; both uint8 [N, 3, H, W]."""
        return per_image(self._distance, images, references, smallest=SMALLEST, device=self.device)

    def _distance(self, images: Tensor, references: Tensor) -> Tensor:
        return self.network(to_float(images), to_float(references)).flatten()


class PerceptualDistance:
    """The distance "PD-EffNetLite0"."""

    image_size = 112  # pixels

    def __init__(self, network: EffNetLite0 | None = None, *, device: str = "cpu") -> None:
        self.network = (network or EffNetLite0()).to(device)
        self.device = device

    def __call__(self, images: Tensor, references: Tensor) -> NDArray[np.float64]:
        """Return the distance of each image to its reference, [N]; both uint8 [N, 3, H, W]."""
        return per_image(self._distance, images, references, device=self.device)

    def _distance(self, images: Tensor, references: Tensor) -> Tensor:
        x, y = self.network.stages(images), self.network.stages(references)
        return torch.stack([stage_distance(a, b) for a, b in zip(x, y)]).mean(dim=0)


def stage_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean over pixels of |x / |x| - y / |y||^2, norms over channels, [B] (Zhang et al., Eq. 1 with w = 1).

    Args:
        x: features of the images at one stage, [B, C, H, W].
        y: features of the references, [B, C, H, W].
    """
    x, y = (z / (z.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for z in (x, y))
    return (x - y).square().sum(dim=1).mean(dim=(1, 2))
