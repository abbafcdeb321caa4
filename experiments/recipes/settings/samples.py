"""Sample runs below paper: fewer images, by DDIM in fewer steps."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FewerImages:
    """What a profile makes smaller in every sample run."""

    num_images: int
    """At most."""
    num_steps: int
    """Steps of DDIM, whatever the published sampler is."""
    shard_size: int | None = None
    """Images per file and per batch; None keeps the run's."""


MINI_IMAGES = FewerImages(num_images=256, num_steps=25)
SMOKE_IMAGES = FewerImages(num_images=8, num_steps=2, shard_size=4)
