"""Tiny networks with random weights, for tests that need a model but not a good one."""

import torch

from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import noise_source


def tiny_config(
    *,
    spatial: tuple[tuple[str, int], ...] = (("hair", 1),),
    embedding: tuple[str, int] | None = None,
    schedule: str = "cosine",
    prediction: str = "eps",
    learned_variance: bool = False,
    subsets: tuple = (),
    image_size: int = 8,
) -> DenoiserConfig:
    """A denoiser of a few thousand parameters for images of 8 pixels."""
    return DenoiserConfig(
        network=UNetConfig(
            in_channels=3 + sum(c for _, c in spatial), out_channels=6 if learned_variance else 3, channels=8,
            channel_mult=(1, 2), num_res_blocks=1, attention_levels=(), num_heads=1, norm_groups=4,
            embedding_dim=embedding[1] if embedding else None,
        ),
        conditions=ConditionConfig(spatial=spatial, embedding=embedding),
        image_size=image_size, schedule=schedule, prediction=prediction, learned_variance=learned_variance,
        subsets=subsets, optimizer=OptimizerConfig(lr=1e-3),
    )  # fmt: skip


def randomized(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Replace every parameter, the zero-initialized ones included, by small noise, so that outputs say something."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def denoise(predict_noise, scheduler, z: torch.Tensor, num_steps: int, generators: list) -> torch.Tensor:
    """z_0 of a plain function of z_t and t, by the steps of ``scheduler``."""
    scheduler.set_timesteps(num_steps, device=z.device)
    for t in scheduler.timesteps:
        z = scheduler.step(predict_noise(z, t), t, z, **noise_source(scheduler, generators)).prev_sample
    return z


def tiny_denoiser(seed: int = 0, **options) -> Denoiser:
    """A denoiser with random weights, in evaluation mode."""
    return randomized(Denoiser(tiny_config(**options), seed=seed), seed).eval()
