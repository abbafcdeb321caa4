"""Settings of Unite and Conquer (CVPR 2023, Sec. 4.1 and supplement 7.3, 7.5): as published, and reduced.

Choices that the paper leaves open follow the released code (see PITFALLS.md).
"""

from dataclasses import dataclass, replace

from experiments.recipes.settings.samples import MINI_IMAGES, SMOKE_IMAGES, FewerImages
from experiments.recipes.settings.training import SHORT_LOSS, Loss, Training, short_training
from experiments.runs import TrainerConfig
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.networks.presets import mini_unet, unite_and_conquer_sketch
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig

CELEBA: str = "celebamask_hq"
FFHQ: str = "ffhq"


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Experts, their data and their samples."""

    image_size: int
    """Height and width of a face in pixels."""
    second_domain: str
    """Data set of the face map, in addition to CelebA-HQ."""
    text_domain: str
    """Data set of the text expert."""
    face: str
    """Condition that gives the face without its hair."""
    network: UNetConfig
    """Network of an expert; recipes set its input channels and embedding."""
    embedding_dim: int
    """Width of a text's embedding."""
    rgb_maps: bool
    """Whether one-channel maps are repeated to three channels, as in the released code."""
    projected_channels: int | None
    """Number of channels to which several maps of one model are projected; None concatenates them unchanged."""
    loss: Loss
    training: Training
    """Training of one expert."""
    samples: FewerImages | None
    """Reduction of the samples. None: 3,000 images, deterministic DDIM with 100 steps."""
    released: bool
    """Whether the authors' checkpoints take the place of trained models."""
    published_metrics: bool
    """Whether to measure with the published networks, or with stand-ins that need no download."""


PAPER = Settings(
    image_size=256,
    second_domain=FFHQ,
    text_domain=FFHQ,
    face="skin",
    network=unite_and_conquer_sketch(),
    embedding_dim=512,
    rgb_maps=True,
    projected_channels=3,
    loss=Loss(schedule="linear", prediction="eps", learned_variance=True),
    training=Training(
        batch_size=8,
        trainer=TrainerConfig(max_steps=100_000, precision="16-mixed", ema_decay=0.9999, checkpoint_every=2000),
        optimizer=OptimizerConfig(lr=1e-5),
    ),
    samples=None,
    released=False,
    published_metrics=True,
)
RELEASED = replace(PAPER, released=True)
MINI = replace(
    PAPER,
    image_size=32,
    text_domain=CELEBA,  # the rendered FFHQ has no captions to train an embedder on
    face="face_parts",  # a rendered hair map nearly determines the skin's outline: a skin map would make uniting too easy
    network=mini_unet(3, 3),
    embedding_dim=64,
    rgb_maps=False,
    projected_channels=None,
    loss=SHORT_LOSS,
    training=short_training(600),
    samples=MINI_IMAGES,
    published_metrics=False,
)
SMOKE = replace(
    MINI,
    image_size=16,
    second_domain=CELEBA,  # so that it runs with only that folder
    training=short_training(6, batch_size=4, checkpoint_every=2),
    samples=SMOKE_IMAGES,
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": RELEASED, "mini": MINI, "smoke": SMOKE}[profile]
