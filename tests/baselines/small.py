"""Baselines a few thousand parameters large."""

from typing import Any

from lightning_mmdiff.baselines.adversarial import AdversarialConfig
from lightning_mmdiff.baselines.cyclegan import CycleGANConfig
from lightning_mmdiff.baselines.inade import InadeConfig
from lightning_mmdiff.baselines.oasis import OasisConfig
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.baselines.spade import SpadeConfig

MAPS = (("skin", 1), ("hair", 1))
SHARED: dict[str, Any] = {"image_size": 16, "width": 4}
LABELS: dict[str, Any] = {**SHARED, "labels": MAPS}
SPADE: dict[str, Any] = {
    **LABELS, "multipliers": (4, 2, 1), "label_width": 8, "discriminator_width": 4, "perceptual": None,
}  # fmt: skip
CONFIGS: dict[str, AdversarialConfig] = {
    "spade": SpadeConfig(**SPADE),
    "inade": InadeConfig(**SPADE | {"image_size": 32}, latent_dim=8, noise_dim=4, encoder_width=4),
    "oasis": OasisConfig(
        **LABELS, multipliers=(4, 2, 1), label_width=8, noise_channels=4, discriminator_widths=(4, 8, 8),
        last_width=4, average_decay=0.9, statistics_batches=2,
    ),
    "pix2pixhd": Pix2PixHDConfig(**LABELS, num_downs=2, num_blocks=1, discriminator_width=4, perceptual=None),
    "pix2pix": Pix2PixConfig(image_size=32, width=4, num_downs=5, discriminator_width=4, source="photo"),
    "cyclegan": CycleGANConfig(
        image_size=32, width=4, num_downs=1, num_blocks=1, discriminator_width=4, pool_size=6, source="photo"
    ),
}  # fmt: skip
