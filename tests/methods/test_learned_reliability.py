"""Reliabilities per timestep: known optima on Gaussians, the neighbor with constants, and what is stored."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tiny import tiny_denoiser
from torch import Tensor

from lightning_mmdiff import seeding
from lightning_mmdiff.methods.learned_reliability import (
    LearnedReliability,
    ReliabilityConfig,
    chebyshev,
    residual_products,
    united_error,
)
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer, unite
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="ddim", num_steps=3)
ASKED = (("hair",), ("skin",))
FAST = OptimizerConfig(lr=0.1, betas=(0.9, 0.99), decay_steps=150)


def learned(**options) -> LearnedReliability:
    experts = [tiny_denoiser(0), tiny_denoiser(1, spatial=(("skin", 1),))]
    return LearnedReliability(experts, ReliabilityConfig(conditions=ASKED, **options), sampler=SAMPLER)


def batch(size: int = 4, seed: int = 1) -> dict:
    g = torch.Generator().manual_seed(seed)
    maps = {n: torch.randint(0, 256, (size, 1, 8, 8), generator=g, dtype=torch.uint8) for n in ("hair", "skin")}
    image = torch.randint(0, 256, (size, 3, 8, 8), generator=g, dtype=torch.uint8)
    return {"index": torch.arange(size), "image": image, "conditions": maps}


def train(model: LearnedReliability, steps: int = 150, give=batch) -> LearnedReliability:
    configured = model.configure_optimizers()
    optimizer, rate = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for step in range(steps):
        optimizer.zero_grad()
        model.loss(give(), seeding.step_generator(0, step)).backward()
        optimizer.step()
        rate.step()
    return model


def test_starts_at_constant_reliability() -> None:
    model = learned()
    constant = UniteAndConquer(
        [Expert(denoiser=e.denoiser, conditions=e.conditions) for e in model.experts], sampler=SAMPLER
    )
    weight, reliability = model.curves(torch.arange(1000))
    assert torch.equal(weight, torch.ones(1000, 2, dtype=torch.float64))
    assert torch.equal(reliability, torch.full((1000, 2), 0.5, dtype=torch.float64))
    assert torch.equal(model.predict_step(batch()), constant.predict_step(batch()))


def test_error_of_the_products_is_the_error_of_equation_10() -> None:
    g = torch.Generator().manual_seed(0)
    c, u = (torch.randn(3, 2, 4, 5, 5, generator=g, dtype=torch.float64) for _ in range(2))
    eps = torch.randn(2, 4, 5, 5, generator=g, dtype=torch.float64)
    weight, reliability = torch.tensor([0.7, 1.5, 2.0]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    expected = (unite(c, u, weight, reliability) - eps).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(united_error(residual_products(c, u, eps), weight, reliability), expected)


def test_curves_are_smooth_polynomials_of_time() -> None:
    t = torch.arange(1000)
    terms = chebyshev(t, 1000, 4)
    u = 2 * t.double() / 999 - 1
    torch.testing.assert_close(terms, torch.stack([u**0, u, 2 * u**2 - 1, 4 * u**3 - 3 * u], dim=1))
    model = learned()
    with torch.no_grad():
        model.weight_terms.normal_()
        model.reliability_terms.normal_()
    weight, reliability = model.curves(t)
    assert weight.min() > 0
    torch.testing.assert_close(reliability.sum(1), torch.ones(1000, dtype=torch.float64))


class Oracle(LearnedReliability):
    """Experts replaced by exact predictions for a Gaussian world: the image is two independent halves, rows 0-3 and 4-7;
    expert i knows half i exactly as far as ``knows`` says, and the prior elsewhere.
    """

    def predictions(self, z: Tensor, t: Tensor, conditions) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.schedule.coefficients(t, z)
        null = sigma * z  # z_0 ~ N(0, 1): E[eps | z_t]
        informed = (z - alpha * conditions["mean"]) * sigma / (alpha**2 * 0.1 + sigma**2)  # z_0 ~ N(mean, 0.1)
        half = torch.zeros_like(z)
        half[..., :4, :] = 1
        cond = torch.stack([half * informed + (1 - half) * null, (1 - half) * informed + half * null])
        return cond, torch.stack([null, null])


def gaussian_batch() -> dict:
    g = torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))
    mean = 0.9**0.5 * torch.randn(16, 3, 8, 8, generator=g)
    return {"image": mean + 0.1**0.5 * torch.randn(16, 3, 8, 8, generator=g), "conditions": {"mean": mean}}


@pytest.fixture
def real_valued(monkeypatch):
    """Gaussian images do not fit into bytes."""
    monkeypatch.setattr(Denoiser, "clean", lambda model, batch, generator: batch["image"])


def oracle(**options) -> Oracle:
    experts = [tiny_denoiser(0), tiny_denoiser(1, spatial=(("skin", 1),))]
    return Oracle(experts, ReliabilityConfig(conditions=ASKED, **options), sampler=SAMPLER)


def test_independent_conditions_need_unit_weights(real_valued) -> None:
    """Each expert knows its half: the product of experts with w = 1 is exact (Eq. 8), and that is what is learned."""
    torch.manual_seed(0)
    model = oracle(optimizer=FAST)
    with torch.no_grad():  # start elsewhere
        model.weight_terms[:, 0] = torch.tensor([-0.7, 0.4])
        model.weight_terms[:, 1] = 0.2
    weight, _ = train(model, give=gaussian_batch).curves(torch.arange(50, 950))
    torch.testing.assert_close(weight, torch.ones_like(weight), atol=0.05, rtol=0)


def test_without_guidance_the_better_expert_gets_its_share(real_valued) -> None:
    """At sum w = 1 the nulls drop out; with independent errors of variance v_i(t) the optimum is w_i = v_j / (v_i + v_j)."""

    class Noisy(LearnedReliability):
        def predictions(self, z: Tensor, t: Tensor, conditions) -> tuple[Tensor, Tensor]:
            scale = torch.stack([0.2 + t / 1000, 1.2 - t / 1000]).sqrt().view(2, -1, 1, 1, 1)  # v_1 grows, v_2 falls
            cond = conditions["eps"] + scale * torch.randn(2, *z.shape)
            return cond, torch.zeros_like(cond)

        def _observe(self, batch, generator, products, counts) -> None:
            state = generator.get_state()
            torch.randint(1000, (len(batch["image"]),), generator=generator)
            eps = torch.randn(batch["image"].shape, generator=generator)
            generator.set_state(state)
            super()._observe({**batch, "conditions": {"eps": eps}}, generator, products, counts)

    torch.manual_seed(0)
    experts = [tiny_denoiser(0), tiny_denoiser(1, spatial=(("skin", 1),))]
    model = Noisy(experts, ReliabilityConfig(conditions=ASKED, total_weight=1.0, optimizer=FAST))
    t = torch.arange(0, 1000, 50)
    weight, _ = train(model, give=gaussian_batch).curves(t)
    u = t / 1000
    expected = torch.stack([(1.2 - u) / 1.4, (0.2 + u) / 1.4], dim=1).double()
    torch.testing.assert_close(weight, expected, atol=0.03, rtol=0)


def test_finds_the_optimum_of_another_optimizer() -> None:
    """Constant curves, arbitrary products of residuals: the same minimum as scipy's under the same constraints."""
    model = learned(num_terms=1, num_bins=1)
    a = torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model.products[0], model.counts[0] = a @ a.T + 0.2 * torch.eye(4), 1.0
    model._observe = lambda *_: None
    model.optimizer_config = OptimizerConfig(lr=0.1, decay_steps=400)
    train(model, steps=400)

    def error(x: np.ndarray) -> float:
        w, r = torch.from_numpy(np.exp(x[:2])), torch.from_numpy(x[2:]).softmax(0)
        return united_error(model.products[0], w, r).item()

    best = min(minimize(error, start, method="Nelder-Mead").fun for start in (np.zeros(4), np.ones(4)))
    weight, reliability = model.curves(torch.tensor(500))
    assert united_error(model.products[0], weight, reliability).item() == pytest.approx(best, rel=0.02)


def test_total_weight_fixes_the_guidance() -> None:
    model = train(learned(total_weight=2.0), steps=20)
    weight, _ = model.curves(torch.arange(1000))
    torch.testing.assert_close(weight.sum(1), torch.full((1000,), 2.0, dtype=torch.float64))
    assert (weight[:, 0] - weight[:, 1]).abs().max() > 1e-3  # it did learn


def test_nothing_is_forgotten_and_only_the_curves_are_stored(tmp_path) -> None:
    model = train(learned(), steps=6)
    assert model.counts.sum() == 6 * 4
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == {"weight_terms", "reliability_terms", "products", "counts"}
    checkpoints.save_weights(model, tmp_path / "w.safetensors", {})
    other = learned()
    checkpoints.load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(other.predict_step(batch()), model.predict_step(batch()))
    assert not torch.equal(other.predict_step(batch()), learned().predict_step(batch()))


def test_experts_are_frozen() -> None:
    model = learned().train()
    model.loss(batch(), seeding.step_generator(0, 0)).backward()
    assert all(p.grad is None for p in model.models.parameters())
    assert not any(m.training for m in model.models.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_weight": 0.0}, "total_weight=0.0; expected a number above 0"),
        ({"num_terms": 0}, "num_terms=0; expected at least 1"),
    ],
)
def test_bad_input_is_one_sentence(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learned(**options)


def test_every_expert_needs_its_conditions() -> None:
    with pytest.raises(ValueError, match="1 experts were given with conditions for 2"):
        LearnedReliability([tiny_denoiser()], ReliabilityConfig(conditions=ASKED))
