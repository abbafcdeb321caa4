"""Unite and Conquer: identities of Eq. 8, 10, 11, closed forms on Gaussians, and how often networks are called."""

import math
from functools import partial

import pytest
import torch
from tiny import denoise, tiny_denoiser

from lightning_mmdiff import schedules, seeding
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer, unite
from lightning_mmdiff.noise import NoiseSchedule, match
from lightning_mmdiff.schedules import cosine, linear

SAMPLER = schedules.Sampler(name="ddim", num_steps=4)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_modality_is_classifier_free_guidance() -> None:
    c, u = noise(1, 3, 4, 5, 5), noise(1, 3, 4, 5, 5, seed=1)
    w, one = 3.0, torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(unite(c, u, (1 + w) * one, one), (1 + w) * c[0] - w * u[0])  # Eq. 11


def test_unit_weights_are_equation_8() -> None:
    c, u = noise(3, 2, 4, 5, 5), noise(3, 2, 4, 5, 5, seed=1)
    a = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    mean = torch.einsum("n,nbchw->bchw", a, u)
    torch.testing.assert_close(unite(c, u, torch.ones(3, dtype=torch.float64), a), mean + (c - mean).sum(0))  # Eq. 8


def test_two_experts_with_unit_weights_are_averaging_with_guidance_two() -> None:
    c, u = noise(2, 2, 4, 5, 5), noise(2, 2, 4, 5, 5, seed=1)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    united = unite(c, u, torch.ones(2, dtype=torch.float64), half)
    torch.testing.assert_close(united, 2 * c.mean(0) - u.mean(0))


def test_equal_experts_agree_with_themselves() -> None:
    e = noise(1, 2, 4, 5, 5).expand(3, -1, -1, -1, -1)
    a = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    torch.testing.assert_close(unite(e, e, torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64), a), e[0])


@pytest.mark.parametrize("chosen", [0, 1])
def test_reliability_one_is_the_other_models_absence(chosen: int) -> None:
    c, u = noise(2, 2, 4, 5, 5), noise(2, 2, 4, 5, 5, seed=1)
    a = torch.eye(2, dtype=torch.float64)[chosen]
    torch.testing.assert_close(unite(c, u, torch.full((2,), 2.0, dtype=torch.float64), a), 2 * c.sum(0) - 3 * u[chosen])


@pytest.mark.parametrize("total", [1.0, 4.0, 10.0])
def test_reliability_moves_away_from_the_own_unconditional_model(total: float) -> None:
    """Eq. 10 subtracts the unconditional models: d eps / d a_0 = -(W - 1) (u_0 - u_1) at a_1 = 1 - a_0; at W = 1 nothing."""
    c, u = noise(2, 2, 4, 5, 5), noise(2, 2, 4, 5, 5, seed=1)
    w = torch.tensor([0.4, 0.6], dtype=torch.float64) * total
    low, high = (unite(c, u, w, torch.tensor([a, 1 - a], dtype=torch.float64)) for a in (0.2, 0.7))
    torch.testing.assert_close(high - low, -(total - 1) * 0.5 * (u[0] - u[1]))


def gaussian_eps(mean: float, variance: float, schedule: NoiseSchedule):
    """Exact noise prediction for data N(mean, variance): eps = sigma (z - alpha mean) / (alpha^2 variance + sigma^2)."""

    def predict(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = schedule.coefficients(t, z)
        return sigma * (z - alpha * mean) / (alpha**2 * variance + sigma**2)

    return predict


def sampled_moments(predict, schedule: NoiseSchedule, num_steps: int = 500) -> tuple[float, float]:
    scheduler = schedules.make_scheduler(schedules.Sampler(name="ddim", num_steps=num_steps, clip=False), schedule)
    z = noise(1, 1, 40, 50)
    z = (z - z.mean()) / z.std()  # so that the only error is the solver's
    z = denoise(predict, scheduler, z, num_steps, [seeding.image_generator(0, 0)])
    return z.mean().item(), z.var().item()


WORLD = {"prior": (0.1, 1.2), "a": (0.6, 0.5), "b": (-0.2, 0.4)}
"""Mean and variance of the data without condition, and given each of two conditions."""


def diffused_product() -> tuple[float, float]:
    """Mean and variance that Eq. 10 aims at for w = 1: p(z|a) p(z|b) / p(z), in natural parameters."""
    precision = 1 / WORLD["a"][1] + 1 / WORLD["b"][1] - 1 / WORLD["prior"][1]
    shift = WORLD["a"][0] / WORLD["a"][1] + WORLD["b"][0] / WORLD["b"][1] - WORLD["prior"][0] / WORLD["prior"][1]
    return shift / precision, 1 / precision


def united_gaussian_eps(t: torch.Tensor, z: torch.Tensor, models) -> torch.Tensor:
    """Eq. 10, w = 1, a = 1/2, with experts ``models``: [(conditional, null), ...] as functions of (z, t)."""
    c = torch.stack([cond(z, t) for cond, _ in models])
    u = torch.stack([null(z, t) for _, null in models])
    return unite(c, u, z.new_ones(2), z.new_full((2,), 0.5))


def reference_moments(schedule: NoiseSchedule, steps: int = 20000) -> tuple[float, float]:
    """Analytic flow of Eq. 10's linear ODE: integrate d(mean), d(log std) of the Gaussian z_t in log-SNR, in plain Python.

    In x = z / alpha and s = sigma / alpha the DDIM flow is dx/ds = eps(x, s), which is linear in x for Gaussian experts.
    """
    lam = schedule.log_snr(torch.tensor([999, 0])).tolist()
    s_values = torch.logspace(
        -lam[0] / 2 / math.log(10), -lam[1] / 2 / math.log(10), steps, dtype=torch.float64
    ).tolist()
    mean, std = 0.0, math.sqrt(1 + s_values[0] ** 2)
    for s, s_next in zip(s_values, s_values[1:]):

        def slope(x: float, s: float) -> float:
            terms = [s * (x - m) / (v + s**2) for m, v in (WORLD["a"], WORLD["b"], WORLD["prior"])]
            return terms[0] + terms[1] - terms[2]

        def step(x: float, s=s, s_next=s_next, slope=slope) -> float:
            k1 = slope(x, s)
            k2 = slope(x + (s_next - s) * k1, s_next)
            return x + (s_next - s) * (k1 + k2) / 2

        low, high = step(mean - std), step(mean + std)
        mean, std = (low + high) / 2, (high - low) / 2
    return mean, std**2


@pytest.mark.parametrize("second", [linear(), cosine()], ids=["equal schedules", "different schedules"])
def test_conditions_on_independent_parts_give_the_exact_product(second: NoiseSchedule) -> None:
    """Where each condition constrains its own coordinate (Eq. 4's independence), Eq. 10 recovers the analytic posterior:
    its mean and its covariance; with equal noise schedules, and with an expert of another one (supplement 7.2).
    """
    reference, prior, given = linear(), (0.0, 1.0), (0.7, 0.3)

    def expert(coordinate: int | None, schedule: NoiseSchedule):
        """Exact model of the prior on all coordinates but ``coordinate``, which has its condition's Gaussian."""

        def predict(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            t_own, scale = match(reference, t, schedule)
            worlds = [given if i == coordinate else prior for i in range(2)]
            return torch.stack(
                [gaussian_eps(*w, schedule)(z[:, i] * scale, t_own) for i, w in enumerate(worlds)], dim=1
            )

        return predict

    models = [(expert(i, schedule), expert(None, schedule)) for i, schedule in enumerate((reference, second))]
    scheduler = schedules.make_scheduler(schedules.Sampler(name="ddim", num_steps=500, clip=False), reference)
    z = noise(1, 2, 40, 50)
    z = (z - z.mean((2, 3), keepdim=True)) / z.std((2, 3), keepdim=True)
    start = (z[:, 0] * z[:, 1]).mean().item()
    z = denoise(lambda z, t: united_gaussian_eps(t, z, models), scheduler, z, 500, [seeding.image_generator(0, 0)])
    for i in range(2):
        assert z[:, i].mean().item() == pytest.approx(0.7, abs=0.01)
        assert z[:, i].var().item() == pytest.approx(0.3, abs=0.01)
    covariance = ((z[:, 0] - z[:, 0].mean()) * (z[:, 1] - z[:, 1].mean())).mean().item()
    assert covariance == pytest.approx(0.3 * start, abs=0.01)  # the flow scales both coordinates, and mixes nothing


@pytest.mark.parametrize("schedule", [linear(), cosine()], ids=["linear", "cosine"])
def test_gaussian_experts_follow_the_analytic_flow_of_equation_10(schedule: NoiseSchedule) -> None:
    models = [(gaussian_eps(*WORLD[k], schedule), gaussian_eps(*WORLD["prior"], schedule)) for k in ("a", "b")]
    mean, variance = sampled_moments(lambda z, t: united_gaussian_eps(t, z, models), schedule)
    expected = reference_moments(schedule)
    assert mean == pytest.approx(expected[0], abs=0.01)
    assert variance == pytest.approx(expected[1], abs=0.01)


@pytest.mark.parametrize("kind", ["cosine", "exploding"])
def test_experts_with_different_schedules_give_the_same_as_equal_ones(kind: str) -> None:
    """Supplement 7.2: expert b was trained with another schedule; matched by log-SNR the result is unchanged."""
    reference = linear()
    if kind == "cosine":
        other = cosine()
    else:
        sigma = torch.logspace(-2.5, 3, 1000, dtype=torch.float64)
        other = NoiseSchedule(torch.ones_like(sigma), sigma)

    def matched(key: str):
        def predict(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            t_other, scale = match(reference, t, other)
            return gaussian_eps(*WORLD[key], other)(z * scale, t_other)

        return predict

    own = partial(gaussian_eps, schedule=reference)
    models = [(own(*WORLD["a"]), own(*WORLD["prior"])), (matched("b"), matched("prior"))]
    mean, variance = sampled_moments(lambda z, t: united_gaussian_eps(t, z, models), reference)
    expected = reference_moments(reference)
    assert mean == pytest.approx(expected[0], abs=0.01)
    assert variance == pytest.approx(expected[1], abs=0.01)


def test_the_diffused_product_is_not_the_product_of_the_data() -> None:
    """Eq. 10 sums scores of noisy densities, so dependent conditions end near, not at, the product of the clean ones."""
    assert abs(reference_moments(linear())[1] - diffused_product()[1]) > 1e-3


class Counter:
    """Count calls and rows of a denoiser's network."""

    def __init__(self, denoiser):
        self.rows: list[int] = []
        denoiser.network.register_forward_pre_hook(lambda _, args: self.rows.append(len(args[0])))


def conditions(batch: int = 2) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(5)
    return {
        "hair": torch.randint(0, 256, (batch, 1, 8, 8), generator=g, dtype=torch.uint8),
        "face": torch.randint(0, 256, (batch, 2, 8, 8), generator=g, dtype=torch.uint8),
    }


def predict(method, t: int = 500, batch: int = 2) -> torch.Tensor:
    with torch.no_grad():
        return method.predict_noise(noise(batch, 3, 8, 8).float(), torch.tensor(t), conditions(batch))


def test_one_batched_call_per_distinct_network() -> None:
    shared = tiny_denoiser(spatial=(("hair", 1), ("face", 2)))
    alone = tiny_denoiser(1, spatial=(("hair", 1),))
    calls, others = Counter(shared), Counter(alone)
    experts = [
        Expert(denoiser=shared, conditions=("hair",)),
        Expert(denoiser=shared, conditions=("face",)),
        Expert(denoiser=alone, conditions=("hair",)),
    ]
    predict(UniteAndConquer(experts, sampler=SAMPLER))
    assert calls.rows == [2 * 3]  # hair, face and one null row per image, although two experts share the model
    assert others.rows == [2 * 2]


def test_no_call_for_a_zero_coefficient() -> None:
    a, b = tiny_denoiser(), tiny_denoiser(1, spatial=(("face", 2),))
    calls_a, calls_b = Counter(a), Counter(b)
    experts = [
        Expert(denoiser=a, conditions=("hair",), reliability=1.0),
        Expert(denoiser=b, conditions=("face",), reliability=0.0),
    ]
    predict(UniteAndConquer(experts, sampler=SAMPLER))
    assert (calls_a.rows, calls_b.rows) == ([4], [2])  # b's null term has reliability 0
    predict(UniteAndConquer([Expert(denoiser=a, conditions=("hair",))], sampler=SAMPLER))
    assert calls_a.rows[1:] == [2]  # N = 1, w = 1: no unconditional term at all


def test_module_equals_the_equation_on_separate_calls() -> None:
    a, b = tiny_denoiser(), tiny_denoiser(1, spatial=(("face", 2),))
    experts = [
        Expert(denoiser=a, conditions=("hair",), weight=1.5, reliability=0.3),
        Expert(denoiser=b, conditions=("face",), weight=2.0, reliability=0.7),
    ]
    z, t = noise(2, 3, 8, 8).float(), torch.tensor(500)
    with torch.no_grad():
        c = [m.predict_noise(z, t, conditions()) for m in (a, b)]
        u = [m.predict_noise(z, t, {}) for m in (a, b)]
    expected = 1.5 * c[0] + 2.0 * c[1] - 2.5 * (0.3 * u[0] + 0.7 * u[1])  # Eq. 10
    torch.testing.assert_close(predict(UniteAndConquer(experts, sampler=SAMPLER)), expected, atol=1e-5, rtol=1e-5)


def test_coefficients_may_depend_on_time() -> None:
    a = tiny_denoiser()
    late = Expert(denoiser=a, conditions=("hair",), weight=lambda t: 2.0 if t < 100 else 1.0)
    calls = Counter(a)
    method = UniteAndConquer([late], sampler=SAMPLER)
    predict(method, 500)
    predict(method, 50)
    assert calls.rows == [2, 4]


def test_missing_condition_is_the_null_condition() -> None:
    both = tiny_denoiser(spatial=(("hair", 1), ("face", 2)))
    z, t = noise(2, 3, 8, 8).float(), torch.tensor(500)
    method = UniteAndConquer([Expert(denoiser=both, conditions=("hair", "face"))], sampler=SAMPLER)
    with torch.no_grad():
        partial_ = method.predict_noise(z, t, {"hair": conditions()["hair"]})
        torch.testing.assert_close(partial_, both.predict_noise(z, t, {"hair": conditions()["hair"]}))


def test_experts_of_different_schedule_are_asked_at_equal_noise() -> None:
    reference, other = tiny_denoiser(), tiny_denoiser(1, schedule="linear")
    seen: list[torch.Tensor] = []
    other.network.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    experts = [Expert(denoiser=m, conditions=("hair",)) for m in (reference, other)]
    predict(UniteAndConquer(experts, sampler=SAMPLER), 300)
    expected = cosine().log_snr(torch.tensor(300))
    torch.testing.assert_close(linear().log_snr(seen[0][:1].double())[0], expected, atol=1e-3, rtol=1e-4)


def test_average_is_the_mean() -> None:
    a, b = tiny_denoiser(), tiny_denoiser(1, spatial=(("face", 2),))
    method = Composable(
        [Expert(denoiser=a, conditions=("hair",)), Expert(denoiser=b, conditions=("face",))], sampler=SAMPLER
    )
    z, t = noise(2, 3, 8, 8).float(), torch.tensor(500)
    with torch.no_grad():
        expected = (a.predict_noise(z, t, conditions()) + b.predict_noise(z, t, conditions())) / 2
    torch.testing.assert_close(predict(method), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reliability": 0.4}, "sum to 1"),
        ({"weight": 0.0}, "positive"),
        ({"weight": -1.0}, "positive"),
    ],
)
def test_bad_coefficients(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UniteAndConquer([Expert(denoiser=tiny_denoiser(), conditions=("hair",), **options)], sampler=SAMPLER)


def test_weight_below_one_warns() -> None:
    with pytest.warns(UserWarning, match="w >= 1"):
        UniteAndConquer([Expert(denoiser=tiny_denoiser(), conditions=("hair",), weight=0.6)], sampler=SAMPLER)


def test_experts_of_different_shape() -> None:
    experts = [Expert(denoiser=tiny_denoiser(image_size=s), conditions=("hair",)) for s in (8, 16)]
    with pytest.raises(ValueError, match="same shape"):
        UniteAndConquer(experts, sampler=SAMPLER)


def test_expert_is_asked_for_a_condition_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="sketch"):
        UniteAndConquer([Expert(denoiser=tiny_denoiser(), conditions=("sketch",))], sampler=SAMPLER)


class Embedder(torch.nn.Module):
    """Texts as vectors: the number of letters, and of words."""

    def embed_text(self, captions: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), float(text.count(" ") + 1)] for text in captions]) / 10


def text_model(seed: int = 0):
    model = tiny_denoiser(seed, spatial=(), embedding=("text", 2))
    model.embedder = Embedder()
    return model


PROMPTS = {"caption": ["a road", "the sea"], "object_caption": ["a star here", "a fish here"]}


def test_one_model_under_two_prompts_is_composable_diffusion() -> None:
    """CompGen (Liu et al. 2022): eps = u + sum w (c_i - u), in one call of three rows per image."""
    model = text_model()
    counter = Counter(model)
    experts = [Expert(denoiser=model, conditions=(f"text@{name}",), weight=7.5) for name in PROMPTS]
    method = UniteAndConquer(experts, sampler=SAMPLER)
    z, t = noise(2, 3, 8, 8).float(), torch.tensor(500)
    found = method.predict_noise(z, t, method.encode_conditions(PROMPTS))
    assert counter.rows == [6]

    def asked(texts: list[str] | None) -> torch.Tensor:
        given = {} if texts is None else {"text": model.embedder.embed_text(texts)}
        return model.predict_eps(z, t.expand(2), model.encode(given, 2))

    u = asked(None)
    torch.testing.assert_close(found, u + 7.5 * sum(asked(texts) - u for texts in PROMPTS.values()))
    assert (asked(PROMPTS["caption"]) - asked(PROMPTS["object_caption"])).abs().max() > 1e-4


def test_a_prompt_named_as_the_models_own_changes_nothing() -> None:
    model = text_model()
    methods = [
        UniteAndConquer([Expert(denoiser=model, conditions=(name,), weight=2.0)], sampler=SAMPLER)
        for name in ("text", "text@caption")
    ]
    z = noise(2, 3, 8, 8).float()
    plain, named = (m.predict_noise(z, torch.tensor(500), m.encode_conditions(PROMPTS)) for m in methods)
    assert torch.equal(plain, named)


def test_a_class_in_place_of_the_null_is_asked_for_in_equation_10() -> None:
    model = tiny_denoiser(spatial=(("hair", 1), ("skin", 1)))
    given = {name: torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8) for name in ("hair", "skin")}
    expert = Expert(denoiser=model, conditions=("hair",), weight=3.0, null=("hair@skin",))
    method = UniteAndConquer([expert], sampler=SAMPLER)
    z, t = noise(2, 3, 8, 8).float(), torch.tensor(500)
    found = method.predict_noise(z, t, method.encode_conditions(given))
    c, u = (model.predict_eps(z, t.expand(2), model.encode({"hair": given[name]}, 2)) for name in ("hair", "skin"))
    torch.testing.assert_close(found, 3 * c - 2 * u)
    assert method.terms(500)[0] == [(model, ("hair",)), (model, ("hair@skin",))]


def test_a_null_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="asked about label, but its model knows hair"):
        UniteAndConquer(
            [Expert(denoiser=tiny_denoiser(), conditions=("hair",), null=("label@first_class",))], sampler=SAMPLER
        )
