"""Sampling with Feynman-Kac correctors (``feynman_kac``): a few weighted particles for each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.feynman_kac import log_weight_gain, systematic
from lightning_mmdiff.methods.combining.scheduling import OwnSteps, all_generators, normal, uniform
from lightning_mmdiff.methods.combining.steps import Interval, clean_image, ddim, weighted
from lightning_mmdiff.methods.config import Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, Unite, UniteAndConquer, experts_of
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler


class FeynmanKac(UniteAndConquer):
    """Eq. 10 with P particles for each image, z [B, P, C, H, W], which share that image's generator and no other's.

    Args:
        experts: weights and reliabilities may depend on time.
        particles: P.
        weighted_particles: whether weights decide who survives; False is the control that picks one particle at random.
        sampler: DDIM; eta 1 is advised, since without noise copies of a particle never separate.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(
        self, experts: Sequence[Expert], *, particles: int, weighted_particles: bool, sampler: Sampler,
        sampling_seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        self.particles, self.weighted_particles = particles, weighted_particles

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Sample the particles of each image, [B, P, C, H, W]."""
        like = torch.empty(0, device=self.device)
        return normal((self.particles, *self.shape), generators, like)

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise that each term predicts for each particle, [B, P, K, C, H, W]."""
        requests, _ = self.terms(int(t))
        particles = [torch.stack(self.evaluate(p, t, requests, conditions), dim=1) for p in z.unbind(dim=1)]
        return torch.stack(particles, dim=1)

    def scheduler(self, batch: Mapping[str, Any]) -> "FeynmanKacSteps":
        """Return the steps of one batch, which remember the weights."""
        return FeynmanKacSteps(self.sampler, self)


class FeynmanKacSteps(OwnSteps):
    """Steps of all particles; after each but the last, resampling within each image, and at the end one particle is left."""

    def __init__(self, sampler: Sampler, method: FeynmanKac) -> None:
        super().__init__(sampler, method.schedule)
        self.method = method

    def step(self, model_output: Tensor, t: Tensor, z: Tensor, generator: Any = None) -> Step:
        """Step from t to the next cleaner timestep; the last step returns [B, C, H, W].

        Args:
            model_output: noise of each term, [B, P, K, C, H, W].
            t: one of ``timesteps``.
            z: particles at t, [B, P, C, H, W].
            generator: noise source of each image.
        """
        generators, interval = all_generators(generator), self.interval(t)
        eps = model_output.flatten(0, 1).transpose(0, 1)  # [K, B P, C, H, W]
        coefficients = eps.new_tensor(self.method.terms(int(t))[1])
        moved = self._moved(z, weighted(coefficients, eps).view_as(z), interval, generators)
        gains = log_weight_gain(eps, coefficients, interval).view(z.shape[:2])
        if not self.method.weighted_particles:
            gains = torch.zeros_like(gains)
        draws = uniform(1, generators)[:, 0]
        if interval.is_last:  # weights were spent by the last resampling: any survivor is as good as another
            chosen = (draws * self.method.particles).long()
            return Step(prev_sample=torch.stack([image[int(i)] for image, i in zip(moved, chosen)]))
        if self.method.weighted_particles:
            kept = systematic(gains, draws)
            moved = torch.stack([image[index] for image, index in zip(moved, kept)])
        return Step(prev_sample=moved)

    def _moved(self, z: Tensor, eps: Tensor, interval: Interval, generators: Sequence[torch.Generator]) -> Tensor:
        z0 = clean_image(z, eps, interval)
        z0 = z0.clamp(-1, 1) if self.sampler.clip else z0
        noise = None if interval.is_last or not self.sampler.eta else normal(z.shape[1:], generators, z)
        return ddim(z, z0, interval, eta=self.sampler.eta, noise=noise)


@dataclass(frozen=True, kw_only=True)
class UniteParticles(Unite):
    """Config for uniting experts with weighted particles, or with particles of which one is picked at random."""

    particles: int = 4
    weighted: bool = True
    """Whether the particles are weighted and resampled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "particles")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> FeynmanKac:
        """Build the sampler."""
        return FeynmanKac(
            experts_of(self.experts, trained), particles=self.particles, weighted_particles=self.weighted,
            sampler=sampler, sampling_seed=seed,
        )  # fmt: skip

    @property
    def calls_per_step(self) -> int:
        """Those of Eq. 10 for each particle."""
        return super().calls_per_step * self.particles
