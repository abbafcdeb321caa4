"""Inpainting by replacement: the known pixels of every z_t are overwritten by their noised version (Song et al. 2021).

This is RePaint (Lugmayr et al. 2022, Eq. 8) without its resampling, and needs no training. MT-Diffusion's Table 1 omits it;
its SDEdit has no mask. As in RePaint, the noise of known pixels is drawn anew at each step, here from a separate stream: if
nothing is known, the samples are exactly the model's. The last step pastes the clean pixels, so the known part of the result
equals the input, byte for byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.methods.sdedit import MaskedTask, visible_part
from lightning_mmdiff.methods.single import ready
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import SamplingModule, SchedulerWrapper
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


def replace(z: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """Return m z_known + (1 - m) z (RePaint, Eq. 8c).

    Args:
        z: z_s from the model, [B, C, H, W].
        known: picture at the same noise level, [B, C, H, W].
        mask: 1 = known, 0 = unknown, [B, 1, H, W].
    """
    return torch.where(mask > 0, known, z)


class Replacement(MaskedTask):
    """Sampling with ``model`` that keeps the visible pixels of "masked_image"."""

    def __init__(self, model: SamplingModule, *, sampling_seed: int = 0) -> None:
        """Wrap the model.

        Args:
            model: unconditional, or conditioned on the batch's other conditions; its sampler is used.
            sampling_seed: seed of the images.

        Raises:
            UserError: if the sampler is UniPC, whose corrector uses the z from before the replacement.
        """
        super().__init__(model, sampling_seed=sampling_seed)
        if self.sampler.name == "unipc":
            raise UserError("Replacement cannot use unipc (its corrector undoes replaced pixels): choose ddim or ddpm.")

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Return the model's scheduler with replacement after each step."""
        image, mask = visible_part(batch.get("conditions", {}), self.shape)
        generators = [seeding.generator("known pixels", self.sampling_seed, int(i)) for i in batch["index"]]
        return Replacing(
            super().scheduler(batch), self.schedule, image.to(self.device), mask.to(self.device), generators
        )


class Replacing(SchedulerWrapper):
    """Steps of ``inner``, each followed by setting the known pixels to the new timestep's noise level (clean after the last)."""

    def __init__(
        self, inner: Any, schedule: NoiseSchedule, image: Tensor, mask: Tensor, known: Sequence[torch.Generator]
    ) -> None:
        """Wrap ``inner``.

        Args:
            inner: a scheduler.
            schedule: noise schedule.
            image: picture in [-1, 1], [B, C, H, W].
            mask: 1 = known, 0 = unknown, [B, 1, H, W].
            known: noise source of each image.
        """
        super().__init__(inner)
        self.schedule, self.image, self.mask, self.known = schedule, image, mask, known

    def step(
        self, model_output: Tensor, t: Tensor, z: Tensor, generator: Sequence[torch.Generator] | None = None
    ) -> Step:
        """Step from z_t to the next cleaner timestep and replace the known pixels.

        Args:
            model_output: predicted noise [B, C, H, W], or noise and raw variance [B, 2C, H, W].
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image for the scheduler.
        """
        z_s = super().step(model_output, t, z, generator).prev_sample
        return Step(prev_sample=replace(z_s, self._known_at(self._next(t)), self.mask))

    def _next(self, t: Tensor) -> Tensor | None:
        """Return the timestep after t, or None after the last."""
        later = self.timesteps[self.timesteps < t]
        return later[0] if len(later) else None

    def _known_at(self, t: Tensor | None) -> Tensor:
        """Return the picture at the noise level of t (RePaint, Eq. 8a), [B, C, H, W]; clean for None."""
        if t is None:
            return self.image
        noise = torch.stack([torch.randn(self.image.shape[1:], generator=g) for g in self.known])
        return self.schedule.add_noise(self.image, noise.to(self.image), t)


@dataclass(frozen=True, kw_only=True)
class ReplaceKnown(MethodConfig):
    """Config for sampling from one model while overwriting the visible pixels in every step."""

    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Replacement:
        """Build replacement around the model."""
        return Replacement(ready(trained, self.model, sampler, seed), sampling_seed=seed)
