"""A world that is not Gaussian: three groups of images, seen by two experts; its product is known, and can be sampled.

Everything is float64, images are [B, 2].
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.worlds import Gaussian, tensor


@dataclass(frozen=True)
class Mixture:
    """Gaussians with the logarithms of their shares, which need not sum to 1, [C]."""

    components: tuple[Gaussian, ...]
    log_shares: Tensor

    def eps_at(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return the exact noise prediction for z = alpha x + sigma eps, [B, D]."""
        logs, eps = [], []
        for share, component in zip(self.log_shares, self.components):
            noisy = component.noisy(alpha, sigma)
            logs.append(share + noisy.log_density(z))
            eps.append(component.eps_at(z, alpha, sigma))
        return torch.einsum("cb,cbd->bd", torch.stack(logs).softmax(dim=0), torch.stack(eps))

    def given(self, direction: Tensor, value: float, variance: float) -> "Mixture":
        """Return the posterior after seeing ``direction`` . x + N(0, variance) = value."""
        spread = torch.stack([direction @ c.covariance @ direction + variance for c in self.components])
        apart = torch.stack([value - direction @ c.mean for c in self.components])
        evidence = -0.5 * (apart.square() / spread + spread.log())
        posteriors = tuple(c.given(direction, value, variance) for c in self.components)
        return Mixture(posteriors, self.log_shares + evidence)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return independent samples, [count, D]."""
        draws = torch.rand(count, dtype=torch.float64, generator=generator)
        chosen = torch.searchsorted(self.log_shares.softmax(dim=0).cumsum(dim=0), draws)
        chosen = chosen.clamp(max=len(self.components) - 1)
        means = torch.stack([c.mean for c in self.components])[chosen]
        factors = torch.stack([torch.linalg.cholesky(c.covariance) for c in self.components])[chosen]
        noise = torch.randn(means.shape, dtype=torch.float64, generator=generator)
        return means + torch.einsum("bij,bj->bi", factors, noise)


@dataclass(frozen=True)
class MixtureWorld:
    """Terms of Eq. 10 with their coefficients, and the product of their clean densities."""

    terms: tuple[Mixture, ...]
    coefficients: Tensor
    product: Mixture


def mixture_world() -> MixtureWorld:
    """Return two observations, 1.2 x1 + .4 x2 = .3 and .3 x1 + x2 = .2 with variance .15, of three groups of pairs."""
    means = ((-0.9, 0.4), (0.6, 0.8), (0.4, -0.9))
    spreads = (((0.08, 0.03), (0.03, 0.05)), ((0.05, -0.02), (-0.02, 0.1)), ((0.1, 0.04), (0.04, 0.06)))
    groups = tuple(Gaussian(tensor(m), tensor(s)) for m, s in zip(means, spreads))
    prior = Mixture(groups, tensor([0.4, 0.35, 0.25]).log())
    first, second = (tensor([1.2, 0.4]), 0.3, 0.15), (tensor([0.3, 1.0]), 0.2, 0.15)
    terms = (prior.given(*first), prior.given(*second), prior, prior)
    return MixtureWorld(terms, tensor([1.0, 1.0, -0.5, -0.5]), prior.given(*first).given(*second))


def sliced_distance(first: Tensor, second: Tensor, *, directions: int = 64) -> float:
    """Return the sliced 1-Wasserstein distance of two sets of points in the plane.

    It is the mean over evenly spaced directions of the mean distance between projections in their order.

    Args:
        first: [N, 2].
        second: [N, 2].
        directions: number of directions.
    """
    angles = torch.arange(directions, dtype=torch.float64) * math.pi / directions
    axes = torch.stack([angles.cos(), angles.sin()])
    projected = [(points @ axes).sort(dim=0).values for points in (first, second)]
    return float((projected[0] - projected[1]).abs().mean())
