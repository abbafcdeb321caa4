"""Sampling with own latents: every term of Eq. 10 follows a latent of its own (``own_latents``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.own_latents import combined, own_latents
from lightning_mmdiff.methods.combining.scheduling import OwnSteps
from lightning_mmdiff.methods.config import Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, Unite, UniteAndConquer, experts_of
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler


class OwnLatents(UniteAndConquer):
    """Eq. 10 with one latent per term, z [B, K, C, H, W]; as many network evaluations as Eq. 10.

    Args:
        experts: weights and reliabilities must not depend on time.
        theta: 0 is Eq. 10; None is 1 / W, which is safe; 1 is closest to the product and can diverge for large weights.
        sampler: DDIM with eta 0.
        sampling_seed: image i depends only on this seed and i.
    """

    coefficients_of_terms: Tensor

    def __init__(
        self, experts: Sequence[Expert], *, theta: float | None, sampler: Sampler, sampling_seed: int = 0
    ) -> None:
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        if any(callable(value) for e in experts for value in (e.weight, e.reliability)):
            raise UserError("Own latents need weights and reliabilities that do not depend on time.")
        self.requests, coefficients = self.terms(0)
        self.register_buffer("coefficients_of_terms", torch.tensor(coefficients), persistent=False)
        self.theta = 1 / sum(self.coefficients(0)[0]) if theta is None else theta

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Return the same noise for every term, [B, K, C, H, W]."""
        z = super().initial_latents(batch, generators)
        return z[:, None].expand(-1, len(self.requests), -1, -1, -1).contiguous()

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise that each term predicts for its own latent, [B, K, C, H, W]."""
        return torch.stack(self.evaluate(z.unbind(dim=1), t, self.requests, conditions), dim=1)

    def scheduler(self, batch: Mapping[str, Any]) -> "OwnLatentsSteps":
        """Return the steps of all latents."""
        return OwnLatentsSteps(self.sampler, self)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode the combined latent."""
        return super().decode(combined(z.transpose(0, 1), self.coefficients_of_terms.to(z)), batch)


class OwnLatentsSteps(OwnSteps):
    """Steps of z [B, K, C, H, W] that share one clean image."""

    def __init__(self, sampler: Sampler, method: OwnLatents) -> None:
        super().__init__(sampler, method.schedule)
        if sampler.eta:
            raise UserError("Own latents step without noise: set the sampler's eta to 0.")
        self.method = method

    def step(self, model_output: Tensor, t: Tensor, z: Tensor, generator: Any = None) -> Step:
        """Step from t to the next cleaner timestep.

        Args:
            model_output: noise of each term, [B, K, C, H, W].
            t: one of ``timesteps``.
            z: latents at t, [B, K, C, H, W].
            generator: unused, nothing is drawn.
        """
        latents = own_latents(
            z.transpose(0, 1), model_output.transpose(0, 1), self.method.coefficients_of_terms.to(z), self.interval(t),
            theta=self.method.theta, clip=self.sampler.clip,
        )  # fmt: skip
        return Step(prev_sample=latents.transpose(0, 1))


@dataclass(frozen=True, kw_only=True)
class UniteOwnLatents(Unite):
    """Config for uniting experts with one latent per term."""

    theta: float | None = None
    """Share of its own noise that a term keeps; None is 1 / W."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("theta")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> OwnLatents:
        """Build the sampler."""
        return OwnLatents(experts_of(self.experts, trained), theta=self.theta, sampler=sampler, sampling_seed=seed)
