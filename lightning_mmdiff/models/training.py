"""Common training code of all models with a single loss: training step, randomness and optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, ClassVar, Self

import lightning
import torch
from torch import Tensor

from lightning_mmdiff import seeding
from lightning_mmdiff.configs import as_json, from_json
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.optimization import OptimizerConfig, adamw
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.steps import steps_done


class SeededTraining(lightning.LightningModule, ABC):
    """Base of models that define ``seed`` and ``loss(batch, generator)``; row r of step k draws only from (seed, k, r)."""

    seed: int
    optimizer_config: OptimizerConfig
    unsaved: ClassVar[tuple[str, ...]]
    """Names of the frozen helpers (experts, autoencoder, embedder), which are never stored."""

    @property
    def step(self) -> int:
        """Number of completed training steps, in batches; 0 without a trainer."""
        return steps_done(self.trainer) if self._trainer is not None else 0

    @property
    def processes(self) -> int:
        """Number of processes that share a training batch; 1 without a trainer."""
        return self.trainer.world_size if self._trainer is not None else 1

    def draws(self, step: int) -> torch.Generator:
        """Return the source of this process's share of the randomness of a training step."""
        return seeding.step_generator(self.seed, step, self.global_rank, self.processes)

    @abstractmethod
    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the scalar loss of ``batch``; all randomness comes from ``generator``."""

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss as "loss" and, if it is a sum of several, each of these by its name: this is what is trained on.

        A model of one loss writes ``loss`` alone; one of several writes this, and ``loss`` returns its "loss".
        """
        return {"loss": self.loss(batch, generator)}

    def held_out(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``losses`` of images that are not trained on; change nothing in the model."""
        return self.losses(batch, generator)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Return the loss of one batch, checked and logged with its parts."""
        step = self.step
        losses = self.losses(batch, self.draws(step))
        loss = losses.pop("loss")
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss is {loss.item()} at step {step}; nothing was saved "
                "since the last checkpoint. Lower the learning rate, or train in precision 32-true."
            )
        self.log("loss", loss, prog_bar=True, on_step=True)
        self.log_dict(losses, on_step=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Return AdamW over the trainable parameters."""
        return adamw([p for p in self.parameters() if p.requires_grad], self.optimizer_config)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remove the frozen helpers from the checkpoint; add the config, from which ``load_from_checkpoint`` builds the model."""
        checkpoint["config"], checkpoint["seed"] = as_json(getattr(self, "config", None)), self.seed
        checkpoint["state_dict"] = checkpoints.saved(self, checkpoint["state_dict"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the helpers' current weights, so that loading stays strict."""
        own = self.state_dict()
        helpers = {k: v for k, v in own.items() if k not in checkpoints.saved(self, own)}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **helpers}

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, **helpers: Any) -> Self:  # type: ignore[override]
        """Return the model of a checkpoint on the CPU, with the weights of its last step, not their running average.

        Args:
            checkpoint_path: a Lightning checkpoint that a run of this package wrote.
            helpers: frozen models that it is built on, by role, such as ``autoencoder=``.

        Raises:
            UserError: if the checkpoint has no config, or that of another model.
        """
        stored = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        if stored.get("config") is None:
            raise UserError(f"{checkpoint_path} has no config: it was written by an earlier version, or elsewhere.")
        module = from_json(ModelConfig, stored["config"]).build(seed=stored["seed"], **helpers)
        if not isinstance(module, cls):
            raise UserError(f"{checkpoint_path} is a {type(module).__name__}, not a {cls.__name__}.")
        module.on_load_checkpoint(stored)
        module.load_state_dict(stored["state_dict"])
        return module


def summed(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the sum of the parts of a loss as "loss", with the parts if there are several (``SeededTraining.losses``)."""
    loss = reduce(add, parts.values())
    return {"loss": loss, **parts} if len(parts) > 1 else {"loss": loss}


class SupervisedModel(SeededTraining):
    """A model trained on ``loss`` with AdamW over all its trainable parameters."""

    def __init__(self, optimizer: OptimizerConfig, *, seed: int) -> None:
        super().__init__()
        self.optimizer_config = optimizer
        self.seed = seed
