"""What the config of a trainable model knows: how the model is built, from which frozen helpers, and how it serves others."""

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

    A subclass defines ``build(self, *, seed, ...)``; its other arguments are the roles of the frozen models that it takes,
    among "embedder", "autoencoder" and "experts". A role without a default must be filled.
    """

    build: ClassVar[Callable[..., LightningModule]]
    """Model with fresh weights drawn from ``seed``, over its helpers."""
    optimizer: OptimizerConfig
    caches_latents: ClassVar[bool] = False
    """Whether training reads the posteriors of the autoencoder from a file (``models.latents``)."""
    helper_prefix: ClassVar[str] = ""
    """What the names of the weights begin with that ``build_helper`` has."""

    def build_helper(self, *, seed: int, **helpers: Any) -> nn.Module:
        """The part of the model that others need of it: all, unless a subclass says otherwise."""
        return self.build(seed=seed, **helpers)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the published files (``weights.table``) that the model is built from."""
        return ()

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that training batches must carry: they would be null otherwise, without a word."""
        return ()

    @property
    def pixels(self) -> int | None:
        """Height and width of the images that it is trained on; None where any will do."""
        return None

    @classmethod
    def roles(cls) -> dict[str, bool]:
        """Roles of the helpers that the model takes, each with whether it must be filled."""
        parameters = inspect.signature(cls.build).parameters.values()
        return {p.name: p.default is p.empty for p in parameters if p.name not in ("self", "seed")}
