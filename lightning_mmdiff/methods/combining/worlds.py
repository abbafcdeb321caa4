"""Worlds whose truth is known: Gaussian experts, the exact law of every affine sampler of them, and its distance to the product.

A world is a prior, two conditions and their posteriors; the terms of Eq. 10 are both posteriors and, negatively, the priors. All
linear samplers have an exact law: nothing is sampled. Everything is float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.world_sampling import Sample


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution: mean [D], covariance [D, D]."""

    mean: Tensor
    covariance: Tensor

    def eps_at(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return the exact noise prediction for z = alpha x + sigma eps, [B, D]."""
        noisy = self.noisy(alpha, sigma)
        return sigma * torch.linalg.solve(noisy.covariance, (z - noisy.mean).T).T

    def noisy(self, alpha: float, sigma: float) -> "Gaussian":
        """Return the distribution of alpha x + sigma eps."""
        identity = torch.eye(len(self.mean), dtype=torch.float64)
        return Gaussian(alpha * self.mean, alpha**2 * self.covariance + sigma**2 * identity)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) up to a constant common to all Gaussians, [B]."""
        apart = x - self.mean
        return -0.5 * ((torch.linalg.solve(self.covariance, apart.T).T * apart).sum(dim=1) + self.covariance.logdet())

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


class UnitDraws:
    """Instead of noise, zeros but for a unit vector in the rows of each draw."""

    def __init__(self, num_draws: int, dimension: int) -> None:
        self.num_draws, self.dimension = num_draws, dimension
        self.number = 0

    def unit(self, number: int) -> Tensor:
        """Return the unit vectors of draw ``number``; the start is number 0."""
        rows = torch.zeros(1 + (1 + self.num_draws) * self.dimension, self.dimension, dtype=torch.float64)
        rows[1 + number * self.dimension : 1 + (number + 1) * self.dimension] = torch.eye(
            self.dimension, dtype=torch.float64
        )
        return rows

    def normal(self, like: Tensor) -> Tensor:
        """Return the unit vectors of the next draw."""
        self.number += 1
        assert self.number <= self.num_draws, "the sampler drew more noise than was said"
        return self.unit(self.number)

    def uniform(self, count: int) -> Tensor:
        """Refuse: no affine sampler draws uniform numbers."""
        raise AssertionError("an affine sampler draws no uniform numbers")


def law(sample: Sample, num_draws: int, dimension: int = 2) -> Gaussian:
    """Return the exact law of an affine sampler.

    The sampler is run on zeros and on each unit vector of its start and of each of its draws: an affine map is known by these.

    Args:
        sample: sampler, affine in its start and its noise.
        num_draws: how often it draws noise.
        dimension: D.
    """
    draws = UnitDraws(num_draws, dimension)
    images = sample(draws.unit(0), draws)
    assert draws.number == num_draws, "the sampler drew less noise than was said"
    effects = images[1:] - images[0]
    return Gaussian(images[0], effects.T @ effects)
