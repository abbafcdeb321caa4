"""The one denoising loop, and the LightningModule that samples with it. Every method is a ``predict_noise``."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.schedules import DDIM, Sampler, make_scheduler

Conditions = Mapping[str, Any]
"""Condition name -> uint8 [B, C, H, W] in [0, 255], float [B, D], or a list of B captions. Absent means missing."""


@torch.inference_mode()
def denoise(
    predict_noise: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any,
    z: Tensor,
    num_steps: int,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Reverse process from z_T to z_0. ``predict_noise(z_t, t)`` is the method; nothing else here depends on it.

    Args:
        predict_noise: z_t [B, C, H, W] and t (scalar tensor) to the predicted noise, [B, C, H, W].
        scheduler: a diffusers scheduler, or one with the same ``set_timesteps``, ``timesteps`` and ``step``.
        z: z_T, [B, C, H, W], standard normal.
        num_steps: network evaluations per image.
        generators: one CPU generator per image, for samplers that add noise.

    Returns:
        z_0, [B, C, H, W], float in [-1, 1] (not clamped).
    """
    scheduler.set_timesteps(num_steps, device=z.device)
    takes_noise = "generator" in inspect.signature(scheduler.step).parameters or isinstance(scheduler, DDIM)
    options = {"generator": list(generators)} if takes_noise else {}
    for t in scheduler.timesteps:
        z = scheduler.step(predict_noise(z, t), t, z, **options).prev_sample
    return z


class SamplingModule(LightningModule):
    """A method that turns conditions into images: subclasses write ``predict_noise``, ``predict_step`` is the same for all.

    Image i depends on (sampling seed, i) alone, so ``Trainer.predict`` may share the images out in any way.
    """

    def __init__(
        self, *, sampler: Sampler, schedule: NoiseSchedule, shape: tuple[int, int, int], sampling_seed: int = 0
    ):
        """Store how to sample: ``shape`` is [C, H, W] of one image (or latent)."""
        super().__init__()
        self.sampler = sampler
        self.schedule = schedule
        self.shape = shape
        self.sampling_seed = sampling_seed

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise in z_t [B, C, H, W] at time t (scalar) under ``conditions``; the method itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no predict_noise.")

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Prepare the conditions once per batch, before the loop (text to embedding, say)."""
        return conditions

    def predict_step(self, batch: Mapping[str, Any], batch_idx: int = 0) -> Tensor:
        """Sample one image for each item of ``batch``; returns uint8 [B, 3, H, W] in [0, 255]."""
        generators = [seeding.image_generator(self.sampling_seed, int(i)) for i in batch["index"]]
        z = torch.stack([torch.randn(self.shape, generator=g) for g in generators]).to(self.device)
        conditions = self.encode_conditions(batch.get("conditions", {}))
        scheduler = make_scheduler(self.sampler, self.schedule)
        z = denoise(
            partial(self.predict_noise, conditions=conditions), scheduler, z, self.sampler.num_steps, generators
        )
        return images.to_uint8(z).cpu()
