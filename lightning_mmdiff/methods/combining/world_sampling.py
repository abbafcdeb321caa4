"""Samplers of worlds whose truth is known: the methods of this folder with exact noise predictions, on any of the timesteps.

Each function returns a sampler from z_T [B, D] to images [B, D], float64.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.feynman_kac import log_weight_gain, systematic
from lightning_mmdiff.methods.combining.langevin import langevin, metropolis
from lightning_mmdiff.methods.combining.own_latents import combined, own_latents, same_start
from lightning_mmdiff.methods.combining.steps import Interval, clean_image, ddim, intervals, weighted
from lightning_mmdiff.methods.combining.superdiff import and_move, moved
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.respaced import respace


class Draws(Protocol):
    """A source of random numbers."""

    def normal(self, like: Tensor) -> Tensor:
        """Return N(0, I) of the shape of ``like``."""

    def uniform(self, count: int) -> Tensor:
        """Return uniform draws in [0, 1), [count]."""


class Numbers:
    """Random numbers of one generator."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, like: Tensor) -> Tensor:
        """Return N(0, I) of the shape of ``like``."""
        return torch.randn(like.shape, dtype=torch.float64, generator=self.generator)

    def uniform(self, count: int) -> Tensor:
        """Return uniform draws in [0, 1), [count]."""
        return torch.rand(count, dtype=torch.float64, generator=self.generator)


class Known(Protocol):
    """A distribution whose noise prediction is known."""

    def eps_at(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return the exact noise prediction for z = alpha x + sigma eps, [B, D]."""


class Terms(Protocol):
    """Terms of Eq. 10 with their coefficients, [K]."""

    @property
    def terms(self) -> Sequence[Known]:
        """The experts and their nulls."""

    @property
    def coefficients(self) -> Tensor:
        """c_k, sum 1."""


Sample = Callable[[Tensor, Draws], Tensor]
Correct = Callable[[Tensor, Tensor, Interval, Draws], tuple[Tensor, Tensor]]
"""Function of z_t, its eps_c, the step that starts there and a source of noise to another z_t and its eps_c."""


def chain(schedule: NoiseSchedule, num_steps: int) -> list[Interval]:
    """Return the steps of DDIM with evenly spaced timesteps, from noise to image."""
    return list(intervals(schedule, respace(len(schedule), str(num_steps))[::-1]).values())


def predict(world: Terms, z: Tensor, step: Interval) -> Tensor:
    """Return the noise that each term predicts for z_t at the start of ``step``, [K, B, D]."""
    return torch.stack([term.eps_at(z, step.alpha, step.sigma) for term in world.terms])


def equation_10(world: Terms, steps: Sequence[Interval], *, eta: float = 0.0, correct: Correct | None = None) -> Sample:
    """Return Eq. 10 by DDIM, with corrections at the start of each step but the first, where z_T needs none.

    Args:
        world: terms and coefficients.
        steps: from noise to image.
        eta: scale of the noise.
        correct: correction; None makes none.
    """

    def sample(z: Tensor, draws: Draws) -> Tensor:
        for number, step in enumerate(steps):
            eps = weighted(world.coefficients, predict(world, z, step))
            if correct and number:
                z, eps = correct(z, eps, step, draws)
            noise = draws.normal(z) if eta and not step.is_last else None
            z = ddim(z, clean_image(z, eps, step), step, eta=eta, noise=noise)
        return z

    return sample


def unadjusted(world: Terms, *, corrections: int, delta: float) -> Correct:
    """Return Langevin steps (ULA) of size ``delta`` sigma_t^2."""

    def correct(z: Tensor, eps: Tensor, step: Interval, draws: Draws) -> tuple[Tensor, Tensor]:
        for _ in range(corrections):
            z = langevin(z, eps, step.sigma, delta=delta, noise=draws.normal(z))
            eps = weighted(world.coefficients, predict(world, z, step))
        return z, eps

    return correct


def adjusted(world: Terms, *, corrections: int, delta: float) -> Correct:
    """Return Metropolis-adjusted Langevin steps (MALA) of size ``delta`` sigma_t^2."""

    def correct(z: Tensor, eps: Tensor, step: Interval, draws: Draws) -> tuple[Tensor, Tensor]:
        def there(x: Tensor) -> Tensor:
            return weighted(world.coefficients, predict(world, x, step))

        for _ in range(corrections):
            chance = draws.uniform(len(z)).to(z)
            z, eps, _ = metropolis(z, eps, there, step.sigma, delta=delta, noise=draws.normal(z), uniform=chance)
        return z, eps

    return correct


def own(world: Terms, steps: Sequence[Interval], *, theta: float) -> Sample:
    """Return the sampler with one latent for each term."""

    def sample(z: Tensor, draws: Draws) -> Tensor:
        latents = same_start(z, len(world.terms))
        for step in steps:
            eps = torch.stack([t.eps_at(x, step.alpha, step.sigma) for t, x in zip(world.terms, latents)])
            latents = own_latents(latents, eps, world.coefficients, step, theta=theta)
        return combined(latents, world.coefficients)

    return sample


def particles(world: Terms, steps: Sequence[Interval], *, count: int) -> Sample:
    """Return Feynman-Kac correctors with ``count`` particles for each image and eta 1, resampled after each step."""

    def sample(z: Tensor, draws: Draws) -> Tensor:
        size, dimension = z.shape
        many = torch.stack([z, *(draws.normal(z) for _ in range(count - 1))], dim=1).flatten(0, 1)
        for step in steps:
            eps = predict(world, many, step)
            gains = log_weight_gain(eps, world.coefficients, step).view(size, count)
            z0 = clean_image(many, weighted(world.coefficients, eps), step)
            many = ddim(many, z0, step, eta=1.0, noise=None if step.is_last else draws.normal(many))
            if not step.is_last:
                kept = systematic(gains, draws.uniform(size))
                rows = many.view(size, count, dimension)
                many = rows.gather(1, kept[..., None].expand(-1, -1, dimension)).flatten(0, 1)
        chosen = (draws.uniform(size) * count).long()
        return many.view(size, count, dimension)[torch.arange(size), chosen]

    return sample


def superposed(world: Terms, steps: Sequence[Interval]) -> Sample:
    """Return SuperDiff's AND of the first two terms, without nulls."""

    def sample(z: Tensor, draws: Draws) -> Tensor:
        for step in steps:
            eps = torch.stack([term.eps_at(z, step.alpha, step.sigma) for term in world.terms[:2]])
            z = moved(z, and_move(eps, step, draws.normal(z)), step)
        return z

    return sample
