"""Parts of the settings of all papers: a loss, the length of a training, and the short training of small networks."""

from dataclasses import dataclass

from experiments.runs import TrainerConfig
from lightning_mmdiff.configs import Config
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import ScheduleName


@dataclass(frozen=True, kw_only=True)
class Loss(Config):
    """Noise schedule and loss of a diffusion model; field names follow the model's config."""

    schedule: ScheduleName
    prediction: Prediction
    learned_variance: bool = False
    min_snr: float | None = None


@dataclass(frozen=True, kw_only=True)
class Length(Config):
    """Training length of a model whose config has its own optimizer."""

    batch_size: int
    """Number of images per optimizer step, over all devices."""
    trainer: TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Training(Length):
    """Training length and optimizer of a model."""

    optimizer: OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining(Length):
    """An autoencoder and its training length."""

    model: AutoencoderConfig


SHORT_LOSS = Loss(schedule="cosine", prediction="z0", min_snr=5.0)
"""Loss for short budgets, which predicts the clean image: 24 channels can represent it, but not noise."""


def short_training(
    steps: int, *, batch_size: int = 32, checkpoint_every: int = 100, warmup_steps: int = 50
) -> Training:
    """Return the training of a small network, whose learning rate falls to zero at the last step.

    Args:
        steps: number of optimizer steps.
        batch_size: images per optimizer step.
        checkpoint_every: optimizer steps between checkpoints.
        warmup_steps: optimizer steps in which the learning rate rises.
    """
    return Training(
        batch_size=batch_size,
        trainer=TrainerConfig(
            max_steps=steps, ema_decay=0.99, gradient_clip_val=1.0, checkpoint_every=checkpoint_every
        ),
        optimizer=OptimizerConfig(lr=2.5e-3, betas=(0.9, 0.99), warmup_steps=warmup_steps, decay_steps=steps),
    )


def in_fifths(steps: int, *, batch_size: int) -> Length:
    """Return the length of a training that saves a checkpoint after each fifth."""
    return Length(batch_size=batch_size, trainer=TrainerConfig(max_steps=steps, checkpoint_every=max(2, steps // 5)))
