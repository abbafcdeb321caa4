"""Settings for comparing all ways to combine a mask and a text; no paper has this comparison."""

from dataclasses import dataclass, replace

from experiments.recipes.settings import unite_and_conquer
from experiments.recipes.settings.training import Length, in_fifths
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.networks.presets import adm_256, mini_unet
from lightning_mmdiff.networks.unet import UNetConfig


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Settings in addition to those of the experts' own papers."""

    expert_steps: int | None
    """Optimizer steps of an expert; None is as many as in Collaborative Diffusion."""
    diffuser_steps: int | None
    """Optimizer steps of the dynamic diffusers; None is as many as in Collaborative Diffusion."""
    joint_steps: int | None
    """Optimizer steps of a joint model; None is as many as both experts and their dynamic diffusers together."""
    scale_embedding: bool
    """Whether the joint model's text embedding has unit size per component, as in Collaborative Diffusion's expert."""
    multi_task_network: UNetConfig
    """Network of MT-Diffusion, which reads the image and the picture of its mask."""
    fit: Length
    """Batch size and length for fitting a reliability."""
    fit_min_snr: float | None
    """gamma of the min-SNR weighting in the loss that a reliability is fitted to."""
    num_images: int | None
    """Images of a row; None is as many as in Collaborative Diffusion. Thirty rows, some at 4 times the cost, add up."""


PAPER = Settings(
    expert_steps=None,
    diffuser_steps=None,
    joint_steps=2 * unite_and_conquer.PAPER.training.trainer.max_steps,  # pixels rather than latents: other steps
    scale_embedding=False,
    multi_task_network=replace(adm_256(num_classes=None), in_channels=6),
    fit=in_fifths(2000, batch_size=32),
    fit_min_snr=None,
    num_images=None,
)
MINI = replace(
    PAPER,
    expert_steps=400,
    diffuser_steps=500,
    joint_steps=None,
    scale_embedding=True,
    multi_task_network=mini_unet(6, 3),
    fit=in_fifths(100, batch_size=32),
    fit_min_snr=5.0,
    num_images=128,
)
SMOKE = replace(
    PAPER,
    joint_steps=None,
    multi_task_network=mini_unet(6, 3),
    fit=in_fifths(6, batch_size=4),
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": PAPER, "mini": MINI, "smoke": SMOKE}[profile]
