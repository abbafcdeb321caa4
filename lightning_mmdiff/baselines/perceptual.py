"""Perceptual loss (Johnson et al. 2016) as in pix2pixHD and SPADE: distances of frozen features at five resolutions.

At paper the network is VGG19, its images in [-1, 1] without ImageNet's normalization, as released. Without a download, it is
EfficientNet-Lite0, whose weights come in a Python package; it also measures the FD of those profiles, so a baseline trained
with it is at an advantage there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.models import vgg19

from lightning_mmdiff import weights
from lightning_mmdiff.metrics.networks import EffNetLite0

PerceptualNetwork = Literal["vgg19", "effnet-lite0"]
VGG_STAGES = (0, 2, 7, 12, 21, 30)
"""Where the layers end whose features are compared: relu1_1, 2_1, 3_1, 4_1 and 5_1."""
WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weight of each resolution, fine to coarse."""


class Perceptual(nn.Module):
    """Frozen feature network with the weighted L1 distance of its features.

    Args:
        network: which network.
        stage_weights: weight of each of the five resolutions, fine to coarse.
        enlargement: factor by which images are enlarged first. The network halves them at once, so it hardly sees a pattern
            of two pixels.
    """

    def __init__(
        self, network: PerceptualNetwork, stage_weights: Sequence[float] = WEIGHTS, *, enlargement: int = 1
    ) -> None:
        super().__init__()
        self.enlargement = enlargement
        self.stages = _vgg19_stages() if network == "vgg19" else _effnet_stages()
        self.stage_weights = tuple(stage_weights)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Perceptual":
        """Stay in evaluation mode."""
        del mode
        return super().train(False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the distance of images [B, 3, S, S] in [-1, 1], a scalar; ``real`` gets no gradient."""
        with torch.no_grad():
            targets = self._features(real)
        distances = [F.l1_loss(a, b) for a, b in zip(self._features(fake), targets)]
        return torch.stack([w * d for w, d in zip(self.stage_weights, distances)]).sum()

    def _features(self, hidden: Tensor) -> list[Tensor]:
        features = []
        if self.enlargement > 1:
            hidden = F.interpolate(hidden, scale_factor=self.enlargement, mode="bilinear", align_corners=False)
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        return features


def _vgg19_stages(path: Path | None = None) -> nn.ModuleList:
    features = vgg19(init_weights=False).features
    state = torch.load(path or weights.require("vgg19"), map_location="cpu", weights_only=True)
    convolutions = {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
    features.load_state_dict(convolutions, strict=True)
    layers = list(features)
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in zip(VGG_STAGES, VGG_STAGES[1:]))


def _effnet_stages() -> nn.ModuleList:
    """Return the network's five resolutions; images keep their size, and 127.5 x is within 0.5 of its training range."""
    evaluator = EffNetLite0()
    network = evaluator.network
    blocks, start, stages = list(network.blocks), 0, []
    for end in evaluator.stage_ends:
        stages.append(nn.Sequential(*blocks[start : end + 1]))
        start = end + 1
    stages[0] = nn.Sequential(network.conv_stem, network.bn1, stages[0])
    return nn.ModuleList(stages)
