"""Two stages: a method's image of few pixels, then a model that draws it again with more, given it (Nichol et al. 2022, Sec. 4).

Unite and Conquer (CVPR 2023) draws its scenes so, at 64 and then 256 pixels. As in its code, the upsampler reads the first
stage's output before it is rounded to 8 bits, and the empty text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.sampling import Conditions, NoisePrediction, SamplingModule, SamplingWrapper
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

LOW_RES = "low_res"
"""Name of the small image as a condition of the upsampler, float [B, 3, H, W] in about [-1, 1], enlarged bilinearly."""


class Upsampled(SamplingModule):
    """The second stage around the first; both draw from the seeds of the same images."""

    unsaved = ("first", "upsampler")

    def __init__(
        self,
        first: SamplingModule,
        upsampler: DiffusionModel,
        *,
        sampler: Sampler,
        noise_scale: float,
        sampling_seed: int = 0,
    ) -> None:
        """Wrap both stages.

        Args:
            first: method of the first stage, with its own sampler.
            upsampler: model that has the condition ``low_res``.
            sampler: steps of the second stage.
            noise_scale: factor on z_T of the second stage; a little less than 1 gives smoother images.
            sampling_seed: seed of the second stage's noise.

        Raises:
            UserError: if the upsampler reads no small image.
        """
        super().__init__(
            sampler=sampler, schedule=upsampler.schedule, shape=upsampler.shape, sampling_seed=sampling_seed
        )
        if LOW_RES not in upsampler.condition_names:
            raise UserError(f"The upsampler needs the condition {LOW_RES}; it has {list(upsampler.condition_names)}.")
        self.first = _Unrounded(first, sampling_seed=first.sampling_seed)
        self.upsampler = upsampler.requires_grad_(False).eval()
        self.noise_scale = noise_scale

    def with_small(self, small: Tensor) -> Conditions:
        """Return the upsampler's conditions: the first stage's images [B, 3, h, w], enlarged, and no text."""
        size = (self.shape[1], self.shape[2])
        return {LOW_RES: F.interpolate(small.float(), size, mode="bilinear", align_corners=False)}

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Sample z_T of the second stage, scaled."""
        return self.noise_scale * super().initial_latents(batch, generators)

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise by the upsampler."""
        return self.upsampler.predict_noise(z, t, conditions)

    @torch.inference_mode()
    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int = 0, *, predict_noise: NoisePrediction | None = None
    ) -> Tensor:
        """Sample both stages; returns uint8 [B, 3, H, W] in [0, 255], on the CPU."""
        self.first.predict_step(batch, batch_idx)
        conditions = self.with_small(self.first.images)
        return super().predict_step({**batch, "conditions": conditions}, batch_idx, predict_noise=predict_noise)


class _Unrounded(SamplingWrapper):
    """A method that keeps its images before they are rounded to 8 bits."""

    images: Tensor

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode as the method does, and keep the images [B, 3, H, W]."""
        self.images = self.model.decode(z, batch)
        return self.images


@dataclass(frozen=True, kw_only=True)
class Upsample(MethodConfig):
    """Config for a second stage after any method; the run's sampler is that of the first."""

    method: MethodConfig
    upsampler: ModelSource
    sampler: Sampler
    """Steps of the second stage."""
    noise_scale: float = 0.997

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("noise_scale")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Upsampled:
        """Build both stages."""
        first = self.method.build(trained, sampler=sampler, seed=seed)
        assert isinstance(first, SamplingModule)
        return Upsampled(
            first, trained(self.upsampler), sampler=self.sampler, noise_scale=self.noise_scale, sampling_seed=seed
        )

    @property
    def calls_per_step(self) -> int:
        """Calls of the first stage, and one of the upsampler for each."""
        return self.method.calls_per_step + 1

    def calls(self, num_steps: int) -> int:
        """Return the calls of both stages, each in its own steps."""
        return self.method.calls(num_steps) + self.sampler.num_steps
