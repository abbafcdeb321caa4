"""Baselines a few thousand parameters large."""

from typing import Any

from torch import nn

from lightning_mmdiff.baselines.adversarial import AdversarialConfig
from lightning_mmdiff.baselines.cyclegan import CycleGANConfig
from lightning_mmdiff.baselines.inade import InadeConfig
from lightning_mmdiff.baselines.oasis import OasisConfig
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig
from lightning_mmdiff.baselines.spade import SpadeConfig
from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config
from lightning_mmdiff.source import ModelSource

MAPS = (("skin", 1), ("hair", 1))
SHARED: dict[str, Any] = {"image_size": 16, "width": 4}
LABELS: dict[str, Any] = {**SHARED, "labels": MAPS}
SPADE: dict[str, Any] = {
    **LABELS, "multipliers": (4, 2, 1), "label_width": 8, "discriminator_width": 4, "perceptual": None,
}  # fmt: skip
STYLEGAN2 = StyleGAN2Config(image_size=16, channels=(8, 8, 8), style_dim=8, mapping_layers=2, r1_every=2)
PYRAMID = PyramidConfig(first_width=4, widths=(8, 8, 8), units=(1, 1, 1), squeeze=4, coarse=2, middle=2)
SOURCE = ModelSource()
"""In place of a training run, for methods that are given their models."""
CONFIGS: dict[str, AdversarialConfig] = {
    "spade": SpadeConfig(**SPADE),
    "inade": InadeConfig(**SPADE | {"image_size": 32}, latent_dim=8, noise_dim=4, encoder_width=4),
    "oasis": OasisConfig(
        **LABELS, multipliers=(4, 2, 1), label_width=8, noise_channels=4, discriminator_widths=(4, 8, 8),
        last_width=4, average_decay=0.9, statistics_batches=2,
    ),
    "pix2pixhd": Pix2PixHDConfig(**LABELS, num_downs=2, num_blocks=1, discriminator_width=4, perceptual=None),
    "pix2pix": Pix2PixConfig(image_size=32, width=4, num_downs=5, discriminator_width=4, source="photo"),
    "stylegan2": STYLEGAN2,
    "cyclegan": CycleGANConfig(
        image_size=32, width=4, num_downs=1, num_blocks=1, discriminator_width=4, pool_size=6, source="photo"
    ),
}  # fmt: skip


def millions(module: nn.Module) -> float:
    """Return the number of parameters in millions, with two digits."""
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)
