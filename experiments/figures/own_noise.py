"""Whether own latents ask networks about what they were trained on: the noise in each term's latent over time, figure and CSV.

A network learned z = alpha x + sigma eps, whose noise |z - alpha x| / (sigma sqrt(D)) is 1. Here x is the shared clean image of
the step. Where a term's latent holds much more or less noise than that of Eq. 10, its network answers off its distribution. The
share of values of the shared image that are clamped tells how far the samplers' equations are approximate.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from torch import Tensor

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.runs import SampleRun
from lightning_mmdiff.methods.combining.own_latents_sampling import OwnLatents
from lightning_mmdiff.methods.combining.steps import clean_image, intervals, weighted
from lightning_mmdiff.methods.unite_and_conquer import UniteAndConquer
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.sampling import Conditions

NUM_IMAGES = 16
EQUATION_10 = "Eq. 10"
OWN, OWN_1 = "theta 1/W", "theta 1"
THETAS: dict[str, float | None] = {EQUATION_10: 0.0, OWN: None, OWN_1: 1.0}
"""Way -> theta of ``OwnLatents``; theta 0 is Eq. 10."""


def terms_of(module: OwnLatents) -> list[str]:
    """Return a name for each term: its conditions, or which expert's null it is."""
    null = (f"null of {'+'.join(e.conditions)}" for e in module.experts)
    return ["+".join(names) or next(null) for _, names in module.requests]


def noise_sizes(module: OwnLatents, batch: Mapping[str, Any]) -> pd.DataFrame:
    """Sample a batch; return for each step and term: t, term, noise, clamped; means over the images.

    noise is |z_k - alpha x| / (sigma sqrt(D)) with the unclamped shared image x; clamped is the share of its values outside
    [-1, 1].
    """
    lines: list[dict[str, Any]] = []
    names = terms_of(module)

    def observed(z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        eps = module.predict_noise(z, t, conditions)
        (step,) = intervals(module.schedule, [int(t)]).values()
        latents, terms = z.transpose(0, 1), eps.transpose(0, 1)  # [K, B, C, H, W]
        shared = weighted(module.coefficients_of_terms.to(z), clean_image(latents, terms, step))
        noise = (latents - step.alpha * shared).flatten(2).square().mean(dim=2).sqrt() / step.sigma
        outside = float((shared.abs() > 1).double().mean())
        rows = zip(names, noise.mean(dim=1).tolist(), strict=True)
        lines.extend({"t": int(t), "term": name, "noise": size, "clamped": outside} for name, size in rows)
        return eps

    module.predict_step(batch, predict_noise=observed)
    return pd.DataFrame(lines)


def over_time(united: SampleRun, runs: Path, data: PackedDataModule) -> pd.DataFrame:
    """Return ``noise_sizes`` of Eq. 10 and of own latents with both thetas, by ``way``, on the first test images.

    Args:
        united: experts united by Eq. 10 with weights that do not depend on time.
        runs: folder of the trained models.
        data: data module, already set up.
    """
    plain: Any = build.method(united, runs)
    assert isinstance(plain, UniteAndConquer)
    batch, found = data.test.batch(list(range(min(NUM_IMAGES, len(data.test))))), []
    for way, theta in THETAS.items():
        sampler = replace(plain.sampler, eta=0.0)
        module = OwnLatents(plain.experts, theta=theta, sampler=sampler, sampling_seed=plain.sampling_seed)
        found.append(noise_sizes(module.to(build.DEVICE), batch).assign(way=way))
    return pd.concat(found, ignore_index=True)


def draw(found: pd.DataFrame, path: Path) -> None:
    """Write the figure, a panel for each theta and one of the values outside, and the numbers beside it as CSV."""
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.4), layout="constrained")
    by_way = {str(way): lines for way, lines in found.groupby("way", sort=False)}
    united = by_way[EQUATION_10].drop_duplicates("t")
    for ax, way in zip(axes, (OWN, OWN_1)):
        ax.plot(united["t"], united["noise"], color="0.4", linestyle=":", label="Eq. 10, all terms")
        for term, lines in by_way[way].groupby("term", sort=False):
            ax.plot(lines["t"], lines["noise"], label=term, marker="o", markersize=3)
        ax.set(title=f"noise in each term's latent, {way}")
    for way, lines in by_way.items():
        once = lines.drop_duplicates("t")
        axes[2].plot(once["t"], once["clamped"], label=way, marker="o", markersize=3)
    axes[2].set(title="share of values outside [-1, 1]", ylim=(0, None))
    for ax in axes:
        ax.set_xlabel("t (sampling goes from left to right)")
        ax.invert_xaxis()
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    plt.close(figure)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        temporary.write_text(found.to_csv(index=False, float_format="%.6g"), encoding="utf-8")
