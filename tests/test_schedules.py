"""Schedules: closed forms, inverses, matching by log-SNR; samplers: exact scores of a Gaussian give it back."""

import math

import pytest
import torch

from lightning_mmdiff import schedules
from lightning_mmdiff.schedules import NoiseSchedule, Sampler, by_name, make_scheduler, match

NAMES = ("linear", "cosine", "scaled_linear")
SAMPLERS = ("ddpm", "ddim", "dpm-solver++", "unipc", "spaced-ddpm", "spaced-ddim")
T = torch.tensor([0, 1, 37, 500, 998, 999])


def exploding() -> NoiseSchedule:
    """z_t = z_0 + sigma_t eps, sigma from 0.01 to 100."""
    sigma = torch.logspace(-2, 2, 1000, dtype=torch.float64)
    return NoiseSchedule(torch.ones_like(sigma), sigma)


@pytest.mark.parametrize(
    ("name", "last", "tolerance"),
    [("linear", 4.036e-5, 1e-3), ("cosine", 2.429e-9, 1e-3), ("scaled_linear", 1.423e-4, 1e-3)],
)
def test_last_alpha_bar_is_that_of_the_released_code(name, last, tolerance):
    assert float(by_name(name).alpha_bar[-1]) == pytest.approx(last, rel=tolerance)


def test_betas():
    betas = schedules.linear().betas
    torch.testing.assert_close(betas, torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64))
    assert float(schedules.cosine().betas[-1]) == pytest.approx(0.999)
    assert (schedules.cosine().betas[:-1] < 0.999).all()
    u = torch.tensor(0.3, dtype=torch.float64)  # Improved DDPM, Eq. 17, at step 300 of 1000
    f = [math.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2 for x in (0.0, float(u))]
    assert float(schedules.cosine().alpha_bar[299]) == pytest.approx(f[1] / f[0])


@pytest.mark.parametrize("schedule", [by_name(n) for n in NAMES] + [exploding()])
def test_time_at_inverts_log_snr(schedule):
    t = torch.linspace(0, len(schedule) - 1, 777, dtype=torch.float64)
    torch.testing.assert_close(schedule.time_at(schedule.log_snr(t)), t, atol=1e-7, rtol=0)
    ends = schedule.time_at(torch.tensor([1e9, -1e9], dtype=torch.float64))
    assert ends.tolist() == [0, len(schedule) - 1]


@pytest.mark.parametrize("name", NAMES)
def test_fractional_times_stay_variance_preserving_and_agree_with_the_table(name):
    schedule = by_name(name)
    like = torch.zeros(3, 1, dtype=torch.float64)
    alpha, sigma = schedule.coefficients(torch.tensor([0.0, 123.456, 999.0]), like)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(like))
    assert alpha[0].item() == pytest.approx(float(schedule.alpha[0]), rel=1e-12)
    assert sigma[2].item() == pytest.approx(float(schedule.sigma[999]), rel=1e-12)
    assert float(schedule.alpha[124]) < alpha[1].item() < float(schedule.alpha[123])


@pytest.mark.parametrize("schedule", [by_name(n) for n in NAMES] + [exploding()])
def test_eps_v_and_clean_image_are_the_same_knowledge(schedule):
    torch.manual_seed(0)
    t = torch.tensor([0.0, 3.5, 250, 499])
    z0, eps = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64)
    z, v = schedule.add_noise(z0, eps, t), schedule.v_target(z0, eps, t)
    torch.testing.assert_close(schedule.eps_from_v(v, z, t), eps)
    torch.testing.assert_close(schedule.z0_from_eps(eps, z, t), z0)


def test_add_noise_has_the_variance_of_the_schedule():
    torch.manual_seed(0)
    schedule, z0 = by_name("linear"), 0.5 * torch.randn(len(T), 200_000)
    z = schedule.add_noise(z0, torch.randn_like(z0), T)
    expected = schedule.alpha_bar[T] * 0.25 + 1 - schedule.alpha_bar[T]
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.var(dim=1).double(), expected, rtol=0.02, atol=0)


def gaussian_eps(schedule: NoiseSchedule, z: torch.Tensor, t: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """E[eps | z_t] for z_0 ~ N(mean, std^2)."""
    alpha, sigma = schedule.coefficients(t, z)
    return sigma * (z - alpha * mean) / (alpha**2 * std**2 + sigma**2)


@pytest.mark.parametrize("other", [by_name("cosine"), by_name("scaled_linear"), exploding()])
def test_matched_schedules_give_the_same_noise(other):
    # Supplement 7.2: an expert of another schedule, asked through `match`, must answer as one of this schedule would.
    reference, z = by_name("linear"), torch.randn(4, 100, dtype=torch.float64)
    t = torch.tensor([100, 300, 500, 700])
    t_other, scale = match(reference, t, other)
    torch.testing.assert_close(other.log_snr(t_other), reference.log_snr(t))
    answer = gaussian_eps(other, scale[:, None] * z, t_other, 0.3, 0.5)
    torch.testing.assert_close(answer, gaussian_eps(reference, z, t, 0.3, 0.5))
    assert (gaussian_eps(other, z, t, 0.3, 0.5) - answer).abs().max() > 0.01  # the naive call is wrong
    alpha, alpha_other = reference.coefficients(t, z)[0], other.coefficients(t_other, z)[0]
    torch.testing.assert_close(scale[:, None], alpha_other / alpha)


def test_match_keeps_the_variance_where_the_other_schedule_ends():
    t_other, scale = match(by_name("cosine"), torch.tensor([999]), by_name("linear"))
    assert t_other.tolist() == [999]
    assert scale.item() == pytest.approx(1)


def test_match_with_itself_is_exact():
    t_other, scale = match(by_name("cosine"), T, by_name("cosine"))
    assert t_other.tolist() == T.tolist()
    assert scale.tolist() == [1] * len(T)


def test_min_snr_weights_are_the_same_weight_on_the_clean_image():
    schedule = by_name("cosine")
    t = torch.arange(1000)
    snr = schedule.log_snr(t).exp()
    on_eps = schedule.min_snr_weight(t, prediction="eps").double()
    on_v = schedule.min_snr_weight(t, prediction="v").double()
    wanted = snr.clamp(max=5.0)
    torch.testing.assert_close(on_eps * snr, wanted, rtol=1e-5, atol=1e-12)  # |eps error|^2 = SNR |z_0 error|^2
    torch.testing.assert_close(on_v * (snr + 1), wanted, rtol=1e-5, atol=1e-12)  # |v error|^2 = (SNR + 1) |z_0 error|^2


def test_schedules_that_are_none_are_refused():
    rising = torch.linspace(0.1, 0.9, 10, dtype=torch.float64)
    with pytest.raises(ValueError, match="must fall"):
        NoiseSchedule(rising, 1 - rising)
    with pytest.raises(ValueError, match="float64"):
        NoiseSchedule(torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="variance-preserving"):
        _ = exploding().betas


def sample_gaussian(sampler: Sampler, schedule: NoiseSchedule, mean: float, std: float) -> torch.Tensor:
    scheduler = make_scheduler(sampler, schedule)
    scheduler.set_timesteps(sampler.num_steps)
    generators = [torch.Generator().manual_seed(i) for i in range(4)]
    options = {} if sampler.name == "unipc" else {"generator": generators}
    z = torch.stack([torch.randn(1, 64, 64, generator=g) for g in generators])
    for t in scheduler.timesteps:
        z = scheduler.step(gaussian_eps(schedule, z, t, mean, std), t, z, **options).prev_sample
    assert z.dtype == torch.float32
    return z


def ddim_std(schedule: NoiseSchedule, timesteps: list[int], eta: float, std: float) -> float:
    """Standard deviation of DDIM's result (eta = 1: DDPM's) for N(mean, std^2) and exact scores, in so many steps.

    Each step is affine in z: sqrt(b) E[z_0 | z] + sqrt(1 - b - s^2) E[eps | z] + s noise (DDIM, Eq. 12 and 16).
    """
    variance = 1.0
    alpha_bar = [*schedule.alpha_bar[timesteps].tolist(), 1.0]
    for a, b in zip(alpha_bar, alpha_bar[1:]):
        s2 = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
        eps = math.sqrt(1 - a) / (a * std**2 + 1 - a)
        factor = math.sqrt(b) * (1 - math.sqrt(1 - a) * eps) / math.sqrt(a) + math.sqrt(1 - b - s2) * eps
        variance = factor**2 * variance + s2
    return math.sqrt(variance)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize(
    ("sampler", "eta"),
    [("ddpm", 0), ("ddim", 0), ("ddim", 1), ("ddim", 0.5), ("spaced-ddpm", 0), ("spaced-ddim", 0), ("spaced-ddim", 1)],
)
def test_exact_scores_give_the_moments_of_theory(sampler, eta, name):
    schedule, sampler = by_name(name), Sampler(name=sampler, num_steps=50, eta=eta, clip=False)
    scheduler = make_scheduler(sampler, schedule)
    scheduler.set_timesteps(50)
    noise = 1.0 if sampler.name.endswith("ddpm") else eta
    expected = ddim_std(schedule, scheduler.timesteps.tolist(), noise, 0.2)
    z = sample_gaussian(sampler, schedule, 0.3, 0.2)
    assert z.mean().item() == pytest.approx(0.3, abs=0.01)
    assert z.std().item() == pytest.approx(expected, rel=0.03)


def test_more_steps_approach_the_true_moments():
    kept = [range(0, 1000, 1000 // n)[::-1] for n in (10, 100, 1000)]
    stds = [[ddim_std(by_name("linear"), list(t), eta, 0.2) for t in kept] for eta in (0.0, 1.0)]
    assert all(abs(s[0] - 0.2) > abs(s[1] - 0.2) > abs(s[2] - 0.2) for s in stds)
    assert all(s[2] == pytest.approx(0.2, rel=0.03) for s in stds)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("sampler", ["dpm-solver++", "unipc"])
def test_fast_solvers_recover_the_gaussian(sampler, name):
    z = sample_gaussian(Sampler(name=sampler, num_steps=50, clip=False), by_name(name), 0.3, 0.2)
    assert z.mean().item() == pytest.approx(0.3, abs=0.01)
    assert z.std().item() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.parametrize("name", SAMPLERS)
def test_cosine_schedule_gives_no_nan_in_float32(name, steps, clip):
    z = sample_gaussian(Sampler(name=name, num_steps=steps, clip=clip), by_name("cosine"), 0.0, 0.5)
    assert z.isfinite().all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_clip_bounds_the_result(name):
    schedule = by_name("linear")
    clipped = sample_gaussian(Sampler(name=name, num_steps=20), schedule, 3.0, 0.1)
    free = sample_gaussian(Sampler(name=name, num_steps=20, clip=False), schedule, 3.0, 0.1)
    assert clipped.abs().max() < 1.2  # z_0 is in [-1, 1]
    assert free.mean() > 2


def test_diffusers_ddim_with_clipping_moves_along_the_clipped_noise():
    schedule = by_name("linear")
    scheduler = make_scheduler(Sampler(name="ddim", num_steps=10), schedule)
    scheduler.set_timesteps(10)
    z, eps = 3 * torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    a, b = schedule.alpha_bar[499].float(), schedule.alpha_bar[399].float()
    z0 = ((z - (1 - a).sqrt() * eps) / a.sqrt()).clamp(-1, 1)
    noise = (z - a.sqrt() * z0) / (1 - a).sqrt()
    expected = b.sqrt() * z0 + (1 - b).sqrt() * noise
    torch.testing.assert_close(scheduler.step(eps, torch.tensor(499), z).prev_sample, expected, atol=1e-5, rtol=1e-5)


def test_spacings():
    schedule = by_name("linear")
    steps = {}
    for spacing in (None, "leading"):
        scheduler = make_scheduler(Sampler(name="ddim", num_steps=50, spacing=spacing), schedule)
        scheduler.set_timesteps(50)
        steps[spacing] = scheduler.timesteps.tolist()
    assert steps[None] == list(range(999, 0, -20))
    assert steps["leading"] == list(range(981, 0, -20))  # latent diffusion's


def test_latent_diffusion_takes_more_steps_if_their_number_does_not_divide_all():
    for num_steps in (25, 30, 50, 70):
        scheduler = make_scheduler(Sampler(name="ddim", num_steps=num_steps, spacing="leading"), by_name("linear"))
        scheduler.set_timesteps(num_steps)
        theirs = [t + 1 for t in range(0, 1000, 1000 // num_steps)]
        assert (len(theirs) > num_steps) == (1000 % num_steps > 0)  # 31 for 30
        assert scheduler.timesteps.tolist()[::-1] == theirs[:num_steps]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "ddpm", "num_steps": 0}, "num_steps=0; expected at least 1"),
        ({"name": "ddim", "num_steps": 5, "eta": 1.5}, r"eta=1.5; expected a number in \[0, 1\]"),
        ({"name": "ddim", "num_steps": 5, "eta": -0.5}, r"eta=-0.5; expected a number in \[0, 1\]"),
        ({"name": "unipc", "num_steps": 5, "eta": 1.0}, "eta belongs to DDIM, but the sampler is unipc"),
        ({"name": "spaced-ddpm", "num_steps": 5, "eta": 1.0}, "eta belongs to DDIM"),
        ({"name": "ddim", "num_steps": 5, "variance": "learned_range"}, "variance belongs to DDPM"),
        ({"name": "ddim", "num_steps": 5, "spacing": "ddim100"}, "unknown to ddim; expected one of .*leading"),
        ({"name": "spaced-ddim", "num_steps": 5, "spacing": "leading"}, 'is none of "100"'),
        ({"name": "spaced-ddim", "num_steps": 50, "spacing": "ddim100"}, "keeps 100 steps, but num_steps is 50"),
        ({"name": "spaced-ddpm", "num_steps": 26, "spacing": "10,10,3,2,2"}, "keeps 27 steps, but num_steps is 26"),
        ({"name": "spaced-ddim", "num_steps": 25, "spacing": "ddim25,75"}, "'ddim25,75' is none of"),
    ],
)
def test_samplers_refuse_what_nothing_reads_or_what_fails_in_mid_sampling(options, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**options)


@pytest.mark.parametrize("spacing", [None, "27", "10,10,3,2,2", "ddim27", "fast27"])
def test_openais_spacings_of_27_steps_are_accepted(spacing):
    Sampler(name="spaced-ddpm", num_steps=27, spacing=spacing)


@pytest.mark.parametrize("num_steps", [2, 5, 25])
def test_ddim_with_ddpms_noise_survives_rounding(num_steps: int) -> None:
    """At the first of five steps of a cosine schedule, float32 lifts the variance of the noise above that of z_s: NaN."""
    scheduler = make_scheduler(Sampler(name="ddim", num_steps=num_steps, eta=1.0), by_name("cosine"))
    scheduler.set_timesteps(num_steps)
    z = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        assert scheduler.step(torch.zeros_like(z), t, z).prev_sample.isfinite().all()
