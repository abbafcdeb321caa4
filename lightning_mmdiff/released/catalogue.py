"""The released models that a run can name: which files they are, and how they are loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks import stable_diffusion
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class ReleasedModel:
    """An entry of the catalogue: a frozen helper of other models, or weights that a training starts from."""

    name: str
    weights: tuple[str, ...]
    """Names of its files (``weights.table``)."""
    load: Callable[[], nn.Module] | None = None
    """Read the helper from disk."""
    architecture: Callable[[], nn.Module | None] = lambda: None
    """The helper with weights that mean nothing, where that takes no file; None: others are built without it."""
    initialize: Callable[[Any], None] | None = None
    """Read the weights into a model that is about to be trained."""


def _farl() -> nn.Module:
    from lightning_mmdiff.networks.farl import load_farl  # imports transformers, which takes seconds

    return load_farl()


def _clip_h() -> nn.Module:
    from lightning_mmdiff.networks.farl import load_clip

    return load_clip(weights.require("clip_h"))


def _kl_f8(image_size: int) -> ReleasedModel:
    config = stable_diffusion.kl_f8(image_size)
    return ReleasedModel(
        name=f"kl_f8_{image_size}", weights=("stable_diffusion_2",), architecture=lambda: VAE(config),
        load=lambda: stable_diffusion.load_autoencoder(config),
    )  # fmt: skip


RELEASED = (
    ReleasedModel(name="farl", weights=("farl", "clip"), load=_farl),
    ReleasedModel(name="clip_h", weights=("clip_h",), load=_clip_h),
    _kl_f8(256),
    _kl_f8(768),
    ReleasedModel(
        name="stable_diffusion_2",
        weights=("stable_diffusion_2",),
        initialize=lambda model: stable_diffusion.load_unet(model.network.unet),
    ),
)
"""Every released model that a run can name."""


@dataclass(frozen=True)
class Released(ModelSource):
    """A released model by its name, where a config would otherwise hold a training run."""

    name: str

    def __post_init__(self) -> None:
        names = [model.name for model in RELEASED]
        if self.name not in names:
            near = get_close_matches(self.name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise UserError(f"No released model is called {self.name!r}; expected one of {', '.join(names)}{hint}")

    @property
    def entry(self) -> ReleasedModel:
        """Its entry of the catalogue."""
        return next(model for model in RELEASED if model.name == self.name)
