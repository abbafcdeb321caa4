"""SDEdit (Meng et al. 2022, Sec. 3): noise a picture up to t_0, then denoise it; the row "SDEdit-" of MT-Diffusion's Table 1.

MT-Diffusion says only that SDEdit- is "one simple baseline" (Sec. 4.1). Its scores are worse than those of the masked image
itself, so the method cannot know which pixels are given: the picture is the masked image with gray holes, and no pixel is
kept. The paper gives no t_0: half of the steps are used, as in SDEdit's released example, and one round (it has three).
``replacement`` is the method that uses the mask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import images
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.methods.single import ready
from lightning_mmdiff.sampling import Conditions, SamplingModule, SamplingWrapper, SchedulerWrapper
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

MASKED = ("masked_image", "mask")
"""Conditions that describe a picture with holes."""


def visible_part(conditions: Conditions, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Read a picture with holes.

    Args:
        conditions: "masked_image", uint8 [B, C, H, W], and "mask", uint8 [B, 1, H, W]: 255 = visible, 0 = hidden.
        shape: expected C, H, W.

    Returns:
        Picture in [-1, 1], 0 (gray) where hidden, float32 [B, C, H, W]; mask of 0 and 1, float32 [B, 1, H, W].

    Raises:
        UserError: if one of the two is missing or has the wrong shape.
    """
    if missing := [name for name in MASKED if name not in conditions]:
        raise UserError(
            f"The batch lacks {' and '.join(missing)}; it has {sorted(conditions)}. Request masked_image from the data."
        )
    image, mask = (conditions[name] for name in MASKED)
    if tuple(image.shape[1:]) != shape or list(mask.shape) != [len(image), 1, *shape[1:]]:
        raise UserError(
            f"masked_image is {list(image.shape)} and mask {list(mask.shape)}; the model samples {list(shape)}, so expected "
            f"[B, {shape[0]}, {shape[1]}, {shape[2]}] and [B, 1, {shape[1]}, {shape[2]}]."
        )
    mask = (mask > 127).float()
    return images.to_float(image) * mask, mask


class MaskedTask(SamplingWrapper):
    """Restoration of pictures with holes by a pixel model that receives neither picture nor mask, only other conditions."""

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Encode the conditions, except the picture and its mask, with the model."""
        return self.model.encode_conditions(_without_picture(conditions))

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Return the model's starting point, [B, C, H, W]."""
        return self.model.initial_latents(self.hidden(batch), generators)

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Return the model's scheduler."""
        return self.model.scheduler(self.hidden(batch))

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode with the model, [B, 3, H, W]."""
        return self.model.decode(z, self.hidden(batch))

    def hidden(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch without the picture and its mask, as the model may see it."""
        return {**batch, "conditions": _without_picture(batch.get("conditions", {}))}


def _without_picture(conditions: Conditions) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if name not in MASKED}


class SDEdit(MaskedTask):
    """Sampling with ``model`` from the masked image noised up to ``start_step``."""

    def __init__(self, model: SamplingModule, *, start_step: int = 500, sampling_seed: int = 0) -> None:
        """Wrap the model.

        Args:
            model: unconditional, or conditioned on the batch's other conditions; its sampler is used.
            start_step: t_0 in noising steps: 0 returns the masked image; the schedule's length T samples from almost pure noise.
                Sampling starts at the sampler's noisiest timestep with at most this many steps.
            sampling_seed: seed of the images.

        Raises:
            UserError: if ``start_step`` is not in 0 ... T.
        """
        super().__init__(model, sampling_seed=sampling_seed)
        if not 0 <= start_step <= len(self.schedule):
            raise UserError(f"start_step must be in 0..{len(self.schedule)}, got {start_step}.")
        self.start_step = start_step

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Return z_t = alpha_t x + sigma_t eps of the masked image x at the first timestep t, or x if there are no timesteps."""
        image, _ = visible_part(batch.get("conditions", {}), self.shape)
        image, eps = image.to(self.device), super().initial_latents(batch, generators)
        scheduler = self.scheduler(batch)
        scheduler.set_timesteps(self.sampler.num_steps)
        timesteps = scheduler.timesteps
        return self.schedule.add_noise(image, eps, timesteps[0]) if len(timesteps) else image

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Return the model's scheduler, from ``start_step`` on."""
        return LateStart(super().scheduler(batch), self.start_step)


class LateStart(SchedulerWrapper):
    """The late timesteps of a scheduler: those with at most ``start_step`` noising steps (timestep t has t + 1)."""

    def __init__(self, inner: Any, start_step: int) -> None:
        super().__init__(inner)
        self.start_step = start_step

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose timesteps as ``inner`` does, and keep the late ones."""
        super().set_timesteps(num_steps, device)
        self.timesteps = self.timesteps[self.timesteps < self.start_step]


@dataclass(frozen=True, kw_only=True)
class EditWithSDEdit(MethodConfig):
    """Config for noising the masked image, then denoising it with one model."""

    model: ModelSource
    start: float = 0.5
    """Fraction of the noising steps at which sampling starts, in [0, 1]; 0 returns the masked image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("start")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> SDEdit:
        """Build SDEdit around the model."""
        model = ready(trained, self.model, sampler, seed)
        return SDEdit(model, start_step=round(self.start * len(model.schedule)), sampling_seed=seed)
