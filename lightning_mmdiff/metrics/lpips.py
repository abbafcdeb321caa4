"""Perceptual distance of image i to reference i (lower is closer): LPIPS, and a stand-in that works offline.

"LPIPS": Zhang et al. 2018, Eq. 1, version 0.1, AlexNet trunk, at the images' own size (the value depends on it).
"PD-EffNetLite0": the same formula without learned channel weights, on the five stages of EfficientNet-Lite0,
whose input is 224 x 224, averaged over stages. It lies in [0, 4] and is not comparable with LPIPS.
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
from lightning_mmdiff.metrics.stages import perceptual_distance, unit

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
    """The distance "PD-EffNetLite0" (``EffNetLite0.outputs`` computes it in the pass of the other features)."""

    def __init__(self, network: EffNetLite0 | None = None, *, device: str = "cpu") -> None:
        self.network = (network or EffNetLite0()).to(device)
        self.device = device

    def __call__(self, images: Tensor, references: Tensor) -> NDArray[np.float64]:
        """Return the distance of each image to its reference, [N]; both uint8 [N, 3, H, W]."""
        return per_image(self._distance, images, references, device=self.device)

    def _distance(self, images: Tensor, references: Tensor) -> Tensor:
        x, y = self.network.stages(images), self.network.stages(references)
        return perceptual_distance(x, [unit(stage) for stage in y])
