"""Settings of the lecture's ways to condition (Bereyhi 2025), which prints none: PAPER is only longer and wider."""

from dataclasses import dataclass, replace

from experiments.recipes.settings.samples import MINI_IMAGES, FewerImages
from experiments.spec import Profile
from lightning_mmdiff.configs import Config


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Trainings on digits of 8 x 8 pixels."""

    budgets: tuple[int, ...]
    """Optimizer steps of a row, all its models together; each budget is trained separately."""
    batch_size: int
    """Number of images per optimizer step."""
    channels: int
    """Number of channels of the U-Net; a third as many give about a tenth of the parameters."""
    lr: float
    """Peak learning rate."""
    adversarial_lr: float
    """Learning rate of both networks of a GAN, which stays."""
    checkpoint_every: int
    """Number of optimizer steps between checkpoints."""
    evaluator_steps: int
    """Number of optimizer steps of the classifier that measures."""
    samples: FewerImages | None
    """Reduction of the samples. None: 2,970 images, DDIM with 50 steps."""


PAPER = Settings(
    budgets=(20_000, 5_000),
    batch_size=64,
    channels=48,
    lr=1e-3,
    adversarial_lr=2e-4,
    checkpoint_every=200,
    evaluator_steps=2000,
    samples=None,
)
MINI = replace(
    PAPER,
    budgets=(1000, 250),
    batch_size=32,
    channels=24,
    lr=2.5e-3,
    adversarial_lr=1e-3,
    evaluator_steps=500,
    samples=replace(MINI_IMAGES, num_images=297),  # each test digit once
)
SMOKE = replace(
    MINI,
    budgets=(20, 10),
    batch_size=4,
    checkpoint_every=2,
    evaluator_steps=4,
    samples=FewerImages(num_images=30, num_steps=2, shard_size=15),
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": PAPER, "mini": MINI, "smoke": SMOKE}[profile]
