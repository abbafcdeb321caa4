"""Uniting experts that diffuse in different spaces, such as pixels and latents, which Unite and Conquer cannot (Sec. 6).

Every term of Eq. 10 follows a latent of its own (``own_latents``), in its own space; the clean image is shared in pixels, by one
decoding and one encoding per term and step.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.own_latents import combined, towards
from lightning_mmdiff.methods.combining.own_latents_sampling import OwnLatents, OwnLatentsSteps
from lightning_mmdiff.methods.combining.scheduling import normal
from lightning_mmdiff.methods.combining.steps import clean_image
from lightning_mmdiff.methods.config import Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, Unite, experts_of
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler

Starts = Literal["independent", "encoded"]


class AcrossSpaces(OwnLatents):
    """Eq. 10 with one latent per term, each in its expert's space; z [B, all their numbers].

    Args:
        experts: as for ``OwnLatents``; the first gives the noise schedule.
        theta: as for ``OwnLatents``.
        starts: "independent" noise in each space, or the "encoded" noise of the first: the same point where encoders are
            orthogonal maps, but not normal noise where they are not.
        sampler: DDIM with eta 0; it clips the shared image.
        sampling_seed: image i depends only on this seed and i.
    """

    across_spaces: ClassVar[bool] = True

    def __init__(
        self,
        experts: Sequence[Expert],
        *,
        theta: float | None,
        starts: Starts,
        sampler: Sampler,
        sampling_seed: int = 0,
    ) -> None:
        super().__init__(experts, theta=theta, sampler=sampler, sampling_seed=sampling_seed)
        self.starts = starts

    @property
    def term_models(self) -> list[DiffusionModel]:
        """The model of each term."""
        return [model for model, _ in self.requests]

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Return each term's noise; terms of one space start alike."""
        like, first = torch.empty(0, device=self.device), self.term_models[0]
        noise = normal(first.shape, generators, like)
        starts = {first.space: noise}
        for model in self.term_models:
            if model.space not in starts:
                encoded = self.starts == "encoded"
                starts[model.space] = (
                    model.encode_image(first.decode(noise, batch)) if encoded else normal(model.shape, generators, like)
                )
        return self.packed([starts[model.space] for model in self.term_models])

    def packed(self, latents: Sequence[Tensor]) -> Tensor:
        """Return the latents of all terms as one tensor, [B, all their numbers]."""
        return torch.cat([z.flatten(1) for z in latents], dim=1)

    def unpacked(self, z: Tensor) -> list[Tensor]:
        """Return the latent of each term, [B, C, H, W] each."""
        parts = z.split([math.prod(model.shape) for model in self.term_models], dim=1)
        return [part.view(-1, *model.shape) for part, model in zip(parts, self.term_models)]

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise that each term predicts for its own latent, packed."""
        return self.packed(self.evaluate(self.unpacked(z), t, self.requests, conditions))

    def shared_image(self, clean: Sequence[Tensor], batch: Mapping[str, Any]) -> Tensor:
        """Return the image [B, 3, H, W] that the terms' clean latents make together."""
        images = torch.stack([model.decode(x, batch) for model, x in zip(self.term_models, clean)])
        return combined(images, self.coefficients_of_terms.to(images))

    def scheduler(self, batch: Mapping[str, Any]) -> "AcrossSpacesSteps":
        """Return the steps of all latents."""
        return AcrossSpacesSteps(self.sampler, self, batch)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the shared image."""
        return self.shared_image(self.unpacked(z), batch)


class AcrossSpacesSteps(OwnLatentsSteps):
    """Steps of the packed latents, which share one image."""

    method: AcrossSpaces

    def __init__(self, sampler: Sampler, method: AcrossSpaces, batch: Mapping[str, Any]) -> None:
        super().__init__(sampler, method)
        self.batch = batch

    def step(self, model_output: Tensor, t: Tensor, z: Tensor, generator: Any = None) -> Step:
        """Step from t to the next cleaner timestep.

        Args:
            model_output: noise of each term, packed.
            t: one of ``timesteps``.
            z: latents at t, packed.
            generator: unused, nothing is drawn.
        """
        method, interval = self.method, self.interval(t)
        eps = method.unpacked(model_output)
        own = [clean_image(x, e, interval) for x, e in zip(method.unpacked(z), eps)]
        image = method.shared_image(own, self.batch)
        latents = []
        for model, e, x in zip(method.term_models, eps, own):
            shared = model.encode_image(image)
            clipped = model.encode_image(image.clamp(-1, 1)) if self.sampler.clip else shared
            latents.append(towards(e, x, shared, clipped, interval, theta=method.theta))
        return Step(prev_sample=method.packed(latents))


@dataclass(frozen=True, kw_only=True)
class UniteAcrossSpaces(Unite):
    """Config for uniting experts that diffuse in different spaces."""

    theta: float | None = None
    """Share of its own noise that a term keeps; None is 1 / W."""
    starts: Starts = "independent"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("theta")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> AcrossSpaces:
        """Build the sampler."""
        return AcrossSpaces(
            experts_of(self.experts, trained), theta=self.theta, starts=self.starts, sampler=sampler, sampling_seed=seed
        )
