"""Published files of models with random weights, in their published layout."""

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from reduced import Reduction
from torch import Tensor

from lightning_mmdiff import schedules, weights
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig
from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config
from lightning_mmdiff.baselines.tedigan import MaskEncoderConfig
from lightning_mmdiff.released import catalogue, convert
from lightning_mmdiff.released.checkpoint import PublishedFile

STYLEGAN2 = StyleGAN2Config(image_size=64, channels=(16, 8, 8, 8, 8), style_dim=16, mapping_layers=2)
SMALL: dict[type, Any] = {
    StyleGAN2Config: STYLEGAN2,
    MaskEncoderConfig: MaskEncoderConfig(
        image_size=32, labels=(("mask", 19),), perceptual="effnet-lite0",
        network=PyramidConfig(first_width=4, widths=(4, 8, 16), units=(2, 1, 1), squeeze=4, coarse=2, middle=2),
    ),
}  # fmt: skip
"""Configs whose sizes depend on each other; ``reduced`` changes each field alone."""
BASELINES = (
    "stylegan2_ffhq",
    "psp_mask",
    "inade_generator",
    "inade_encoder",
    "pix2pix_day2night",
    "cyclegan_photo2label",
)
reduction = Reduction()


def published_tensors(file: PublishedFile) -> dict[str, Tensor]:
    """Return random weights of ``file`` under its own names and in its layout, with what such files hold besides."""
    generator = torch.Generator().manual_seed(0)
    ours = {name: _random(name, place.shape, generator) for name, place in convert.places(file).items()}
    tensors = convert.restore(file, ours)
    if "betas" in file.ignored:
        alpha_bar = schedules.scaled_linear().alpha_bar.float()
        tensors |= {"alphas_cumprod": alpha_bar, "betas": torch.zeros(1000)}
    return tensors | {f"{name}weight": torch.zeros(2) for name in file.ignored if name.endswith(".")}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random numbers; variances are positive, directions of a spectral norm have length 1, counts are whole."""
    value = 0.3 * torch.randn(shape, generator=generator) / max((1, *shape[-1:])) ** 0.5
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        return 1 + value.abs()
    return value / value.norm() if name.endswith(("._u", "._v")) else value


def small_file(file: PublishedFile) -> PublishedFile:
    """Return a file with a small form of its models."""
    small = tuple(
        replace(c, config=SMALL[type(c.config)]) if type(c.config) in SMALL else reduction(c) for c in file.checkpoints
    )
    return replace(file, checkpoints=small)


def publish(folder: Path, names: Iterable[str]) -> None:
    """Write small random stand-ins of published diffusion models, in their published layout; ``small_files`` comes first."""
    for name in names:
        file = catalogue.file_of(name)
        path = folder / weights.entry(name).file
        torch.save(as_published(path, published_tensors(file)), path)


def as_published(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return what a file at ``path`` holds: its tensors, or an entry with them and what else is there."""
    if path.suffix == ".ckpt":
        return {"state_dict": tensors, "global_step": 7}
    if path.name == weights.entry("stylegan2_ffhq").file:
        return {"g_ema": tensors, "latent_avg": torch.zeros(STYLEGAN2.style_dim)}
    if path.name == weights.entry("psp_mask").file:
        mean = tensors.pop("latent_avg")
        return {"state_dict": tensors, "latent_avg": mean, "opts": Namespace(label_nc=19)}
    return tensors
