"""The catalogue of released models that a run can name: their files and how to load them."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from lightning_mmdiff import weights
from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config, StyleGenerator
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks import stable_diffusion
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.released import inade, picture_to_picture, stylegan2
from lightning_mmdiff.source import ModelSource


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


RELEASED = (
    ReleasedModel(name="farl", weights=("farl", "clip"), load=_farl),
    ReleasedModel(name="clip", weights=("clip",), load=_clip),
    ReleasedModel(name="clip_h", weights=("clip_h",), load=_clip_h),
    _kl_f8(256),
    _kl_f8(768),
    ReleasedModel(
        name="stylegan2_ffhq",
        weights=("stylegan2_ffhq",),
        load=stylegan2.load_generator,
        architecture=lambda: StyleGenerator(StyleGAN2Config()),
    ),
    ReleasedModel(name="psp_mask", weights=("psp_mask",), load=stylegan2.load_mask_encoder),
    ReleasedModel(name="inade_celeba", weights=("inade_generator", "inade_encoder"), load=inade.load),
    ReleasedModel(
        name="pix2pix_day2night",
        weights=("pix2pix_day2night",),
        load=partial(picture_to_picture.load_pix2pix, "pix2pix_day2night"),
    ),
    ReleasedModel(
        name="cyclegan_photo2label",
        weights=("cyclegan_photo2label",),
        load=partial(picture_to_picture.load_cyclegan, "cyclegan_photo2label"),
    ),
    ReleasedModel(
        name="stable_diffusion_2",
        weights=("stable_diffusion_2",),
        initialize=lambda model: stable_diffusion.load_unet(getattr(model.network, "unet", model.network)),
    ),
)
"""All released models that a run can name."""


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
