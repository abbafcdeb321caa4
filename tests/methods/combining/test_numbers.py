"""Numbers that tell right from wrong: KL to the product in nats, derived and measured independently of this code."""

import math

import pytest
import torch
from exact_laws import (
    DEPENDENT,
    SCHEDULE,
    chain,
    copies,
    divergence_of_united,
    feynman_kac,
    moments,
    own_latents,
    united,
    weighted_particles,
)
from torch import Tensor

from lightning_mmdiff.methods.combining import world_sampling as ways
from lightning_mmdiff.methods.combining import worlds
from lightning_mmdiff.methods.combining.guidance import in_interval, plus_plus
from lightning_mmdiff.methods.combining.langevin import langevin
from lightning_mmdiff.methods.combining.steps import Interval, clean_image, ddim, weighted
from lightning_mmdiff.methods.combining.superdiff import and_move, drift, log_density_gain, moved, or_weights
from lightning_mmdiff.methods.combining.world_sampling import Numbers
from lightning_mmdiff.methods.combining.worlds import Gaussian, World, law, tensor
from lightning_mmdiff.respaced import respace
from lightning_mmdiff.schedules import Sampler, cosine

FIRST, SECOND, PRIOR, _ = DEPENDENT.terms
ONE_NULL = World((FIRST, SECOND, PRIOR), tensor([1.0, 1.0, -1.0]))
AVERAGE = World((FIRST, SECOND), tensor([0.5, 0.5]))


def about(value: float) -> object:
    """The number to its last printed digit: three places, or the relative share of a thousandth where it is small or large."""
    return pytest.approx(value, abs=6e-4 if value < 100 else 0.6)


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 1.371), (2.0, 0.542)])
def test_equation_10_with_noise_in_a_thousand_steps(eta: float, expected: float) -> None:
    assert divergence_of_united(1000, eta=eta) == about(expected)


def test_mean_of_equation_10() -> None:
    assert united(1000).mean.tolist() == pytest.approx([0.331, -0.143], abs=6e-4)
    assert united(1000, eta=1.0).mean.tolist() == pytest.approx([0.413, -0.246], abs=6e-4)


@pytest.mark.parametrize(("num_steps", "expected"), [(25, 0.241), (100, 0.035), (1000, 0.0008)])
def test_floor_of_the_solver_with_noise(num_steps: int, expected: float) -> None:
    alone = World((DEPENDENT.product,), tensor([1.0]))
    assert divergence_of_united(num_steps, alone, eta=1.0) == about(expected)


@pytest.mark.parametrize(
    ("num_steps", "corrections", "expected"), [(100, 30, 0.180), (1000, 3, 0.170), (1000, 10, 0.045), (1000, 30, 0.012)]
)
def test_many_langevin_corrections(num_steps: int, corrections: int, expected: float) -> None:
    assert divergence_of_united(num_steps, corrections=corrections) == about(expected)


@pytest.mark.parametrize(
    ("num_steps", "eta", "corrections", "expected"),
    [
        (100, 0.0, 0, 2.84),
        (100, 1.0, 0, 1.55),
        (50, 0.0, 1, 1.67),
        (50, 1.0, 1, 1.38),
        (400, 0.0, 0, 2.73),
        (400, 1.0, 0, 1.40),
        (100, 0.0, 3, 0.69),
        (100, 1.0, 3, 0.61),
    ],
)
def test_corrections_against_more_steps_at_equal_calls(
    num_steps: int, eta: float, corrections: int, expected: float
) -> None:
    found = divergence_of_united(num_steps, eta=eta, corrections=corrections, delta=0.2)
    assert found == pytest.approx(expected, abs=6e-3)


@pytest.mark.parametrize(
    ("num_steps", "apart", "unweighted"), [(25, 1.04, 2.53), (100, 0.87, 1.93), (1000, 0.89, 1.62)]
)
def test_wrong_own_latents_are_told_apart(num_steps: int, apart: float, unweighted: float) -> None:
    def found(**wrong: bool) -> float:
        return own_latents(num_steps, 1.0, ONE_NULL, **wrong).divergence_from(ONE_NULL.product)

    assert found(apart=True) == pytest.approx(apart, abs=6e-3)
    assert found(unweighted=True) == pytest.approx(unweighted, abs=6e-3)
    right = law(ways.own(DEPENDENT, chain(num_steps), theta=1.0), 0).divergence_from(DEPENDENT.product)
    assert found() == pytest.approx(right)


@pytest.mark.parametrize(
    ("num_steps", "sign", "nulls", "gain"),
    [(25, 112, 1.21, None), (100, 25.4, 0.266, 1.37), (1000, 18.6, 0.093, 0.0011)],
)
def test_wrong_weights_of_particles_are_told_apart(
    num_steps: int, sign: float, nulls: float, gain: float | None
) -> None:
    def found(**wrong) -> float:
        return feynman_kac(DEPENDENT, num_steps, eta=1, **wrong).divergence_from(DEPENDENT.product)

    def ratio(step: Interval) -> float:
        return 1 / step.snr_ratio - 1

    assert found(sign=0.5) == pytest.approx(sign, rel=5e-3)
    assert found(nulls=False) == pytest.approx(nulls, abs=6e-3)
    if gain is None:
        with pytest.raises(ArithmeticError):
            found(gain=ratio)
    else:
        assert found(gain=ratio) == pytest.approx(gain, abs=6e-3 if gain > 1 else 6e-5)


def test_particles_in_a_thousand_steps_without_noise() -> None:
    assert feynman_kac(DEPENDENT, 1000, eta=0).divergence_from(DEPENDENT.product) == pytest.approx(0.0004, abs=6e-5)


def test_particles_change_nothing_where_parts_are_independent() -> None:
    world = worlds.independent_world()
    assert feynman_kac(world, 25, eta=0).divergence_from(world.product) == pytest.approx(0.1074, abs=6e-5)


@pytest.mark.parametrize(("num_steps", "expected"), [(25, 0.852), (100, 0.819), (1000, 0.829)])
def test_plain_average_is_not_the_geometric_mean_either(num_steps: int, expected: float) -> None:
    assert divergence_of_united(num_steps, AVERAGE) == about(expected)


@pytest.mark.parametrize(("weight", "plain", "noisy", "own"), [(2.0, 0.989, 0.178, 0.0098), (4.0, 4.21, 0.351, 0.022)])
def test_guidance_of_one_expert(weight: float, plain: float, noisy: float, own: float) -> None:
    world = World((FIRST, PRIOR), tensor([weight, 1 - weight]))
    assert divergence_of_united(100, world) == pytest.approx(plain, rel=2e-3)
    assert divergence_of_united(100, world, eta=1.0) == pytest.approx(noisy, rel=4e-3)
    found = law(ways.own(world, chain(100), theta=1.0), 0).divergence_from(world.product)
    assert found == pytest.approx(own, rel=7e-3)


def test_own_latents_with_theta_1_diverge_for_large_weights_and_the_default_does_not() -> None:
    def found(weight: float, theta: float, num_steps: int) -> float:
        world = World((FIRST, PRIOR), tensor([weight, 1 - weight]))
        return law(ways.own(world, chain(num_steps), theta=theta), 0).divergence_from(world.product)

    assert found(4.0, 1.0, 1000) > 100
    assert found(4.0, 1 / 4, 1000) < 0.1
    assert found(8.0, 1.0, 25) > 1000
    assert found(8.0, 1 / 2, 25) == pytest.approx(4.39, abs=6e-3)  # no better than Eq. 10, 4.57
    assert found(8.0, 1 / 8, 25) == pytest.approx(0.75, abs=6e-3)


def test_the_combined_latent_follows_ddim_of_the_shared_image() -> None:
    generator = torch.Generator().manual_seed(0)
    latents, eps = torch.randn(2, 4, 5, 2, dtype=torch.float64, generator=generator)
    for theta in (0.0, 0.3, 1.0):
        for step in chain(10):
            after = ways.own_latents(latents, eps, DEPENDENT.coefficients, step, theta=theta)
            shared = weighted(DEPENDENT.coefficients, clean_image(latents, eps, step))
            expected = ddim(weighted(DEPENDENT.coefficients, latents), shared, step)
            torch.testing.assert_close(weighted(DEPENDENT.coefficients, after), expected)


def test_independent_starts_halve_the_variance_of_an_average() -> None:
    """What two spaces without a common start cost: the mean stays."""
    together, apart = (own_latents(1000, 1.0, AVERAGE, apart=apart) for apart in (False, True))
    torch.testing.assert_close(apart.mean, together.mean, rtol=0, atol=2e-3)
    assert (apart.covariance / together.covariance).flatten().tolist() == pytest.approx([0.5] * 4, abs=0.02)


@pytest.mark.parametrize(("count", "expected"), [(4, 0.377), (16, 0.109)])
def test_more_particles(count: int, expected: float) -> None:
    points = weighted_particles(DEPENDENT, 100, count, 8000)
    assert moments(points).divergence_from(DEPENDENT.product) == pytest.approx(expected, rel=0.12)


def test_particles_need_resampling_and_noise() -> None:
    once = weighted_particles(DEPENDENT, 100, 8, 8000, resampled=False)
    assert moments(once).divergence_from(DEPENDENT.product) == pytest.approx(0.25, abs=0.03)
    still = weighted_particles(DEPENDENT, 100, 8, 8000, eta=0.0)
    assert moments(still).divergence_from(DEPENDENT.product) == pytest.approx(0.815, abs=0.07)


@pytest.mark.parametrize(("dimension", "images", "expected"), [(2, 8000, 0.835), (8, 3000, 1.26), (32, 1000, 1.76)])
def test_in_more_dimensions_particles_do_less(dimension: int, images: int, expected: float) -> None:
    """KL of each copy; without resampling it is 2.42."""
    points = weighted_particles(copies(dimension // 2), 25, 8, images).view(-1, 2)
    assert moments(points).divergence_from(DEPENDENT.product) == pytest.approx(expected, rel=0.06)


def metropolis_at_level(divisor: float, power: int, *, rows: int = 1) -> tuple[float, float]:
    """KL after 60 steps from the exact product at t = 300, and the share of accepted proposals; right are 4 and 1.

    Args:
        divisor: proposals are weighed by |...|^2 / (divisor h^power).
        power: see above.
        rows: number of images that are accepted or rejected together.
    """
    draws = torch.Generator().manual_seed(0)
    alpha, sigma = float(SCHEDULE.alpha[300]), float(SCHEDULE.sigma[300])
    target = World(tuple(term.noisy(alpha, sigma) for term in DEPENDENT.terms), DEPENDENT.coefficients).product

    def predict(z: Tensor) -> Tensor:
        return weighted(DEPENDENT.coefficients, torch.stack([t.eps_at(z, alpha, sigma) for t in DEPENDENT.terms]))

    factor, step = torch.linalg.cholesky(target.covariance), sigma**2
    z = target.mean + torch.randn(16_000, 2, dtype=torch.float64, generator=draws) @ factor.T
    accepted = []
    for _ in range(60):
        noise = torch.randn(z.shape, dtype=torch.float64, generator=draws)
        proposal = langevin(z, predict(z), sigma, delta=1.0, noise=noise)
        g, g_new, move = -predict(z) / sigma, -predict(proposal) / sigma, proposal - z
        back, forth = (move + step * g_new).square().sum(1), (move - step * g).square().sum(1)
        log = 0.5 * ((g + g_new) * move).sum(1) - (back - forth) / (divisor * step**power)
        log = log.view(-1, rows).sum(dim=1)
        chosen = torch.rand(len(log), dtype=torch.float64, generator=draws).log() < log
        accepted.append(chosen.double().mean())
        z = torch.where(chosen.repeat_interleave(rows)[:, None], proposal, z)
    return moments(z).divergence_from(target), float(torch.stack(accepted).mean())


def test_wrong_metropolis_corrections_are_told_apart() -> None:
    assert metropolis_at_level(4, 1)[0] < 0.002
    assert metropolis_at_level(2, 2)[0] == pytest.approx(4.2, abs=0.3)
    assert metropolis_at_level(4, 1, rows=16)[1] == pytest.approx(0.024, abs=0.004)


def log_density(gaussian: Gaussian, x: Tensor) -> Tensor:
    return torch.distributions.MultivariateNormal(gaussian.mean, gaussian.covariance).log_prob(x)


def difference(x: Tensor) -> Tensor:
    """log q_1 - log q_2."""
    return log_density(FIRST, x) - log_density(SECOND, x)


@pytest.mark.parametrize(
    ("num_steps", "both", "average", "error", "wrong"),
    [
        (25, 0.049, 3.8, 1.71, 38),
        (100, 0.015, 4.7, 0.67, 5.5),
        (1000, 0.008, 5.3, 0.11, 0.42),
    ],
)
def test_superdiff_and_its_estimator(num_steps: int, both: float, average: float, error: float, wrong: float) -> None:
    """Spread of log q_1 - log q_2 of AND and of the average; error of the estimate along the average, and a wrong one's."""
    draws = Numbers(0)
    z = draws.normal(torch.empty(6000, 2))
    y, logs, naive = z.clone(), torch.zeros(2, len(z), dtype=torch.float64), torch.zeros(2, len(z), dtype=torch.float64)
    for step in chain(num_steps):
        z = moved(z, and_move(ways.predict(AVERAGE, z, step), step, draws.normal(z)), step)
        eps = ways.predict(AVERAGE, y, step)
        move = drift(eps.mean(dim=0), step, draws.normal(y))
        logs, after = logs + log_density_gain(eps, move, step), moved(y, move, step)
        if not step.is_last:  # the density of DDPM's posterior with its small variance, as one might write it down
            means = torch.stack([ddim(y, clean_image(y, e, step), step, eta=1.0) for e in eps])
            naive = naive - (after - means).square().sum(dim=-1) / (2 * step.noise_std(1.0) ** 2)
        y = after
    truth = difference(y)

    def rms(found: Tensor) -> float:
        return float((found[0] - found[1] - truth).square().mean().sqrt())

    assert float(difference(z).std()) == pytest.approx(both, rel=0.2)
    assert float(truth.std()) == pytest.approx(average, rel=0.05)
    assert rms(logs) == pytest.approx(error, rel=0.1)
    assert torch.corrcoef(torch.stack([logs[0] - logs[1], truth]))[0, 1] > 0.994
    assert rms(naive) == pytest.approx(wrong, rel=0.1)


def test_and_is_the_released_kappa_with_guidance() -> None:
    """kappa of the released code solves for equal changes of both log densities; the projection is the same without it."""
    draws = torch.Generator().manual_seed(0)
    eps = torch.randn(2, 4, 6, generator=draws, dtype=torch.float64)
    null, noise = torch.randn(2, 4, 6, generator=draws, dtype=torch.float64)
    for step in chain(10)[:-1]:
        level, rho, guidance = step.sigma / step.alpha, 1 - step.snr_ratio, 7.5
        base = drift(null + guidance * (eps[1] - null), step, noise)
        apart = eps[0] - eps[1]
        # l_1 - l_2 changes by -<d, dy> / s - rho/2 (|e1|^2 - |e2|^2), and dy = base - s rho w kappa d.
        wanted = -0.5 * rho * level * (eps[0].square() - eps[1].square()).sum(dim=1)
        kappa = ((apart * base).sum(dim=1) - wanted) / (level * rho * guidance * apart.square().sum(dim=1))
        released = base - level * rho * guidance * kappa[:, None] * apart
        guided = null + guidance * (eps.mean(dim=0) - null)
        torch.testing.assert_close(and_move(eps, step, noise, center=guided), released, rtol=0, atol=1e-12)


def test_superdiff_or_goes_to_one_of_the_experts() -> None:
    first = Gaussian(tensor([-1.0, 0.3]), tensor([[0.05, 0.02], [0.02, 0.1]]))
    second = Gaussian(tensor([1.0, -0.3]), tensor([[0.1, -0.03], [-0.03, 0.05]]))
    world, draws = World((first, second), tensor([0.5, 0.5])), Numbers(0)
    z = draws.normal(torch.empty(20_000, 2))
    average, logs = z.clone(), torch.zeros(2, len(z), dtype=torch.float64)
    for step in chain(100):
        eps = ways.predict(world, z, step)
        move = drift(torch.einsum("nb,nbd->bd", or_weights(logs), eps), step, draws.normal(z))
        logs, z = logs + log_density_gain(eps, move, step), moved(z, move, step)
        average = moved(average, drift(ways.predict(world, average, step).mean(0), step, draws.normal(z)), step)
    nearer = log_density(first, z) > log_density(second, z)
    assert float(nearer.double().mean()) == pytest.approx(0.49, abs=0.02)
    assert moments(z[nearer]).divergence_from(first) == pytest.approx(0.017, abs=0.006)
    between = log_density(first, average) > log_density(second, average)
    assert moments(average[between]).divergence_from(first) == pytest.approx(4.7, abs=0.3)


@pytest.mark.parametrize(
    ("schedule", "low", "high", "inside"),
    [(SCHEDULE, 0.85, 5.0, (227, 565)), (cosine(), 0.28, 1.61, (169, 642)), (cosine(), 0.85, 5.0, (442, 872))],
)
def test_published_intervals_on_our_timesteps(schedule, low: float, high: float, inside: tuple[int, int]) -> None:
    total = in_interval(schedule, 2.0, low, high)
    found = [t for t in range(1000) if total(t) == 2]
    assert (found[0], found[-1]) == pytest.approx(inside, abs=3)  # the papers' levels are rounded


@pytest.mark.parametrize(("num_steps", "median"), [(25, 2.35), (100, 8.9), (1000, 89)])
def test_guidance_plus_plus_is_tied_to_the_number_of_steps(num_steps: int, median: float) -> None:
    weight = plus_plus(SCHEDULE, Sampler(name="spaced-ddim", num_steps=num_steps, clip=False), 0.6)
    weights = sorted(weight(t) for t in respace(1000, str(num_steps)))
    assert weights[num_steps // 2] == pytest.approx(median, rel=0.01)
    assert weight(0) == pytest.approx(0.6)
    assert math.isclose(min(weights), 0.6)
