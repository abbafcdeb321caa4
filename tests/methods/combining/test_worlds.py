"""Every affine way to combine experts has the exact law, in closed form, that its derivation promises; wrong variants do not.

Numbers are KL(sampler || product) in nats, derived and measured independently of this code.
"""

import math

import pytest
import torch
from exact_laws import DEPENDENT, SCHEDULE, chain, feynman_kac
from torch import Tensor

from lightning_mmdiff.methods.combining import world_sampling as ways
from lightning_mmdiff.methods.combining import worlds
from lightning_mmdiff.methods.combining.feynman_kac import disagreement
from lightning_mmdiff.methods.combining.langevin import langevin, metropolis
from lightning_mmdiff.methods.combining.mixtures import mixture_world, sliced_distance
from lightning_mmdiff.methods.combining.steps import weighted
from lightning_mmdiff.methods.combining.world_sampling import Numbers, Sample
from lightning_mmdiff.methods.combining.worlds import Gaussian, World, law


def united(
    num_steps: int, *, eta: float = 0.0, correct: ways.Correct | None = None, world: World = DEPENDENT
) -> Sample:
    return ways.equation_10(world, chain(num_steps), eta=eta, correct=correct)


def own(num_steps: int, theta: float, world: World = DEPENDENT) -> Sample:
    return ways.own(world, chain(num_steps), theta=theta)


def divergence(sample: Sample, num_draws: int = 0, world: World = DEPENDENT) -> float:
    return law(sample, num_draws).divergence_from(world.product)


def test_the_product_is_the_posterior_of_both_observations() -> None:
    prior = DEPENDENT.terms[2]
    both = prior.given(worlds.tensor([1.0, 0.5]), 0.8, 0.05).given(worlds.tensor([0.6, 1.0]), -0.5, 0.05)
    product = DEPENDENT.product
    torch.testing.assert_close(product.mean, both.mean)
    torch.testing.assert_close(product.covariance, both.covariance)
    assert product.mean.tolist() == pytest.approx([0.7976, -0.6608], abs=5e-5)


@pytest.mark.parametrize(
    ("num_steps", "eta", "expected"),
    [(25, 0, 3.6098), (100, 0, 2.8365), (1000, 0, 2.7087), (25, 1, 2.421), (100, 1, 1.552), (25, 2, 1.971), (100, 2, 0.844)],
)  # fmt: skip
def test_equation_10(num_steps: int, eta: float, expected: float) -> None:
    assert divergence(united(num_steps, eta=eta), bool(eta) * (num_steps - 1)) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("num_steps", "expected"), [(25, 0.130), (100, 0.009), (1000, 0.0002)])
def test_floor_of_the_solver(num_steps: int, expected: float) -> None:
    alone = World((DEPENDENT.product,), torch.ones(1, dtype=torch.float64))
    assert divergence(united(num_steps, world=alone), world=alone) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("num_steps", "theta", "expected"),
    [(25, 1, 0.516), (25, 0.5, 1.041), (100, 1, 0.049), (100, 0.5, 0.153), (1000, 1, 0.0037), (1000, 0.5, 0.0067)],
)
def test_own_latents(num_steps: int, theta: float, expected: float) -> None:
    assert divergence(own(num_steps, theta)) == pytest.approx(expected, abs=6e-4)


def test_own_latents_at_theta_0_are_equation_10() -> None:
    z = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(25, 0)(z, Numbers(0)), united(25)(z, Numbers(0)))


@pytest.mark.parametrize(
    ("num_steps", "corrections", "expected"),
    [(25, 3, 2.217), (25, 10, 1.530), (25, 30, 0.958), (100, 3, 1.045), (100, 10, 0.483)],
)
def test_langevin_correctors(num_steps: int, corrections: int, expected: float) -> None:
    correct = ways.unadjusted(DEPENDENT, corrections=corrections, delta=0.1)
    found = divergence(united(num_steps, correct=correct), corrections * (num_steps - 1))
    assert found == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("count", "expected"), [(2, 0.745), (8, 0.189)])
def test_a_few_particles(count: int, expected: float) -> None:
    numbers = Numbers(0)
    images = ways.particles(DEPENDENT, chain(100), count=count)(numbers.normal(torch.empty(10_000, 2)), numbers)
    found = Gaussian(images.mean(dim=0), images.T.cov()).divergence_from(DEPENDENT.product)
    assert found == pytest.approx(expected, rel=0.08)


def test_equation_10_is_exact_for_independent_parts_and_so_is_everything_else() -> None:
    world = worlds.independent_world()
    floor = World((world.product,), torch.ones(1, dtype=torch.float64))
    expected = divergence(united(25, world=floor), world=floor)
    assert expected == pytest.approx(0.1074, abs=6e-5)
    assert divergence(united(25, world=world), world=world) == pytest.approx(expected)
    assert divergence(own(25, 1, world), world=world) == pytest.approx(expected)
    z = torch.randn(7, 2, dtype=torch.float64)
    for step in chain(25):
        assert disagreement(ways.predict(world, z, step), world.coefficients).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("num_steps", "eta", "expected"), [(25, 1, 0.139), (25, 0, 0.540), (100, 1, 0.049), (100, 0, 0.034), (1000, 1, 0.0011)]
)  # fmt: skip
def test_feynman_kac_weights(num_steps: int, eta: float, expected: float) -> None:
    found = feynman_kac(DEPENDENT, num_steps, eta=eta).divergence_from(DEPENDENT.product)
    assert found == pytest.approx(expected, abs=6e-4)


def test_metropolis_keeps_the_product_where_plain_langevin_is_biased() -> None:
    draws = torch.Generator().manual_seed(0)
    alpha, sigma = float(SCHEDULE.alpha[300]), float(SCHEDULE.sigma[300])
    noisy = tuple(term.noisy(alpha, sigma) for term in DEPENDENT.terms)
    target = World(noisy, DEPENDENT.coefficients).product  # of the noisy densities at this level
    factor = torch.linalg.cholesky(target.covariance)
    start = target.mean + torch.randn(20_000, 2, dtype=torch.float64, generator=draws) @ factor.T

    def predict(z: Tensor) -> Tensor:
        return weighted(DEPENDENT.coefficients, torch.stack([term.eps_at(z, alpha, sigma) for term in DEPENDENT.terms]))

    z, eps, plain, moves = start, predict(start), start, []
    for _ in range(60):
        noise = torch.randn(z.shape, dtype=torch.float64, generator=draws)
        uniform = torch.rand(len(z), dtype=torch.float64, generator=draws)
        z, eps, moved = metropolis(z, eps, predict, sigma, delta=1.0, noise=noise, uniform=uniform)
        moves.append(moved.double().mean())
        plain = langevin(plain, predict(plain), sigma, delta=1.0, noise=noise)

    def divergence_of(points: Tensor) -> float:
        return Gaussian(points.mean(dim=0), points.T.cov()).divergence_from(target)

    assert divergence_of(z) < 0.002
    assert divergence_of(plain) == pytest.approx(0.489, abs=0.03)
    assert float(torch.stack(moves).mean()) == pytest.approx(0.62, abs=0.02)


def test_the_mixture_predicts_the_noise_of_its_density() -> None:
    mixture, alpha, sigma = mixture_world().terms[0], 0.7, 0.6
    z = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    parts = [
        share + torch.distributions.MultivariateNormal(alpha * c.mean, c.noisy(alpha, sigma).covariance).log_prob(z)
        for share, c in zip(mixture.log_shares, mixture.components)
    ]
    (score,) = torch.autograd.grad(torch.stack(parts).logsumexp(dim=0).sum(), z)
    torch.testing.assert_close(mixture.eps_at(z.detach(), alpha, sigma), -sigma * score)


def test_the_product_of_the_mixture_is_the_product_of_its_terms() -> None:
    """log p(x|a) + log p(x|b) - log p(x) differs from log p(x|a, b) by a constant, also for noiseless densities."""
    world = mixture_world()
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def score(term) -> Tensor:
        return -term.eps_at(x, 1.0, 1e-4) / 1e-4

    expected = sum(c * score(term) for c, term in zip(world.coefficients, world.terms))
    torch.testing.assert_close(score(world.product), expected, rtol=1e-4, atol=1e-4)


def test_samples_of_the_mixture_have_its_moments() -> None:
    mixture = mixture_world().terms[2]
    images, shares = mixture.sample(200_000, torch.Generator().manual_seed(0)), mixture.log_shares.softmax(dim=0)
    mean = sum(s * c.mean for s, c in zip(shares, mixture.components))
    second = sum(s * (c.covariance + torch.outer(c.mean, c.mean)) for s, c in zip(shares, mixture.components))
    torch.testing.assert_close(images.mean(dim=0), mean, rtol=0, atol=0.01)
    torch.testing.assert_close(images.T @ images / len(images), second, rtol=0, atol=0.01)


def test_sliced_distance_of_a_shift() -> None:
    points = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert sliced_distance(points, points.flip(0)) < 1e-12
    assert sliced_distance(points, points + worlds.tensor([3.0, 4.0])) == pytest.approx(5 * 2 / math.pi, rel=1e-3)
