"""Methods of this package as pipelines of diffusers: united experts, collaborating ones, or any other that predicts noise."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.networks.as_diffusers import as_diffusers
from lightning_mmdiff.networks.diffusers_unet import DiffusersUNet
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.sampling import SamplingModule


class CombinationPipeline(DiffusionPipeline):
    """diffusers' loop over the noise that a method predicts; any scheduler of diffusers for predicted noise can step.

    It holds modules of this package, which ``lightning_mmdiff.hub`` stores; ``save_pretrained`` of diffusers does not.
    """

    method: SamplingModule
    scheduler: Any

    def __init__(self, method: SamplingModule, scheduler: Any = None) -> None:
        """Sample by ``method``; the scheduler defaults to DDIM over the method's own noise schedule."""
        super().__init__()
        self.register_modules(method=method, scheduler=scheduler or ddim(method))

    @torch.no_grad()
    def __call__(
        self, conditions: Mapping[str, Any], *, num_inference_steps: int = 25, latents: Tensor | None = None,
        generator: torch.Generator | None = None, output_type: str = "pil",
    ) -> ImagePipelineOutput:  # fmt: skip
        """Sample an image for each row of ``conditions``.

        Args:
            conditions: as ``lightning_mmdiff.sampling.Conditions``.
            num_inference_steps: steps of the scheduler.
            latents: z_T, [B, C, H, W]; None draws it.
            generator: source of z_T.
            output_type: "pil", "np" or "pt".
        """
        method, count = self.method, len(next(iter(conditions.values())))
        if latents is None:
            latents = torch.randn((count, *method.shape), generator=generator)
        z, encoded = latents.to(method.device), method.encode_conditions(conditions)
        self.scheduler.set_timesteps(num_inference_steps, device=z.device)
        options = {}
        if (
            "use_clipped_model_output" in inspect.signature(self.scheduler.step).parameters
        ):  # DDIM, see ``schedules.DDIM``
            options["use_clipped_model_output"] = self.scheduler.config.clip_sample
        for t in self.progress_bar(self.scheduler.timesteps):
            z = self.scheduler.step(method.predict_noise(z, t, encoded), t, z, **options).prev_sample
        image = method.decode(z, {"conditions": conditions})
        images = VaeImageProcessor().postprocess(image, output_type=output_type)
        return ImagePipelineOutput(images=images)


def ddim(method: SamplingModule) -> DDIMScheduler:
    """Return diffusers' DDIM over the noise schedule of ``method``."""
    return DDIMScheduler(
        num_train_timesteps=len(method.schedule), trained_betas=method.schedule.betas.tolist(), prediction_type="epsilon",
        timestep_spacing="trailing", clip_sample=method.sampler.clip,
    )  # fmt: skip


def to_diffusers(model: Denoiser) -> UNet2DModel:
    """Return the network of a model as diffusers' own class, with the same weights.

    Its input is the noisy image and, after it, the channels of the conditions; see ``networks.as_diffusers``.

    Raises:
        UserError: if the class cannot express the network.
    """
    if isinstance(model.network, DiffusersUNet):
        return model.network.unet
    if isinstance(model.network, UNet):
        return as_diffusers(model.network)
    raise UserError(f"diffusers has no {type(model.network).__name__}; CombinationPipeline takes any model.")
