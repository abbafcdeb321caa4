"""Worlds whose truth is known: Gaussian experts, the exact law of every affine sampler of them, and its distance to the product.

A world is a prior, two conditions and their posteriors; the terms of Eq. 10 are both posteriors and, negatively, the priors. All
linear samplers have an exact law: nothing is sampled. Everything is float64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.steps import Interval

Noise = Callable[[], Tensor]
"""Function that returns the next draw of N(0, I), [B, D]."""


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution: mean [D], covariance [D, D]."""

    mean: Tensor
    covariance: Tensor

    def eps(self, z: Tensor, step: Interval) -> Tensor:
        """Return the exact noise prediction for z_t [B, D] at the start of ``step``."""
        return self.eps_at(z, step.alpha, step.sigma)

    def eps_at(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return the exact noise prediction for z = alpha x + sigma eps, [B, D]."""
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.mean), dtype=torch.float64)
        return sigma * torch.linalg.solve(noisy, (z - alpha * self.mean).T).T

    def given(self, direction: Tensor, value: float, variance: float) -> "Gaussian":
        """Return the posterior after seeing ``direction`` . x + N(0, variance) = value."""
        gain = self.covariance @ direction / (direction @ self.covariance @ direction + variance)
        mean = self.mean + gain * (value - direction @ self.mean)
        return Gaussian(mean, self.covariance - torch.outer(gain, direction @ self.covariance))

    def divergence_from(self, target: "Gaussian") -> float:
        """Return KL(self || target) in nats."""
        inverse, apart = target.covariance.inverse(), target.mean - self.mean
        trace = (inverse @ self.covariance).trace()
        logs = target.covariance.logdet() - self.covariance.logdet()
        return float(0.5 * (trace + apart @ inverse @ apart - len(apart) + logs))


@dataclass(frozen=True)
class World:
    """Terms of Eq. 10 with their coefficients, and the product of their clean densities."""

    terms: tuple[Gaussian, ...]
    coefficients: Tensor

    @property
    def product(self) -> Gaussian:
        """The normalized product of the clean densities to the powers c_k."""
        precisions = [term.covariance.inverse() for term in self.terms]
        precision = sum(c * p for c, p in zip(self.coefficients, precisions))
        shift = sum(c * p @ term.mean for c, p, term in zip(self.coefficients, precisions, self.terms))
        assert isinstance(precision, Tensor)
        return Gaussian(torch.linalg.solve(precision, shift), precision.inverse())

    def eps(self, z: Tensor, step: Interval) -> Tensor:
        """Return the noise that each term predicts for z_t [B, D], [K, B, D]."""
        return torch.stack([term.eps(z, step) for term in self.terms])

    def combined_at(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return eps_c of Eq. 10, [B, D]."""
        return sum(c * term.eps_at(z, alpha, sigma) for c, term in zip(self.coefficients, self.terms))  # type: ignore[return-value]


def tensor(values: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    """Return a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def dependent_world() -> World:
    """Return two observations of a correlated pair: x1 + .5 x2 = .8 and .6 x1 + x2 = -.5, both with variance .05."""
    prior = Gaussian(tensor([0.0, 0.0]), tensor([[0.6, 0.3], [0.3, 0.5]]))
    first = prior.given(tensor([1.0, 0.5]), 0.8, 0.05)
    second = prior.given(tensor([0.6, 1.0]), -0.5, 0.05)
    return World((first, second, prior, prior), tensor([1.0, 1.0, -0.5, -0.5]))


def independent_world() -> World:
    """Return two observations of independent parts, where Eq. 10 is exact."""
    prior = Gaussian(tensor([0.0, 0.0]), tensor([[0.5, 0.0], [0.0, 0.5]]))
    first, second = prior.given(tensor([1.0, 0.0]), 0.8, 0.05), prior.given(tensor([0.0, 1.0]), -0.5, 0.05)
    return World((first, second, prior, prior), tensor([1.0, 1.0, -0.5, -0.5]))


def law(sample: Callable[[Tensor, Noise], Tensor], num_draws: int, dimension: int = 2) -> Gaussian:
    """Return the exact law of an affine sampler.

    The sampler is run on zeros and on each unit vector of its start and of each of its draws: an affine map is known by these.

    Args:
        sample: function of z_T [B, D] and a source of noise to images [B, D], affine in both.
        num_draws: how often it draws noise.
        dimension: D.
    """
    inputs = 1 + num_draws
    batch = 1 + inputs * dimension

    def unit(number: int) -> Tensor:
        rows = torch.zeros(batch, dimension, dtype=torch.float64)
        rows[1 + number * dimension : 1 + (number + 1) * dimension] = torch.eye(dimension, dtype=torch.float64)
        return rows

    draws = iter(range(1, inputs))
    images = sample(unit(0), lambda: unit(next(draws)))
    assert next(draws, None) is None, "the sampler drew less noise than was said"
    effects = images[1:] - images[0]
    return Gaussian(images[0], effects.T @ effects)
