"""What settings of all papers consist of: a loss, the length of a training, and the short training of small networks."""

from dataclasses import dataclass

from experiments.runs import TrainerConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import ScheduleName


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Noise schedule and loss of a diffusion model; the names are those of the model's config."""

    schedule: ScheduleName
    prediction: Prediction
    learned_variance: bool = False
    min_snr: float | None = None


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a model is trained whose config has an optimizer of its own."""

    batch_size: int
    """Images per optimizer step, over all devices."""
    trainer: TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Training(Length):
    """How long a model is trained, and with which optimizer."""

    optimizer: OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining(Length):
    """An autoencoder and how long it is trained."""

    model: AutoencoderConfig


SHORT_LOSS = Loss(schedule="cosine", prediction="z0", min_snr=5.0)
"""On short budgets the clean image is predicted: in 24 channels it fits, noise does not."""


def short_training(
    steps: int, *, batch_size: int = 32, checkpoint_every: int = 100, warmup_steps: int = 50
) -> Training:
    """Return the training of a small network; its learning rate falls to zero at the last of ``steps`` optimizer steps."""
    return Training(
        batch_size=batch_size,
        trainer=TrainerConfig(
            max_steps=steps, ema_decay=0.99, gradient_clip_val=1.0, checkpoint_every=checkpoint_every
        ),
        optimizer=OptimizerConfig(lr=2.5e-3, betas=(0.9, 0.99), warmup_steps=warmup_steps, decay_steps=steps),
    )


def in_fifths(steps: int, *, batch_size: int) -> Length:
    """Return the length of a training that stores a checkpoint after each fifth."""
    return Length(batch_size=batch_size, trainer=TrainerConfig(max_steps=steps, checkpoint_every=max(2, steps // 5)))
