"""Eq. 10 over 25 steps: equal to Unite and Conquer's released code (commit 584bea0), and to a loop of the paper's equation.

Recorded by ``guided_diffusion/diffusion_test.py:test_diff`` (two experts, w = 5 and 5, a = 5/9 and 4/9) with 2 pixels in place
of 64, on the CPU, with ``formulas.sure_expert`` for ADM and GLIDE: class 2, whose null is class 0, and a token. Its sampler was
respaced to "25" (linear) or "ddim25" (cosine). For the rows "ddpm" the noise of the same function was given to
``p_sample_loop_progressive``. The released weights are not the paper's (PITFALLS 8), so there is a second test: Eq. 10 with
w = 1 and a = 1/N, as in Sec. 4.1, in numpy.
"""

import numpy as np
import pytest
import torch
from formulas import SureExpert, numbers, recorded, trajectory

from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.schedules import Sampler, by_name

SLOPES = {"classes": 0.5, "words": 1.5, "sounds": 0.9}
LEVELS = {"classes": 0.6, "words": -0.6, "sounds": 0.2}
CONDITIONS = {name: torch.full((1, 1), level) for name, level in LEVELS.items()}
Z_T = numbers("z_T", 1, 3, 2, 2)
SPACING = {"linear": "25", "cosine": "ddim25"}
"""Of cosine betas not the last step: there eps is divided by 5e-5, and float32 says little about z_0."""


def united(
    names: tuple[str, ...], sampler: Sampler, schedule: str, **coefficients: tuple[float, ...]
) -> UniteAndConquer:
    experts = []
    for i, name in enumerate(names):
        model = SureExpert(name, SLOPES[name], by_name(schedule), (3, 2, 2), sampler)
        own = {key: values[i] for key, values in coefficients.items()}
        experts.append(Expert(denoiser=model, conditions=(name,), **own))
    return UniteAndConquer(experts, sampler=sampler)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_trajectory_of_the_released_code(sampler: str, schedule: str, monkeypatch) -> None:
    settings = Sampler(name=f"spaced-{sampler}", num_steps=25, spacing=SPACING[schedule])
    model = united(("classes", "words"), settings, schedule, weight=(5, 5), reliability=(5 / 9, 4 / 9))
    found = trajectory(model, Z_T, {"conditions": CONDITIONS}, monkeypatch)
    torch.testing.assert_close(found, recorded("equation_10")[f"{sampler} {schedule}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("weight", "reliability"),
    [((1.0, 1.0), (0.5, 0.5)), ((1.0, 1.0, 1.0), (1 / 3, 1 / 3, 1 / 3)), ((1.0, 2.0, 1.5), (0.2, 0.7, 0.1))],
)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_trajectory_of_the_papers_equation(sampler: str, weight, reliability, monkeypatch) -> None:
    """An independent loop in numpy and float64: Eq. 10 as printed, DDIM or DDPM with the variance beta~, linear betas."""
    names = tuple(SLOPES)[: len(weight)]
    settings = Sampler(name=f"spaced-{sampler}", num_steps=25)
    model = united(names, settings, "linear", weight=weight, reliability=reliability)
    found = trajectory(model, Z_T, {"conditions": CONDITIONS}, monkeypatch)

    every = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
    kept = every[[round(i * 999 / 24) for i in range(25)]]
    z = Z_T.double().numpy()
    for k in reversed(range(25)):
        bar, before = kept[k], kept[k - 1] if k else 1.0
        alpha, sigma = np.sqrt(bar), np.sqrt(1 - bar)
        eps = -(sum(weight) - 1) * sum(
            a * (z - alpha * np.tanh(SLOPES[name] * z)) / sigma for a, name in zip(reliability, names)
        ) + sum(
            w * (z - alpha * np.tanh(SLOPES[name] * z + LEVELS[name])) / sigma for w, name in zip(weight, names)
        )  # Eq. 10
        z0 = np.clip((z - sigma * eps) / alpha, -1, 1)
        if sampler == "ddim":
            z = np.sqrt(before) * z0 + np.sqrt(1 - before) * (z - alpha * z0) / sigma
        else:
            beta = 1 - bar / before
            mean = (beta * np.sqrt(before) * z0 + (1 - before) * np.sqrt(1 - beta) * z) / (1 - bar)
            noise = numbers(f"noise {24 - k}", *z.shape).numpy()
            z = mean + np.sqrt(beta * (1 - before) / (1 - bar)) * noise
        np.testing.assert_allclose(found[24 - k].numpy(), z, atol=1e-5, rtol=1e-5)
