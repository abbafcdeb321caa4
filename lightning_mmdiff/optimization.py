"""AdamW with optional warm-up and linear decay: the optimizer of every model trained here."""

from collections.abc import Iterable
from dataclasses import dataclass

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Config):
    """AdamW and its learning-rate curve."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup_steps: int = 0
    """Number of optimizer steps of linear warm-up."""
    decay_steps: int | None = None
    """Optimizer step at which the rate, falling linearly, reaches zero; None keeps it constant."""
    constant_steps: int = 0
    """Optimizer step at which the rate begins to fall."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("lr")
        self._decays("betas")
        self._at_least(0, "weight_decay", "warmup_steps", "constant_steps")
        self._at_least(1, "decay_steps")
        if self.decay_steps is not None and self.constant_steps >= self.decay_steps:
            raise UserError(
                f"The rate cannot begin to fall at step {self.constant_steps} and be zero at {self.decay_steps}."
            )


def rate(step: int, config: OptimizerConfig) -> float:
    """Return the learning-rate factor in [0, 1] at optimizer step ``step`` (counted from 0)."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.decay_steps is None:
        return warmup
    start = config.constant_steps
    return warmup * min(1.0, max(1 - (step - start) / (config.decay_steps - start), 0.0))


def adamw(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> OptimizerLRSchedulerConfig:
    """Return the optimizer and its per-step schedule, as Lightning's ``configure_optimizers`` returns them."""
    optimizer = AdamW(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    scheduler = LambdaLR(optimizer, lambda step: rate(step, config))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
