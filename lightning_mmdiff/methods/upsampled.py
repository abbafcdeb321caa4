"""Enlarge what a method makes by a diffusion model of large images given the small one (GLIDE, Nichol et al. 2022, Sec. 4.2).

Unite and Conquer (CVPR 2023, Sec. 4.2) unites two models of 64 pixels and enlarges the result to 256 by GLIDE's upsampler.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from lightning import LightningModule
from torch import Tensor

from lightning_mmdiff import images
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.sampling import SamplingModule, SamplingWrapper
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

SMALL = "low_res"
"""Condition of the upsampler: the small image, enlarged bilinearly."""
OWN_NOISE = 1_000_003
"""Added to the seed for the upsampler's noise, which is independent of the small image's."""


class ScaledStart(SamplingWrapper):
    """A model that starts from noise of a standard deviation other than 1."""

    def __init__(self, model: SamplingModule, *, temperature: float, sampling_seed: int = 0) -> None:
        super().__init__(model, sampling_seed=sampling_seed)
        self.temperature = temperature

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Sample z_T ~ N(0, temperature^2 I), [B, C, H, W]."""
        return self.temperature * super().initial_latents(batch, generators)


class Upsampling(LightningModule):
    """A method for small images, then an upsampler."""

    def __init__(self, base: SamplingModule, upsampler: ScaledStart, *, prompt: str | None = None) -> None:
        """Take both stages; ``prompt`` names the text of the batch that the upsampler reads, None is the empty text."""
        super().__init__()
        self.base, self.upsampler, self.prompt = base, upsampler, prompt

    @torch.inference_mode()
    def predict_step(self, batch: Mapping[str, Any], batch_idx: int = 0) -> Tensor:
        """Sample one large image for each item of ``batch``, uint8 [B, 3, H, W]; the small ones are rounded to 8 bits between."""
        small = images.to_float(self.base.predict_step(batch)).to(self.device)
        enlarged = F.interpolate(small, self.upsampler.shape[1:], mode="bilinear", align_corners=False)
        texts = {"caption": batch["conditions"][self.prompt]} if self.prompt else {}
        return self.upsampler.predict_step({"index": batch["index"], "conditions": {SMALL: enlarged, **texts}})


@dataclass(frozen=True, kw_only=True)
class Upsample(MethodConfig):
    """Config for enlarging the images of a method."""

    base: MethodConfig
    upsampler: ModelSource
    steps: Sampler
    """Sampler of the upsampler."""
    temperature: float = 0.997
    """Standard deviation of the noise that it starts from; GLIDE's notebook has .997, CompGen's script .98."""
    prompt: str | None = None
    """Text that the upsampler reads; None is the empty one, which Unite and Conquer's code gives it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("temperature")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Upsampling:
        """Build both stages."""
        model: SamplingModule = trained(self.upsampler)
        model.sampler = self.steps
        large = ScaledStart(model, temperature=self.temperature, sampling_seed=seed + OWN_NOISE)
        return Upsampling(self.base.build(trained, sampler=sampler, seed=seed), large, prompt=self.prompt)  # type: ignore[arg-type]

    @property
    def calls_per_step(self) -> int:
        """Those of the small images, and one of the upsampler."""
        return self.base.calls_per_step + 1
