"""The catalogue of released models that a run can name: their files and how to load them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.networks import stable_diffusion
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.released import (
    adm,
    collaborative,
    convert,
    glide,
    inade,
    picture_to_picture,
    stylegan2,
    unite_and_conquer,
)
from lightning_mmdiff.released.checkpoint import Checkpoint, PublishedFile
from lightning_mmdiff.source import ModelSource

FILES = (
    *adm.FILES,
    *glide.FILES,
    *unite_and_conquer.FILES,
    *collaborative.FILES,
    *stylegan2.FILES,
    *inade.FILES,
    *picture_to_picture.FILES,
)
"""The published files that ``python -m lightning_mmdiff.released`` converts."""
Parts = tuple[tuple[PublishedFile, Checkpoint], ...]
"""The files of a model, each with what it holds of it."""


def file_of(weight: str) -> PublishedFile:
    """Return the published file whose entry in the table of weights is ``weight``.

    Raises:
        UserError: if there is none.
    """
    for file in FILES:
        if file.weight == weight:
            return file
    raise UserError(f"No published file is called {weight!r}; there are {', '.join(file.weight for file in FILES)}.")


@dataclass(frozen=True, kw_only=True)
class ReleasedModel:
    """A catalogue entry: a frozen helper for other models, or weights from which training starts."""

    name: str
    weights: tuple[str, ...]
    """Names of its files (``weights.table``)."""
    load: Callable[[], nn.Module] | None = None
    """Function that reads the helper from disk."""
    architecture: Callable[[], nn.Module | None] = lambda: None
    """Function that builds the helper with meaningless weights, or returns None if this needs a file; others go without it."""
    initialize: Callable[[Any], None] | None = None
    """Function that reads the weights into a model about to be trained."""
    model: ModelConfig | None = None
    """Config of a model that methods can sample from."""
    helpers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Role (``ModelConfig.roles``) -> names of the released models that it is built on."""


def _farl() -> nn.Module:
    from lightning_mmdiff.networks.farl import load_farl  # importing transformers takes seconds

    return load_farl()


def _clip_h() -> nn.Module:
    from lightning_mmdiff.networks.farl import load_clip

    return load_clip(weights.require("clip_h"))


def _clip() -> nn.Module:
    from lightning_mmdiff.networks.farl import load_clip

    return load_clip(weights.require("clip"))


def _kl_f8(image_size: int) -> ReleasedModel:
    config = stable_diffusion.kl_f8(image_size)
    return ReleasedModel(
        name=f"kl_f8_{image_size}", weights=("stable_diffusion_2",), architecture=lambda: VAE(config),
        load=lambda: stable_diffusion.load_autoencoder(config),
    )  # fmt: skip


def of_files(files: Iterable[PublishedFile]) -> tuple[ReleasedModel, ...]:
    """Return the catalogue entries of the models in published files; what several hold under one name is one model."""
    parts: dict[str, Parts] = {}
    for file in files:
        for checkpoint in file.checkpoints:
            parts[checkpoint.name] = (*parts.get(checkpoint.name, ()), (file, checkpoint))
    return tuple(map(_entry, parts.values()))


def _entry(parts: Parts) -> ReleasedModel:
    checkpoint = parts[0][1]
    return ReleasedModel(
        name=checkpoint.name,
        weights=(*(file.weight for file, _ in parts), *checkpoint.config.weight_files),
        load=partial(_load, parts),
        architecture=partial(architecture, checkpoint),
        initialize=partial(convert.load, parts),
        model=checkpoint.config,
        helpers=checkpoint.helpers,
    )


def architecture(checkpoint: Checkpoint) -> nn.Module:
    """Return a checkpoint's model with meaningless weights; helpers that need a file are left out."""
    return _build(checkpoint, lambda entry: entry.architecture())


def _load(parts: Parts) -> nn.Module:
    """Return a model with its published weights, frozen."""
    module = _build(parts[0][1], lambda entry: entry.load and entry.load())
    convert.load(parts, module)
    return module.requires_grad_(False).eval()


def _build(checkpoint: Checkpoint, helper: Callable[[ReleasedModel], nn.Module | None]) -> nn.Module:
    found: dict[str, Any] = {}
    for role, names in checkpoint.helpers:
        models = [helper(Released(name).entry) for name in names]
        found[role] = models if role == "experts" else models[0]
    return checkpoint.config.build_helper(seed=0, **{role: model for role, model in found.items() if model is not None})


RELEASED = (
    ReleasedModel(name="farl", weights=("farl", "clip"), load=_farl),
    ReleasedModel(name="clip", weights=("clip",), load=_clip),
    ReleasedModel(name="clip_h", weights=("clip_h",), load=_clip_h),
    _kl_f8(256),
    _kl_f8(768),
    ReleasedModel(
        name="stable_diffusion_2",
        weights=("stable_diffusion_2",),
        initialize=lambda model: stable_diffusion.load_unet(getattr(model.network, "unet", model.network)),
    ),
    *of_files(FILES),
)
"""All released models that a run can name: helpers in the formats of other libraries, then our models."""


@dataclass(frozen=True)
class Released(ModelSource):
    """A released model by name, where a config would otherwise hold a training run."""

    name: str

    def __post_init__(self) -> None:
        names = [model.name for model in RELEASED]
        if self.name not in names:
            near = get_close_matches(self.name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise UserError(f"No released model is called {self.name!r}; expected one of {', '.join(names)}{hint}")

    @property
    def entry(self) -> ReleasedModel:
        """Its catalogue entry."""
        return next(model for model in RELEASED if model.name == self.name)

    @property
    def model(self) -> ModelConfig:
        """Config of the model, of those that methods can sample from."""
        assert self.entry.model is not None, f"{self.name} makes no images"
        return self.entry.model

    @property
    def experts(self) -> tuple[ModelSource, ...]:  # type: ignore[override]
        """Released models that it combines, in order."""
        return tuple(Released(name) for name in dict(self.entry.helpers).get("experts", ()))

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of its files (``weights.table``), and of those of the models that it is built on."""
        below = (Released(name).weights for _, names in self.entry.helpers for name in names)
        return tuple(dict.fromkeys((*self.entry.weights, *(name for names in below for name in names))))

    @property
    def is_latent(self) -> bool:
        """Whether the model diffuses the latents of an autoencoder."""
        own = self.entry.model is not None and self.entry.model.caches_latents
        return own or any(expert.is_latent for expert in self.experts)

    @property
    def calls_per_step(self) -> int:
        """Number of diffusion network evaluations per image and sampler step."""
        return self.entry.model.calls_per_step if self.entry.model else 1
