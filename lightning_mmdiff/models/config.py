"""The config base of trainable models: how a model is built, from which frozen helpers, and how it serves other models."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightning import LightningModule
from torch import nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.optimization import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """Base of the frozen dataclasses that configure a model.

    A subclass defines ``build(self, *, seed, ...)``; its other arguments are the roles of the frozen models it uses, among
    "embedder", "autoencoder", "decoder" and "experts". A role without a default is required.
    """

    build: ClassVar[Callable[..., LightningModule]]
    """Builds the model over its helpers, with initial weights drawn from ``seed``."""
    optimizer: OptimizerConfig
    caches_latents: ClassVar[bool] = False
    """Whether training reads the autoencoder's posteriors from a file (``models.latents``)."""
    step_work: ClassVar[float] = 1.0
    """Seconds of a training image at mini, relative to a denoiser's: a guess for the time left until one was trained."""
    helper_prefix: ClassVar[str] = ""
    """Prefix, in the model's state dict, of the weights of ``build_helper``'s module."""

    def build_helper(self, *, seed: int, **helpers: Any) -> nn.Module:
        """Build the part that other models use: the whole model, unless a subclass overrides this."""
        return self.build(seed=seed, **helpers)

    def network_for(self, conditions: tuple[str, ...]) -> Any:
        """Return the config of the network that reads ``conditions``: the model's only one, unless it has several."""
        return self.network  # type: ignore[attr-defined]

    @property
    def networks(self) -> tuple[Any, ...]:
        """Configs of the U-Nets that are trained together; none for a model of another kind."""
        return ()

    @property
    def calls_per_step(self) -> int:
        """Number of diffusion network evaluations per image and step, in sampling and in training."""
        return 1

    @property
    def frozen_calls(self) -> int:
        """Number of those that training does without a backward pass: of experts, or of its own network as an encoder."""
        return 0

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the published files (``weights.table``) needed to build the model."""
        return ()

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that training batches must contain; otherwise they would silently be null."""
        return ()

    @property
    def condition_sizes(self) -> dict[str, int]:
        """Height and width in pixels of conditions that are not of the size of the training images."""
        return {}

    @property
    def num_classes(self) -> int | None:
        """Number of classes that the condition "label" may have; None if the model takes no label."""
        return None

    @property
    def pixels(self) -> int | None:
        """Height and width of the training images; None if any size is accepted."""
        return None

    @classmethod
    def roles(cls) -> dict[str, bool]:
        """Return the roles of the model's helpers, each with whether it is required."""
        parameters = inspect.signature(cls.build).parameters.values()
        return {p.name: p.default is p.empty for p in parameters if p.name not in ("self", "seed")}
