"""How far experts agree over time, on real noisy images: figure and CSV. It tells what a sampler can mend from what it cannot.

Where D_t (``feynman_kac.disagreement``) is the same for every z_t, Eq. 10 is exact (PITFALLS.md, entry 4); where it varies, a
corrector has something to correct. Two experts that share their null have D_t = -2 <eps_1 - u, eps_2 - u>; what D_t has
besides is the distance between their nulls. The squared distance from Eq. 10's noise to that of a model of both conditions has
the errors of both networks in it, too, which no sampler mends.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.spec import Agreement
from lightning_mmdiff import seeding
from lightning_mmdiff.methods.combining.feynman_kac import disagreement
from lightning_mmdiff.methods.combining.steps import weighted
from lightning_mmdiff.methods.unite_and_conquer import Request, UniteAndConquer
from lightning_mmdiff.runtime.files import atomic_path

NUM_IMAGES, NUM_TIMES = 64, 20
PANELS = (
    ("<e1 - u, e2 - u> / D and D_t / D", ("inner product", "its spread over images", "D_t")),
    ("cosine of e1 - u and e2 - u", ("cosine",)),
    ("squared error / D", ("Eq. 10 to the joint model", "Eq. 10 to the noise", "joint model to the noise")),
)
"""Title and lines of each panel; D is the number of pixel values."""


def compared(
    module: UniteAndConquer, joint: Request | None, batch: Mapping[str, Any], t: int,
    generator: torch.Generator,
) -> dict[str, float]:  # fmt: skip
    """Return the lines of the figure at one time, means over the images of a batch; without ``joint`` some are absent.

    Args:
        module: two experts, united.
        joint: a model of both conditions in the same space, and its conditions.
        batch: images with their own conditions.
        t: timestep of the experts' schedule.
        generator: source of the noise.
    """
    z0 = module.experts[0].denoiser.clean(batch, generator)
    noise, time = seeding.randn(z0.shape, generator).to(z0), torch.tensor(t)
    z = module.schedule.add_noise(z0, noise, time.expand(len(z0)))
    requests, coefficients = module.terms(t)
    eps = torch.stack(module.evaluate(z, time, requests, module.encode_conditions(batch["conditions"])))
    c = eps.new_tensor(coefficients)
    size, united, null = z0[0].numel(), weighted(c, eps), _null(eps, c)
    first, second = (eps[0] - null).flatten(1), (eps[1] - null).flatten(1)
    inner = (first * second).sum(dim=1)
    found = {
        "inner product": inner.mean() / size,
        "its spread over images": inner.std() / size,
        "cosine": torch.cosine_similarity(first, second).mean(),
        "D_t": disagreement(eps, c).mean() / size,
        "Eq. 10 to the noise": _apart(united, noise),
    }
    if joint:
        (whole,) = module.evaluate(z, time, [joint], joint[0].encode_conditions(batch["conditions"]))
        found["Eq. 10 to the joint model"] = _apart(united, whole)
        found["joint model to the noise"] = _apart(whole, noise)
    return {name: float(value) for name, value in found.items()}


def _null(eps: Tensor, coefficients: Tensor) -> Tensor:
    """Return the reliability-weighted mean of the unconditional predictions, [B, ...]: the terms with negative coefficients."""
    negative = coefficients.clamp(max=0)
    return weighted(negative / negative.sum(), eps)


def _apart(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean()


@torch.inference_mode()
def over_time(agreement: Agreement, runs: Path, data: PackedDataModule) -> pd.DataFrame:
    """Return a line for each time, from noise to image: t and what ``compared`` found.

    Args:
        agreement: trained experts and perhaps a model of both conditions, which is left out if it has another space.
        runs: folder of the trained models.
        data: data module, already set up; its first test images are used.
    """
    module: Any = build.method(agreement.united, runs)
    joint = None
    if agreement.joint is not None:
        model, expert = build.trained(agreement.joint.run, runs), module.experts[0].denoiser
        if (model.shape, model.space) == (expert.shape, expert.space):
            joint = (model, agreement.joint.conditions)
    batch = data.test.batch(list(range(min(NUM_IMAGES, len(data.test)))))
    times = np.linspace(len(module.schedule) - 1, 0, NUM_TIMES + 2).round().astype(int)[1:-1]
    lines = []
    for t in times.tolist():
        generator = torch.Generator().manual_seed(t)
        lines.append({"t": t, **compared(module, joint, batch, t, generator)})
    return pd.DataFrame(lines)


def draw(found: pd.DataFrame, path: Path) -> None:
    """Write the figure, and the numbers beside it as CSV."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(4.2 * len(PANELS), 3.4), layout="constrained")
    for ax, (title, lines) in zip(axes, PANELS):
        for name in lines:
            if name in found:
                ax.plot(found["t"], found[name], label=name, marker="o", markersize=3)
        ax.set(title=title, xlabel="t (sampling goes from left to right)")
        ax.invert_xaxis()
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0].axhline(0, color="0.6", linewidth=0.8)
    axes[0].set_yscale("symlog", linthresh=1e-4)
    axes[1].set_ylim(-1, 1)
    axes[2].set_yscale("log")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    plt.close(figure)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        temporary.write_text(found.to_csv(index=False, float_format="%.6g"), encoding="utf-8")
