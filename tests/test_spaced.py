"""The respaced sampler against formulas of the DDIM and Improved DDPM papers, and the bound against integration."""

import math

import pytest
import torch

from lightning_mmdiff.bound import discretized_log_likelihood, gaussian_kl, variational_bound
from lightning_mmdiff.respaced import (
    RespacedScheduler,
    make_posterior_table,
    respace,
)
from lightning_mmdiff.schedules import by_name

STEPS = (1, 2, 50, 97, 98)  # places in a chain of 100 for which formulas are checked; 0 has no noise


def scheduler(name: str = "linear", num_steps: int = 100, **options) -> RespacedScheduler:
    spaced = RespacedScheduler(by_name(name).alpha_bar, **options)
    spaced.set_timesteps(num_steps)
    return spaced


def test_respacing():
    assert respace(1000, "100") == [round(i * 999 / 99) for i in range(100)]
    assert respace(1000, "ddim100") == list(range(0, 1000, 10))
    assert respace(1000, "1000") == list(range(1000))
    assert respace(300, "10,15,20")[:3] == [0, 11, 22]
    assert [len(respace(1000, s)) for s in ("10,10,3,2,2", "fast27")] == [27, 27]
    assert respace(1000, "fast27")[-2:] == [800, 997]


@pytest.mark.parametrize("spacing", ["2000", "ddim600", "often", "0", "10,-1", "ddim25,75"])
def test_impossible_respacings_are_refused(spacing):
    with pytest.raises(ValueError, match="spacing"):
        respace(1000, spacing)


def test_spacing_must_keep_num_steps():
    spaced = RespacedScheduler(by_name("linear").alpha_bar, deterministic=True, spacing="ddim100")
    with pytest.raises(ValueError, match="keeps 100 steps, but num_steps is 50"):
        spaced.set_timesteps(50)


def test_network_sees_timesteps_of_the_original_schedule():
    spaced = scheduler(deterministic=True)
    assert spaced.timesteps.tolist()[:2] == [999, 989]
    assert spaced.timesteps.tolist()[-2:] == [10, 0]
    with pytest.raises(ValueError, match="t = 5"):
        spaced.step(torch.zeros(1, 1), 5, torch.zeros(1, 1))


def neighbors(name: str, k: int) -> tuple[int, float, float]:
    """Timestep k of 100, its alpha_bar and that of the step kept before it, by direct computation."""
    kept = [round(i * 999 / 99) for i in range(100)]
    alpha_bar = by_name(name).alpha_bar
    return kept[k], float(alpha_bar[kept[k]]), float(alpha_bar[kept[k - 1]])


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("k", STEPS)
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddim_step_is_eq_12_of_the_paper(name, k, eta, clip):
    z, eps, noise = (torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    t, a, b = neighbors(name, k)
    z0 = (z.double() - math.sqrt(1 - a) * eps) / math.sqrt(a)
    z0 = z0.clamp(-1, 1) if clip else z0
    direction = (z - math.sqrt(a) * z0) / math.sqrt(1 - a)
    sigma = eta * math.sqrt((1 - b) / (1 - a)) * math.sqrt(1 - a / b)
    expected = math.sqrt(b) * z0 + math.sqrt(1 - b - sigma**2) * direction + sigma * noise
    spaced = scheduler(name, deterministic=True, eta=eta, clip=clip)
    got = spaced.step(eps, t, z, generator=torch.Generator().manual_seed(2)).prev_sample
    torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range"])
@pytest.mark.parametrize("k", STEPS)
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddpm_step_is_the_posterior_of_the_chain(name, k, variance):
    z, eps, raw, noise = (torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(4))
    t, a, b = neighbors(name, k)
    beta = 1 - a / b
    z0 = ((z.double() - math.sqrt(1 - a) * eps) / math.sqrt(a)).clamp(-1, 1)
    # Bayes: N(z_s; sqrt(b) z_0, 1 - b) times N(z_t; sqrt(a / b) z_s, beta), as a Gaussian of z_s.
    precision = 1 / (1 - b) + (a / b) / beta
    mean = (math.sqrt(b) * z0 / (1 - b) + math.sqrt(a / b) * z / beta) / precision
    fraction = {"fixed_small": torch.tensor(0.0), "fixed_large": torch.tensor(1.0)}.get(
        variance, (raw + 1) / 2
    ).double()
    std = torch.exp(0.5 * (fraction * math.log(beta) - (1 - fraction) * math.log(precision)))
    output = torch.cat([eps, raw], dim=1) if variance == "learned_range" else eps
    spaced = scheduler(name, deterministic=False, variance=variance)
    got = spaced.step(output, t, z, generator=torch.Generator().manual_seed(3)).prev_sample
    torch.testing.assert_close(got.double(), mean + std * noise, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("deterministic", [True, False])
def test_last_step_returns_the_clean_image_without_noise(deterministic):
    spaced = scheduler(deterministic=deterministic, eta=1.0 if deterministic else 0.0)
    z, eps = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    result = spaced.step(eps, 0, z)
    torch.testing.assert_close(result.prev_sample, result.pred_original_sample)


def test_noise_of_an_image_depends_on_its_generator_alone():
    spaced = scheduler(deterministic=False)
    z = torch.zeros(3, 1, 4, 4)
    joint = spaced.step(z, 989, z, generator=[torch.Generator().manual_seed(i) for i in range(3)]).prev_sample
    alone = spaced.step(z[2:], 989, z[2:], generator=[torch.Generator().manual_seed(2)]).prev_sample
    assert torch.equal(joint[2:], alone)


def test_ddim_leaves_the_variance_alone_and_ddpm_asks_for_the_right_one():
    z, eps, raw = torch.randn(3, 2, 3, 4, 4)
    spaced = scheduler(deterministic=True)
    both = torch.cat([eps, raw], dim=1)
    assert torch.equal(spaced.step(both, 989, z).prev_sample, spaced.step(eps, 989, z).prev_sample)
    with pytest.raises(ValueError, match="predicts no variance"):
        scheduler(deterministic=False, variance="learned_range").step(eps, 989, z)
    with pytest.raises(ValueError, match="predicts a variance"):
        scheduler(deterministic=False).step(both, 989, z)


def test_kl_is_the_integral():
    x = torch.linspace(-30, 30, 400_001, dtype=torch.float64)
    q, p = torch.distributions.Normal(0.3, 0.7), torch.distributions.Normal(-0.5, 1.9)
    integral = torch.trapezoid(q.log_prob(x).exp() * (q.log_prob(x) - p.log_prob(x)), x)
    ours = gaussian_kl(*(torch.tensor(v, dtype=torch.float64) for v in (0.3, math.log(0.49), -0.5, math.log(3.61))))
    torch.testing.assert_close(ours, integral, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.1, 0.02), (-1.0, 0.3), (0.9, 1.0)])
def test_masses_of_all_pixel_values_add_up_to_one(mean, std):
    values = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    mean, log_variance = torch.tensor(mean, dtype=torch.float64), torch.tensor(2 * math.log(std), dtype=torch.float64)
    assert discretized_log_likelihood(values, mean, log_variance).exp().sum().item() == pytest.approx(1, abs=1e-6)


def bound_inputs(t: list[int]) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    z0 = torch.randint(0, 256, (len(t), 3, 4, 4)) / 127.5 - 1
    eps, times = torch.randn_like(z0), torch.tensor(t)
    return z0, by_name("linear").add_noise(z0, eps, times), eps, times


def test_bound_is_zero_for_the_true_posterior():
    z0, z, eps, t = bound_inputs([1, 500, 999])
    output = torch.cat([eps, torch.full_like(eps, -1)], dim=1)  # the true noise, and beta_tilde
    assert variational_bound(by_name("linear"), output, z0, z, t).abs().max() < 1e-5


@pytest.mark.parametrize("t", [3, 400, 999])
def test_bound_is_the_kl_of_the_two_gaussians(t):
    z0, z, eps, times = bound_inputs([t])
    raw, guess = torch.randn_like(z0), eps + 0.3 * torch.randn_like(eps)
    alpha_bar = by_name("linear").alpha_bar
    a, b = float(alpha_bar[t]), float(alpha_bar[t - 1])
    beta = 1 - a / b
    precision = 1 / (1 - b) + (a / b) / beta
    means = [
        (math.sqrt(b) * clean / (1 - b) + math.sqrt(a / b) * z.double() / beta) / precision
        for clean in (z0.double(), (z.double() - math.sqrt(1 - a) * guess) / math.sqrt(a))
    ]
    fraction = (raw.double() + 1) / 2
    std = torch.exp(0.5 * (fraction * math.log(beta) - (1 - fraction) * math.log(precision)))
    q = torch.distributions.Normal(means[0], precision**-0.5)
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(means[1], std)).mean() / math.log(2)
    ours = variational_bound(by_name("linear"), torch.cat([guess, raw], dim=1), z0, z, times)
    assert ours.shape == (1,)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-6)


def test_bound_at_zero_is_the_likelihood_of_the_pixels():
    z0, z, eps, t = bound_inputs([0])
    chain = make_posterior_table(by_name("linear").alpha_bar)
    ours = variational_bound(by_name("linear"), torch.cat([eps, torch.ones_like(eps)], dim=1), z0, z, t)
    std = float(chain.beta[0]) ** 0.5  # 0.01: a bin is 0.0078 wide; the mean is z_0 itself
    normal = torch.distributions.Normal(0.0, std)
    inner = (normal.cdf(torch.tensor(1 / 255)) - normal.cdf(torch.tensor(-1 / 255))).log2()
    assert ours.item() == pytest.approx(-inner.item(), rel=0.05)  # two pixel values in 256 own tails


def test_bound_trains_the_variance_only():
    z0, z, eps, t = bound_inputs([0, 1, 999])
    output = torch.randn(3, 6, 4, 4, requires_grad=True)
    variational_bound(by_name("linear"), output, z0, z, t).sum().backward()
    assert not output.grad[:, :3].any()
    assert output.grad[:, 3:].isfinite().all()
    assert output.grad[:, 3:].any()
