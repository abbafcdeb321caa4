"""Samplers of the combinations: limits in which they are Eq. 10, batches that do not matter, and what they refuse."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from tiny import tiny_denoiser

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining import worlds
from lightning_mmdiff.methods.combining.autoguidance import Autoguided
from lightning_mmdiff.methods.combining.choosing import (
    BlendBySaliency,
    SaliencyBlend,
    Switch,
    Switching,
    most_salient,
    saliency,
)
from lightning_mmdiff.methods.combining.feynman_kac import systematic
from lightning_mmdiff.methods.combining.feynman_kac_sampling import FeynmanKac
from lightning_mmdiff.methods.combining.guidance import in_interval, plus_plus
from lightning_mmdiff.methods.combining.langevin_sampling import Corrected
from lightning_mmdiff.methods.combining.own_latents_sampling import OwnLatents
from lightning_mmdiff.methods.combining.steps import ddim, intervals
from lightning_mmdiff.methods.combining.superdiff import and_move, drift, log_density_gain, moved, or_weights
from lightning_mmdiff.methods.combining.superdiff_sampling import SuperDiff
from lightning_mmdiff.methods.combining.world_sampling import predict
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer, unite
from lightning_mmdiff.respaced import respace
from lightning_mmdiff.schedules import Sampler, cosine, linear

DETERMINISTIC = Sampler(name="spaced-ddim", num_steps=5)
STOCHASTIC = Sampler(name="spaced-ddim", num_steps=5, eta=1.0)
HAIR, SKIN = tiny_denoiser(0), tiny_denoiser(1, spatial=(("skin", 1),))
EXPERTS = (Expert(denoiser=HAIR, conditions=("hair",)), Expert(denoiser=SKIN, conditions=("skin",)))

METHODS: dict[str, Callable] = {
    "saliency": partial(SaliencyBlend, guidance=2.0, blur=1.0, sampler=DETERMINISTIC),
    "switch": partial(Switching, switch=500, sampler=DETERMINISTIC),
    "own latents": partial(OwnLatents, theta=0.5, sampler=DETERMINISTIC),
    "langevin": partial(Corrected, corrections=2, delta=0.1, adjusted=False, sampler=DETERMINISTIC),
    "metropolis": partial(Corrected, corrections=2, delta=0.1, adjusted=True, sampler=STOCHASTIC),
    "and": partial(SuperDiff, operation="and", sampler=DETERMINISTIC),
    "or": partial(SuperDiff, operation="or", sampler=DETERMINISTIC),
    "particles": partial(FeynmanKac, particles=3, weighted_particles=True, sampler=STOCHASTIC),
    "autoguided": partial(Autoguided, weak=EXPERTS[::-1], sampler=DETERMINISTIC),
    "random particle": partial(FeynmanKac, particles=3, weighted_particles=False, sampler=STOCHASTIC),
}


def batch(*numbers: int) -> dict:
    draws = torch.Generator().manual_seed(5)
    maps = {name: torch.randint(256, (8, 1, 8, 8), generator=draws, dtype=torch.uint8) for name in ("hair", "skin")}
    return {"index": torch.tensor(numbers), "conditions": {n: m[list(numbers)] for n, m in maps.items()}}


@pytest.mark.parametrize("name", METHODS)
def test_image_i_depends_on_its_number_alone(name: str) -> None:
    method = METHODS[name](EXPERTS, sampling_seed=7)
    together = method.predict_step(batch(0, 1, 2, 5))
    apart = torch.cat([method.predict_step(batch(5, 2)).flip(0), method.predict_step(batch(0))])
    assert together.shape == (4, 3, 8, 8)
    assert (together[[2, 3, 0]].int() - apart.int()).abs().max() <= 1
    assert len({image.numpy().tobytes() for image in together}) == 4


def test_own_latents_at_theta_0_are_equation_10() -> None:
    own = OwnLatents(EXPERTS, theta=0.0, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    united = UniteAndConquer(EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert (own.int() - united.int()).abs().max() <= 1
    other = OwnLatents(EXPERTS, theta=1.0, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert not torch.equal(other, united)


def test_own_latents_of_one_expert_are_that_expert() -> None:
    own = OwnLatents(EXPERTS[:1], theta=0.7, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    alone = UniteAndConquer(EXPERTS[:1], sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert (own.int() - alone.int()).abs().max() <= 1


def test_one_particle_is_equation_10_with_noise() -> None:
    one = FeynmanKac(EXPERTS, particles=1, weighted_particles=True, sampler=DETERMINISTIC)
    united = UniteAndConquer(EXPERTS, sampler=DETERMINISTIC)
    assert (one.predict_step(batch(0, 1)).int() - united.predict_step(batch(0, 1)).int()).abs().max() <= 1


def test_strong_copies_of_no_condition_guide_as_the_null_condition_does() -> None:
    null = [replace(e, conditions=()) for e in EXPERTS]
    same = Autoguided(EXPERTS, null, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert (
        same.int() - UniteAndConquer(EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1)).int()
    ).abs().max() <= 1
    other = Autoguided(EXPERTS, EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert not torch.equal(same, other)


def test_guided_by_themselves_experts_are_their_average() -> None:
    """w = 1, a = 1/2: e1 + e2 - (e1 + e2) / 2."""
    own = Autoguided(EXPERTS, EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    average = Composable(EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert (own.int() - average.int()).abs().max() <= 1


def test_tiny_corrections_change_nothing() -> None:
    corrected = Corrected(EXPERTS, corrections=1, delta=1e-12, adjusted=False, sampler=DETERMINISTIC)
    united = UniteAndConquer(EXPERTS, sampler=DETERMINISTIC).predict_step(batch(0, 1))
    assert (corrected.predict_step(batch(0, 1)).int() - united.int()).abs().max() <= 1


def test_systematic_resampling_keeps_each_particle_as_often_as_it_weighs() -> None:
    assert systematic(torch.zeros(5), torch.tensor(0.3)).tolist() == [0, 1, 2, 3, 4]
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    assert systematic(shares.repeat(2), torch.tensor(0.75)).bincount(minlength=8).tolist() == [2, 1, 0, 1, 2, 1, 0, 1]
    assert systematic(torch.tensor([0.0, -1e9]), torch.tensor(0.999)).tolist() == [0, 0]
    kept = systematic(shares.expand(100, 4), torch.arange(100) / 100)  # an image for each draw
    counts = torch.stack([image.bincount(minlength=4) for image in kept]).double().mean(0)
    assert counts.tolist() == pytest.approx([2, 1, 0.5, 0.5], abs=0.03)


def test_and_changes_both_log_densities_by_the_same_amount() -> None:
    draws = torch.Generator().manual_seed(0)
    eps = torch.randn(2, 4, 3, 8, 8, generator=draws, dtype=torch.float64)
    noise = torch.randn(4, 3, 8, 8, generator=draws, dtype=torch.float64)
    for step in intervals(linear(), respace(1000, "10")[::-1]).values():
        gains = log_density_gain(eps, and_move(eps, step, noise), step)
        torch.testing.assert_close(gains[0], gains[1])
        plain = log_density_gain(eps, drift(eps.mean(0), step, noise), step)
        assert (plain[0] - plain[1]).abs().min() > 1e-3 or step.is_last


def test_or_follows_the_likelier_expert() -> None:
    assert or_weights(torch.tensor([[0.0, 900.0], [0.0, 0.0]])).T.tolist() == [[0.5, 0.5], [1, 0]]


def test_and_makes_both_experts_equally_likely_in_the_gaussian_world() -> None:
    world, draws = worlds.dependent_world(), torch.Generator().manual_seed(0)
    first, second = world.terms[:2]
    experts = worlds.World((first, second), worlds.tensor([0.5, 0.5]))
    z = torch.randn(4000, 2, dtype=torch.float64, generator=draws)
    average = z.clone()
    for step in intervals(linear(), respace(1000, "100")[::-1]).values():
        noise = torch.randn(z.shape, dtype=torch.float64, generator=draws)
        z = moved(z, and_move(predict(experts, z, step), step, noise), step)
        eps = predict(experts, average, step).mean(0)
        average = moved(average, drift(eps, step, noise), step)

    def spread(x: torch.Tensor) -> float:
        logs = [torch.distributions.MultivariateNormal(g.mean, g.covariance).log_prob(x) for g in (first, second)]
        return float((logs[0] - logs[1]).std())

    assert spread(z) == pytest.approx(0.015, abs=0.003)
    assert spread(average) == pytest.approx(4.7, abs=0.3)


def test_guidance_plus_plus_is_guided_ddim() -> None:
    schedule, sampler, strength = linear(), Sampler(name="spaced-ddim", num_steps=25, clip=False), 0.6
    weight = plus_plus(schedule, sampler, strength)
    draws = torch.Generator().manual_seed(0)
    z, cond, null = torch.randn(3, 2, 4, dtype=torch.float64, generator=draws)
    for t, step in intervals(schedule, respace(1000, "25")[::-1]).items():
        mixed = null + strength * (cond - null)
        by_hand = step.alpha_next * (z - step.sigma * mixed) / step.alpha + step.sigma_next * null
        guided = null + weight(t) * (cond - null)
        torch.testing.assert_close(ddim(z, (z - step.sigma * guided) / step.alpha, step), by_hand)
    assert sorted(weight(t) for t in respace(1000, "25"))[12] == pytest.approx(2.35, abs=0.02)


def test_guidance_in_an_interval_of_noise_levels() -> None:
    total = in_interval(linear(), 2.0, 0.28, 1.61)
    inside = [t for t in range(1000) if total(t) == 2]
    assert inside == list(range(inside[0], inside[-1] + 1))
    assert (inside[0], inside[-1]) == pytest.approx((83, 352), abs=1)
    assert {total(t) for t in (0, 80, 355, 999)} == {1.0}
    calls = in_interval(cosine(), 2.0, 0.28, 1.61)
    assert next(t for t in range(1000) if calls(t) == 2) == pytest.approx(169, abs=3)  # the paper's .28 is rounded


def test_blending_by_saliency_is_equation_10_on_independent_parts() -> None:
    draws = torch.Generator().manual_seed(0)
    null = torch.randn(1, 2, 3, 4, 8, dtype=torch.float64, generator=draws).expand(2, -1, -1, -1, -1)
    change = torch.randn(2, 2, 3, 4, 8, dtype=torch.float64, generator=draws)
    change[0, ..., 4:], change[1, ..., :4] = 0, 0
    cond, ones = null + change, torch.ones(2, dtype=torch.float64)
    blended = most_salient(cond, saliency(cond, null, blur=0))
    torch.testing.assert_close(blended, unite(cond, null, ones, ones / 2))


def test_methods_refuse_what_they_cannot_do() -> None:
    with pytest.raises(UserError, match="must be ddim or spaced-ddim, not unipc"):
        OwnLatents(EXPERTS, theta=None, sampler=Sampler(name="unipc", num_steps=5)).predict_step(batch(0))
    with pytest.raises(UserError, match="set the sampler's eta to 0"):
        OwnLatents(EXPERTS, theta=None, sampler=STOCHASTIC).predict_step(batch(0))
    with pytest.raises(UserError, match="do not depend on time"):
        OwnLatents([Expert(denoiser=HAIR, conditions=("hair",), weight=lambda t: 2.0)], theta=1, sampler=DETERMINISTIC)
    with pytest.raises(UserError, match="AND is for two experts, got 1"):
        SuperDiff(EXPERTS[:1], operation="and", sampler=DETERMINISTIC)
    with pytest.raises(UserError, match="between two experts, got 0"):
        Switch(experts=())
    with pytest.raises(UserError, match="blur=-1"):
        BlendBySaliency(experts=(), blur=-1)
