"""Settings of MT-Diffusion (ICLR 2024, Sec. 4 and App. E): as published, and reduced.

The paper does not give the number of optimizer steps (except "1M iteration" for Table 2), the guidance scale and the length of
any fine-tuning. For CIFAR-10 it gives nothing: PAPER has Improved DDPM's settings (Nichol & Dhariwal 2021, App. B), but with
T = 1,000 steps, not 4,000 (App. C: 1,000 if not stated).
"""

from dataclasses import dataclass, replace
from typing import Literal

from experiments.recipes.settings.samples import MINI_IMAGES, SMOKE_IMAGES, FewerImages
from experiments.recipes.settings.training import SHORT_LOSS, Loss, Training, short_training
from experiments.runs import TrainerConfig
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.networks.presets import (
    adm_64,
    adm_128,
    adm_classifier,
    improved_ddpm,
    mini_classifier,
    mini_unet,
)
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig

Size = Literal[64, 128]
"""Image size in pixels at paper: 64 for Tables 5 and 6, 128 for Table 7."""
GPUS = 8
"""Number of GPUs in the paper (App. E). Its batch sizes are per GPU, as in the code it names: 8 cannot share 75."""
LONG = TrainerConfig(
    max_steps=1_000_000, precision="16-mixed", devices=GPUS, ema_decay=0.9999, checkpoint_every=2000
)  # fmt: skip
"""Training of a model from scratch at paper."""


@dataclass(frozen=True, kw_only=True)
class Objects(Config):
    """ImageNet at one size and the networks for it; recipes set the input channels and classes of ``network``."""

    image_size: int
    """Height and width in pixels."""
    network: UNetConfig
    """Network of diffusion models."""
    classifier: ClassifierConfig
    """Classifier of noisy images, and the head of MT-Diffusion-E."""
    loss: Loss
    """Loss that all rows share ("exactly the same hyperparameters")."""


@dataclass(frozen=True, kw_only=True)
class Tuning(Config):
    """Further training of a model (rows "*" and "f")."""

    steps: int
    """Number of optimizer steps."""
    lr: float | None
    """Learning rate; None keeps that of the first training."""
    falls: bool
    """Whether the learning rate falls to zero at the last step."""


@dataclass(frozen=True, kw_only=True)
class Photographs(Config):
    """CIFAR-10 (App. E.5)."""

    image_size: int
    """Height and width in pixels."""
    patch: int
    """Side of a hidden patch in pixels: a quarter of the image, like 16 of 64."""
    network: UNetConfig
    """Network of diffusion models; recipes set its input channels."""
    training: Training


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Diffusion of pixels, classifiers, and settings shared by all samples."""

    objects_64: Objects
    """Objects of Tables 5 and 6 and App. E.5."""
    objects_128: Objects
    """Objects of Table 7."""
    num_classes: int
    """Number of object classes."""
    patch: int
    """Side of a hidden patch in pixels: 16 of 64, and the same share of smaller images."""
    few_patches: int
    """Number of hidden patches that cover about a tenth of an image of Table 7."""
    training: Training
    """Training of a diffusion model."""
    label_batch_size: int
    """Number of images per optimizer step, over all devices, when classes are learned too (App. E.3)."""
    classifier: Training
    """Training of the noisy classifier and of the one of clean objects."""
    tuning: Tuning
    curve: tuple[int, ...]
    """Optimizer steps of classification fine-tuning after which it is evaluated (Fig. 6)."""
    guidance_scale: float
    """Scale of classifier guidance in Table 7."""
    caption_dim: int
    """Width of a caption's embedding."""
    photographs: Photographs
    samples: FewerImages | None
    """Reduction of the samples. None: 5,000 or more images in 250 respaced ancestral steps."""
    released: bool
    """Whether the authors' checkpoints take the place of trained models."""
    published_metrics: bool
    """Whether to measure with the published networks, or with stand-ins, one of which is trained."""
    few_objects: bool
    """Whether the objects are so few that a model could learn them by heart; ImageNet's 1.28 million are not."""

    def objects(self, size: Size) -> Objects:
        """Return the objects that have ``size`` pixels at paper."""
        return self.objects_64 if size == 64 else self.objects_128


PAPER = Settings(
    objects_64=Objects(
        image_size=64,
        network=adm_64(),
        classifier=adm_classifier(64),
        loss=Loss(schedule="cosine", prediction="eps", learned_variance=True),
    ),
    objects_128=Objects(
        image_size=128,
        network=adm_128(),
        classifier=adm_classifier(128),
        loss=Loss(schedule="linear", prediction="eps", learned_variance=True),
    ),
    num_classes=1000,
    patch=16,
    few_patches=8,
    training=Training(batch_size=GPUS * 80, trainer=LONG, optimizer=OptimizerConfig(lr=7e-5)),
    label_batch_size=GPUS * 75,
    classifier=Training(
        batch_size=256,
        trainer=TrainerConfig(max_steps=300_000, precision="16-mixed", devices=GPUS, checkpoint_every=2000),
        optimizer=OptimizerConfig(lr=3e-4, weight_decay=0.05, decay_steps=300_000),
    ),
    tuning=Tuning(steps=100_000, lr=None, falls=False),  # the paper gives none
    curve=(0, 10_000, 20_000, 50_000, 100_000),
    guidance_scale=0.5,  # ADM's for 128 pixels; the paper gives none
    caption_dim=512,
    photographs=Photographs(
        image_size=32,
        patch=8,
        network=improved_ddpm(),
        training=Training(
            batch_size=128, trainer=replace(LONG, max_steps=500_000, devices=1), optimizer=OptimizerConfig(lr=1e-4)
        ),
    ),
    samples=None,
    released=False,
    published_metrics=True,
    few_objects=False,
)

RELEASED = replace(PAPER, released=True)


def _classifier(steps: int, *, batch_size: int, checkpoint_every: int, warmup_steps: int) -> Training:
    """Return the training of the small classifier; its learning rate falls to zero at the last of ``steps`` optimizer steps."""
    return Training(
        batch_size=batch_size,
        trainer=TrainerConfig(max_steps=steps, checkpoint_every=checkpoint_every, gradient_clip_val=1.0),
        optimizer=OptimizerConfig(
            lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05, warmup_steps=warmup_steps, decay_steps=steps
        ),
    )


SMALL_OBJECTS = Objects(
    image_size=16,  # in equal time, small images make the better experiment
    network=mini_unet(3, 3),
    classifier=mini_classifier(10, image_size=16),
    loss=SHORT_LOSS,
)
MINI = replace(
    PAPER,
    objects_64=SMALL_OBJECTS,
    objects_128=SMALL_OBJECTS,
    num_classes=10,
    patch=4,
    few_patches=2,
    training=short_training(1200),
    label_batch_size=32,
    classifier=_classifier(600, batch_size=64, checkpoint_every=100, warmup_steps=50),
    tuning=Tuning(steps=360, lr=6.25e-4, falls=True),
    curve=(0, 50, 100, 200),
    guidance_scale=1.0,
    caption_dim=64,
    photographs=Photographs(image_size=32, patch=8, network=mini_unet(3, 3), training=short_training(500)),
    samples=MINI_IMAGES,
    published_metrics=False,
    few_objects=True,
)
SMOKE_TRAINING = short_training(6, batch_size=4, checkpoint_every=2, warmup_steps=6)
SMOKE = replace(
    MINI,
    training=SMOKE_TRAINING,
    label_batch_size=4,
    classifier=_classifier(4, batch_size=4, checkpoint_every=2, warmup_steps=4),
    tuning=replace(MINI.tuning, steps=2),
    curve=(0, 2),
    photographs=Photographs(image_size=16, patch=4, network=mini_unet(3, 3), training=SMOKE_TRAINING),
    samples=SMOKE_IMAGES,
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": RELEASED, "mini": MINI, "smoke": SMOKE}[profile]
