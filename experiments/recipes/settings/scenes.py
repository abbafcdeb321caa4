"""Settings of Unite and Conquer's scenes (CVPR 2023, Sec. 4.2): two models that were trained apart, on texts and on classes."""

from dataclasses import dataclass, replace

from experiments.recipes.settings.samples import MINI_IMAGES, SMOKE_IMAGES, FewerImages
from experiments.recipes.settings.training import SHORT_LOSS, Length, Loss, Training, in_fifths, short_training
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.networks.unet import UNetConfig


@dataclass(frozen=True, kw_only=True)
class Judges(Config):
    """Training lengths of the models that measure, and of the text encoder."""

    texts: Length
    """Length for the image-text models: the one that conditions and the one that measures."""
    classes: Training
    """Length for the classifiers of things and scenes."""


@dataclass(frozen=True, kw_only=True)
class Trained(Config):
    """Experts and judges of small rendered scenes."""

    network: UNetConfig
    """Network of both experts; recipes set the embedding and the classes."""
    embedding_dim: int
    """Width of a text's embedding."""
    loss: Loss
    text_training: Training
    class_training: Training
    judges: Judges


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Models and samples of scenes."""

    image_size: int
    """Height and width of a sample in pixels."""
    trained: Trained | None
    """Models that are trained. None: GLIDE and ADM as they were released, and published networks that measure."""
    samples: FewerImages | None
    """Reduction of the samples. None: 500 images, deterministic DDIM with 100 steps."""
    released: bool = False
    """Whether numbers stand beside the paper's, with what could explain a difference."""


def _classes(steps: int, batch_size: int) -> Training:
    training = short_training(steps, batch_size=batch_size, checkpoint_every=max(2, steps // 5))
    return replace(
        training, optimizer=replace(training.optimizer, lr=2e-3, weight_decay=0.05, warmup_steps=min(50, steps))
    )


PAPER = Settings(image_size=256, trained=None, samples=None)
RELEASED = replace(PAPER, released=True)
MINI = Settings(
    image_size=32,
    trained=Trained(
        network=mini_unet(3, 3),
        embedding_dim=64,
        loss=SHORT_LOSS,
        text_training=short_training(1500),
        class_training=short_training(2000),
        judges=Judges(texts=in_fifths(400, batch_size=128), classes=_classes(500, 64)),
    ),
    samples=MINI_IMAGES,
)
SMOKE = Settings(
    image_size=16,
    trained=Trained(
        network=mini_unet(3, 3),
        embedding_dim=64,
        loss=SHORT_LOSS,
        text_training=short_training(6, batch_size=4, checkpoint_every=2),
        class_training=short_training(6, batch_size=4, checkpoint_every=2),
        judges=Judges(texts=in_fifths(4, batch_size=8), classes=_classes(4, 4)),
    ),
    samples=SMOKE_IMAGES,
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": RELEASED, "mini": MINI, "smoke": SMOKE}[profile]
