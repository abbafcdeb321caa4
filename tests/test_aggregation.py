"""Forward aggregation: Theorem 2 against brute-force conditioning, and what each schedule of weights does to samples."""

import pytest
import torch
from torch import Tensor

from benchmarks import aggregation_collapse
from lightning_mmdiff import schedules
from lightning_mmdiff.methods.mt_diffusion.aggregation import (
    ShiftedScheduler,
    aggregate,
    posterior,
    shift_from_weights,
    shift_table,
    weights_from_shift,
)
from lightning_mmdiff.schedules import Sampler, make_scheduler

NAMES = ("none", "consistent", "paper", "mean_reverting")
EXACT = {"atol": 1e-12, "rtol": 0}
ANCESTRAL = Sampler(name="spaced-ddpm", num_steps=1000, clip=False)
RESPACED = Sampler(name="spaced-ddpm", num_steps=250, clip=False)


def random_chain(seed: int, modalities: int, steps: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """alpha_t [T], w_t^i [N, T], and (z_0, E_1 ... E_N) of one scalar image, all random."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    return 0.3 + 0.6 * draw(steps), 4 * draw(modalities, steps) - 2, 4 * draw(1 + modalities) - 2


def brute_force(alpha: Tensor, weights: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [T + 1] and covariance [T + 1, T + 1] of z_0 ... z_T, step by step from Eq. 3."""
    steps = len(alpha)
    mean, covariance = (
        torch.zeros(steps + 1, dtype=torch.float64),
        torch.zeros(steps + 1, steps + 1, dtype=torch.float64),
    )
    mean[0] = data[0]
    for t in range(1, steps + 1):
        a = alpha[t - 1]
        mean[t] = a.sqrt() * (mean[t - 1] + weights[:, t - 1] @ data[1:])  # Eq. 3
        covariance[t, :t] = covariance[:t, t] = a.sqrt() * covariance[t - 1, :t]
        covariance[t, t] = a * covariance[t - 1, t - 1] + 1 - a
    return mean, covariance


@pytest.mark.parametrize("modalities", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_marginal_and_posterior_equal_brute_force_conditioning(modalities: int, seed: int) -> None:
    alpha, weights, data = random_chain(seed, modalities)
    alpha_bar = alpha.cumprod(0)
    shifts = torch.stack([shift_from_weights(w, alpha_bar) for w in weights])
    mean, covariance = brute_force(alpha, weights, data)
    encodings = data[1:].view(1, -1, 1, 1, 1)
    for t in range(len(alpha)):  # index t is the paper's t + 1
        marginal = alpha_bar[t].sqrt() * data[0] + aggregate(shifts, encodings, t)  # Eq. 4
        torch.testing.assert_close(marginal.flatten()[0], mean[t + 1], **EXACT)
        torch.testing.assert_close(1 - alpha_bar[t], covariance[t + 1, t + 1], **EXACT)
        z = torch.tensor(0.7, dtype=torch.float64)
        gain = covariance[t, t + 1] / covariance[t + 1, t + 1]
        ours, variance = posterior(
            z.view(1, 1, 1, 1), data[:1].view(1, 1, 1, 1), encodings, shifts, alpha_bar, t
        )  # Eq. 5
        torch.testing.assert_close(ours.flatten()[0], mean[t] + gain * (z - mean[t + 1]), **EXACT)
        torch.testing.assert_close(variance, covariance[t, t] - gain * covariance[t + 1, t], **EXACT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_weights_and_shifts_are_inverses(name, schedule) -> None:
    alpha_bar = schedules.by_name(schedule).alpha_bar
    shift = shift_table(name, schedules.by_name(schedule))
    weights = weights_from_shift(shift, alpha_bar)
    torch.testing.assert_close(shift_from_weights(weights, alpha_bar), shift, atol=1e-12, rtol=1e-9)
    kept = torch.tensor([0, 37, 400, 999])  # a coarser chain has the same shifts at the steps that it keeps
    coarse = weights_from_shift(shift[kept], alpha_bar[kept])
    torch.testing.assert_close(shift_from_weights(coarse, alpha_bar[kept]), shift[kept], atol=1e-12, rtol=1e-9)


def test_named_weights() -> None:
    schedule = schedules.linear()
    alpha_bar = schedule.alpha_bar
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    weights = {name: weights_from_shift(shift_table(name, schedule), alpha_bar) for name in NAMES}
    torch.testing.assert_close(weights["consistent"], before.sqrt() / 1000, atol=1e-14, rtol=1e-9)
    torch.testing.assert_close(weights["paper"][500], torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(weights["paper"][999], torch.tensor(999.0, dtype=torch.float64))
    torch.testing.assert_close(weights["mean_reverting"], (before / alpha_bar).sqrt() - 1, atol=1e-12, rtol=1e-9)


def test_the_printed_weights_grow_to_thousands() -> None:
    linear, cosine = (shift_table("paper", schedules.by_name(name)) for name in ("linear", "cosine"))
    assert float(linear[999]) == pytest.approx(4547, abs=1)
    assert float(cosine[999]) == pytest.approx(51.8, abs=0.1)
    assert float(cosine.max()) == pytest.approx(898, abs=1)
    assert float(shift_table("consistent", schedules.cosine()).max()) == pytest.approx(0.354, abs=1e-3)


def world(modalities: int) -> Tensor:
    """Covariance [1 + N, 1 + N] of (z_0, E_1 ... E_N), standard deviations .5; E_1 is nearly z_0, the others less so."""
    correlation = torch.eye(1 + modalities, dtype=torch.float64)
    for i in range(modalities):
        correlation[0, i + 1] = correlation[i + 1, 0] = 0.9 / (i + 1)
    return 0.25 * correlation.clamp(min=0.3)


def sample(
    name, schedule, covariance: Tensor, sampler: Sampler, *, from_truth: bool = False, known: bool = False, count=20_000
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 in a Gaussian world with optimal heads.

    Args:
        name: of the weights, for every modality.
        schedule: of the noise.
        covariance: of (z_0, E), [1 + N, 1 + N].
        sampler: steps.
        from_truth: start at q(z_T | E) of drawn E, else at N(0, I).
        known: E is given, and the network reads it (-X), else estimated.
        count: samples.

    Returns:
        z_0 [count], and E as given or last estimated [N, count].
    """
    number = len(covariance) - 1
    shifts = shift_table(name, schedule).repeat(number, 1)
    scheduler = ShiftedScheduler(make_scheduler(sampler, schedule), shifts)
    scheduler.set_timesteps(sampler.num_steps)
    g = torch.Generator().manual_seed(0)
    data = torch.linalg.cholesky(covariance) @ torch.randn(1 + number, count, generator=g, dtype=torch.float64)
    truth = data[1:].view(1, number, 1, 1, count)
    z = torch.randn(1, 1, 1, count, generator=g, dtype=torch.float64)
    z = z + aggregate(shifts, truth, scheduler.timesteps[0]) if from_truth else z
    given_e = covariance[0, 1:] @ torch.linalg.inv(covariance[1:, 1:])  # regression of z_0 on E, [N]
    residual = covariance[0, 0] - given_e @ covariance[1:, 0]
    for t in scheduler.timesteps:
        gains = torch.cat([schedule.alpha[t].view(1), shifts[:, t]])  # of (z_0, E) in z_t
        sigma = schedule.sigma[t]
        if known:
            alpha, mean = schedule.alpha[t], torch.einsum("n,bnchw->bchw", given_e, truth)
            y = z - aggregate(shifts, truth, t)
            eps, encodings = sigma * (y - alpha * mean) / (alpha**2 * residual + sigma**2), truth
        else:
            variance = gains @ covariance @ gains + sigma**2
            eps, encodings = sigma / variance * z, ((covariance @ gains)[1:, None] / variance * z.flatten())
            encodings = encodings.view(1, number, 1, 1, count)
        z = scheduler.step(torch.cat([eps, encodings.flatten(1, 2)], 1), t, z, [g]).prev_sample
    return z.flatten(), encodings.view(number, count)


def assert_world(covariance: Tensor, z0: Tensor, encodings: Tensor) -> None:
    """z_0 and its covariance with the (expected) encodings are those of the world."""
    found = torch.cov(torch.cat([z0[None], encodings]))
    assert abs(float(z0.mean())) < 0.015
    torch.testing.assert_close(found[0], covariance[0], atol=0.016, rtol=0)


@pytest.mark.parametrize(("name", "from_truth"), [("none", False), ("consistent", False), ("mean_reverting", True)])
@pytest.mark.parametrize("modalities", [1, 3])
def test_every_schedule_recovers_a_gaussian_world_from_its_own_start(name, from_truth, modalities) -> None:
    covariance = world(modalities)
    z0, encodings = sample(name, schedules.cosine(), covariance, RESPACED, from_truth=from_truth)
    assert_world(covariance, z0, encodings)


def test_the_printed_weights_need_the_true_start() -> None:
    covariance = world(1)
    z0, encodings = sample("paper", schedules.linear(), covariance, ANCESTRAL, from_truth=True)
    assert_world(covariance, z0, encodings)


@pytest.mark.parametrize(
    ("schedule", "correlation", "std"),
    [("linear", 0.0, 0.174), ("linear", 0.9, 0.145), ("cosine", 0.0, 0.094), ("cosine", 0.9, 0.079)],
)
def test_the_printed_weights_collapse_from_noise(schedule, correlation, std) -> None:
    covariance = 0.25 * torch.tensor([[1, correlation], [correlation, 1]], dtype=torch.float64)
    z0, _ = sample("paper", schedules.by_name(schedule), covariance, ANCESTRAL, count=5000)
    assert float(z0.std()) == pytest.approx(std, abs=0.006)  # the truth is .5


def test_the_figure_of_the_pitfalls(tmp_path) -> None:
    """Its variances are exact: samples scatter around them."""
    aggregation_collapse.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for from_truth, std in ((False, 0.0788), (True, 0.4989)):
        exact, _ = aggregation_collapse.sampled_and_true_std("paper", schedules.cosine(), from_truth=from_truth)
        assert float(exact[0]) == pytest.approx(std, abs=1e-4)
    z0, _ = sample("paper", schedules.cosine(), aggregation_collapse.COVARIANCE, ANCESTRAL)
    assert float(z0.std()) == pytest.approx(0.0788, abs=0.0015)


@pytest.mark.parametrize("name", NAMES)
def test_known_modalities_give_the_conditional_world(name) -> None:
    covariance = world(2)
    z0, encodings = sample(name, schedules.cosine(), covariance, RESPACED, from_truth=True, known=True)
    found = torch.cov(torch.cat([z0[None], encodings]))
    torch.testing.assert_close(found, covariance, atol=0.012, rtol=0)


@pytest.mark.parametrize("name", ["ddim", "spaced-ddim", "dpm-solver++", "unipc"])
def test_few_step_samplers_recover_the_world_with_estimated_encodings(name) -> None:
    """UniPC's corrector starts from the y it remembers: unless that is restated under the new estimate, the std is .567."""
    covariance = world(1)
    z0, encodings = sample("consistent", schedules.cosine(), covariance, Sampler(name=name, num_steps=100, clip=False))
    torch.testing.assert_close(torch.cov(torch.cat([z0[None], encodings]))[0], covariance[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4)])
def test_shifted_ddim_is_the_derived_formula(shape) -> None:
    schedule, g = schedules.linear(), torch.Generator().manual_seed(0)
    z0, eps = (torch.randn(shape, generator=g, dtype=torch.float64).clamp(-1, 1) for _ in range(2))
    encodings = torch.randn(2, 2, *shape[1:], generator=g, dtype=torch.float64)
    shifts = torch.stack([shift_table("consistent", schedule), shift_table("mean_reverting", schedule)])
    scheduler = ShiftedScheduler(make_scheduler(Sampler(name="spaced-ddim", num_steps=7), schedule), shifts)
    scheduler.set_timesteps(7)
    output = torch.cat([eps, encodings.flatten(1, 2)], dim=1)
    for t, s in zip(scheduler.timesteps[:-1], scheduler.timesteps[1:]):
        at = lambda u: schedule.add_noise(z0, eps, u) + aggregate(shifts, encodings, u)  # noqa: E731, B023
        torch.testing.assert_close(scheduler.step(output, t, at(t)).prev_sample, at(s), atol=1e-10, rtol=0)
    last = scheduler.timesteps[-1]
    torch.testing.assert_close(scheduler.step(output, last, at(last)).prev_sample, z0, atol=1e-10, rtol=0)


def test_a_step_of_the_shifted_ddpm_has_the_mean_and_variance_of_equation_5() -> None:
    schedule, g = schedules.cosine(), torch.Generator().manual_seed(1)
    z0, eps = torch.randn(2, 1, 1, 1, 40_000, generator=g, dtype=torch.float64)
    encodings = torch.full((1, 1, 1, 1, 40_000), 0.8, dtype=torch.float64)
    shifts = shift_table("paper", schedule)[None]
    scheduler = ShiftedScheduler(make_scheduler(ANCESTRAL, schedule), shifts)
    scheduler.set_timesteps(1000)
    t = torch.tensor(500)
    z = schedule.add_noise(z0, eps, t) + aggregate(shifts, encodings, t)
    step = scheduler.step(torch.cat([eps, encodings[:, 0]], 1), t, z, [g]).prev_sample
    mean, variance = posterior(z, z0, encodings, shifts, schedule.alpha_bar, 500)
    noise = step - mean
    assert abs(float(noise.mean())) < 4 * float((variance / 40_000).sqrt())
    assert float(noise.var() / variance) == pytest.approx(1, abs=0.03)  # Algorithm 1 prints beta~ for the deviation


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown aggregation 'other'"):
        shift_table("other", schedules.linear())  # type: ignore[arg-type]
