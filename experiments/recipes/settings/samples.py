"""Sample runs below paper: fewer images, by DDIM in fewer steps."""

from dataclasses import dataclass

from lightning_mmdiff.configs import Config


@dataclass(frozen=True, kw_only=True)
class FewerImages(Config):
    """Reductions of a profile in every sample run."""

    num_images: int
    """Maximum number of images."""
    num_steps: int
    """Number of DDIM steps, regardless of the published sampler."""
    shard_size: int | None = None
    """Number of images per file and per batch; None keeps the run's."""


MINI_IMAGES = FewerImages(num_images=256, num_steps=25)
SMOKE_IMAGES = FewerImages(num_images=8, num_steps=2, shard_size=4)
