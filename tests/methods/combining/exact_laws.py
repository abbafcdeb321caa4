"""Exact laws of samplers of Gaussian worlds, step by step, and the variations on them that are wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lightning_mmdiff import schedules
from lightning_mmdiff.methods.combining import world_sampling as ways
from lightning_mmdiff.methods.combining.feynman_kac import log_weight_gain, systematic
from lightning_mmdiff.methods.combining.own_latents import combined, same_start, towards
from lightning_mmdiff.methods.combining.steps import Interval, clean_image, ddim, weighted
from lightning_mmdiff.methods.combining.world_sampling import Numbers, Sample
from lightning_mmdiff.methods.combining.worlds import Gaussian, UnitDraws, World, dependent_world, law

SCHEDULE = schedules.linear()
DEPENDENT = dependent_world()


def chain(num_steps: int) -> list[Interval]:
    return ways.chain(SCHEDULE, num_steps)


@dataclass(frozen=True)
class Affine:
    """An affine map of z and noise."""

    offset: Tensor
    matrix: Tensor
    noise: Tensor

    @classmethod
    def of(cls, sample: Sample, draws: int = 0) -> "Affine":
        """The map of a sampler that draws noise ``draws`` times."""
        numbers = UnitDraws(draws, 2)
        images = sample(numbers.unit(0), numbers)
        effects = (images[1:] - images[0]).T
        return cls(images[0], effects[:, :2], effects[:, 2:])

    def __call__(self, here: Gaussian) -> Gaussian:
        """The law after the map."""
        covariance = self.matrix @ here.covariance @ self.matrix.T + self.noise @ self.noise.T
        return Gaussian(self.offset + self.matrix @ here.mean, covariance)


def start() -> Gaussian:
    return Gaussian(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))


def united(
    num_steps: int, world: World = DEPENDENT, *, eta: float = 0.0, corrections: int = 0, delta: float = 0.1
) -> Gaussian:
    """The law of Eq. 10 with Langevin corrections, step by step: each map is known by its values at a few points."""
    here, correct = start(), ways.unadjusted(world, corrections=1, delta=delta)
    for number, step in enumerate(chain(num_steps)):
        if corrections and number:
            correction = Affine.of(partial(_corrected, world, correct, step), 1)
            for _ in range(corrections):
                here = correction(here)
        here = Affine.of(ways.equation_10(world, [step], eta=eta), int(eta > 0 and not step.is_last))(here)
    return here


def _corrected(world: World, correct: ways.Correct, step: Interval, z: Tensor, draws: ways.Draws) -> Tensor:
    return correct(z, weighted(world.coefficients, ways.predict(world, z, step)), step, draws)[0]


def divergence_of_united(num_steps: int, world: World = DEPENDENT, **options) -> float:
    return united(num_steps, world, **options).divergence_from(world.product)


def own_latents(
    num_steps: int, theta: float, world: World = DEPENDENT, *, apart: bool = False, unweighted: bool = False
) -> Gaussian:
    """The law of own latents; wrong if their starts are ``apart`` or their clean images count alike."""

    def sample(z: Tensor, draws) -> Tensor:
        others = [draws.normal(z) for _ in world.terms[1:]] if apart else []
        latents = torch.stack([z, *others]) if apart else same_start(z, len(world.terms))
        for step in chain(num_steps):
            eps = torch.stack([t.eps_at(x, step.alpha, step.sigma) for t, x in zip(world.terms, latents)])
            own = clean_image(latents, eps, step)
            shared = own.mean(dim=0) if unweighted else weighted(world.coefficients, own)
            latents = towards(eps, own, shared, shared, step, theta=theta)
        return latents.mean(dim=0) if unweighted else combined(latents, world.coefficients)

    return law(sample, len(world.terms) - 1 if apart else 0)


def feynman_kac(
    world: World, num_steps: int, *, eta: float, sign: float = -0.5, nulls: bool = True,
    gain: Callable[[Interval], float] = lambda step: step.log_snr_gain,
) -> Gaussian:  # fmt: skip
    """The law of infinitely many weighted particles: a Gaussian times the exponential of a quadratic stays Gaussian.

    It is wrong with another ``sign``, without ``nulls`` or with another ``gain`` than that of log SNR.
    """
    here = start()
    coefficients = world.coefficients if nulls else torch.where(world.coefficients > 0, world.coefficients, 0)

    def cost(z: Tensor, step: Interval) -> Tensor:
        eps = ways.predict(world, z, step)
        apart = eps - weighted(world.coefficients, eps)
        return weighted(coefficients, apart.square().sum(dim=-1))

    for step in chain(num_steps):
        if not step.is_last:
            # A quadratic of two variables is known by its values at six points.
            points = torch.tensor([(0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1)], dtype=torch.float64)
            zero, x, y, xx, yy, xy = cost(points, step)
            mixed = xy - x - y + zero
            hessian = torch.stack([xx - 2 * x + zero, mixed, mixed, yy - 2 * y + zero]).view(2, 2)
            slope = torch.stack([x - zero - hessian[0, 0] / 2, y - zero - hessian[1, 1] / 2])
            scale = sign * gain(step)  # log weight = scale * cost
            precision = here.covariance.inverse() - scale * hessian
            shift = here.covariance.inverse() @ here.mean + scale * slope
            here = Gaussian(torch.linalg.solve(precision, shift), precision.inverse())
            if torch.linalg.eigvalsh(precision).min() <= 0:
                raise ArithmeticError("the weighted covariance is not positive")
        here = Affine.of(ways.equation_10(world, [step], eta=eta), int(eta > 0 and not step.is_last))(here)
    return here


def moments(points: Tensor) -> Gaussian:
    return Gaussian(points.mean(dim=0), points.T.cov())


def weighted_particles(
    world: World, num_steps: int, count: int, images: int, *, eta: float = 1.0, resampled: bool = True
) -> Tensor:
    """Images of ``count`` particles each, resampled at every step or picked once at the end."""
    numbers, dimension = Numbers(0), len(world.product.mean)
    many = numbers.normal(torch.empty(images * count, dimension))
    logs = torch.zeros(images, count, dtype=torch.float64)
    for step in chain(num_steps):
        eps = ways.predict(world, many, step)
        logs = logs + log_weight_gain(eps, world.coefficients, step).view(images, count)
        noise = None if step.is_last or not eta else numbers.normal(many)
        many = ddim(many, clean_image(many, weighted(world.coefficients, eps), step), step, eta=eta, noise=noise)
        if resampled and not step.is_last:
            kept = systematic(logs, numbers.uniform(images))
            rows = many.view(images, count, dimension)
            many = rows.gather(1, kept[..., None].expand(-1, -1, dimension)).flatten(0, 1)
            logs = torch.zeros_like(logs)
    chosen = torch.multinomial(logs.softmax(dim=1), 1, generator=numbers.generator)[:, 0]
    return many.view(images, count, dimension)[torch.arange(images), chosen]


def copies(count: int) -> World:
    """Independent copies of the dependent world, as one world of many dimensions."""
    terms = tuple(Gaussian(t.mean.repeat(count), torch.block_diag(*[t.covariance] * count)) for t in DEPENDENT.terms)
    return World(terms, DEPENDENT.coefficients)
