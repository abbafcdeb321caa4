"""Why the printed weights of MT-Diffusion cannot start at N(0, I): exact variances in a Gaussian world, and a figure.

    python -m benchmarks.aggregation_collapse --out docs/aggregation.png

z_0 and E(x) are scalars of standard deviation .5 and correlation .9; noise and heads are predicted optimally, so Algorithm 1
is linear and the variance of each z_t follows from a recursion, without sampling, training or randomness.
"""

from pathlib import Path
from typing import get_args

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor

from lightning_mmdiff import schedules
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation, posterior, shift_table
from lightning_mmdiff.runtime.files import atomic_path

STD, CORRELATION = 0.5, 0.9
COVARIANCE = STD**2 * torch.tensor([[1, CORRELATION], [CORRELATION, 1]], dtype=torch.float64)
"""Covariance of z_0 and E."""


def sampled_and_true_std(
    name: Aggregation, schedule: schedules.NoiseSchedule, *, from_truth: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the standard deviation of z_t as Algorithm 1 samples it and as Eq. 4 defines it.

    Args:
        name: name of the weights.
        schedule: noise schedule.
        from_truth: start at the standard deviation of the true z_T instead of at 1.

    Returns:
        Two float64 [T + 1]: entry 0 is z_0, entry T is z_T.
    """
    alpha_bar, shift = schedule.alpha_bar, shift_table(name, schedule)
    gains = torch.stack([alpha_bar.sqrt(), shift])  # of z_0, E in z_t, [2, T]
    variance = torch.einsum("it,ij,jt->t", gains, COVARIANCE, gains) + 1 - alpha_bar
    regression = COVARIANCE @ gains / variance  # of z_0, E on z_t: the optimal heads, [2, T]
    sampled = [float(variance[-1]) if from_truth else 1.0]
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for t in reversed(range(len(alpha_bar))):
        z0, encoding = (one * r for r in regression[:, t])
        mean, noise = posterior(one, z0, encoding[:, None], shift[None], alpha_bar, t)  # Eq. 5 of z_t = 1
        sampled.insert(0, float(mean) ** 2 * sampled[0] + float(noise))
    true = torch.cat([variance.new_tensor([STD**2]), variance])
    return torch.tensor(sampled, dtype=torch.float64).sqrt(), true.sqrt()


def draw(path: Path) -> None:
    """Write the figure: the shifts, and the ratio of sampled to true standard deviations from N(0, I)."""
    figure = Figure(figsize=(9, 3.2), layout="constrained", dpi=100)
    left, right = figure.subplots(1, 2)
    names: tuple[Aggregation, ...] = get_args(Aggregation)
    schedule = schedules.linear()
    for name in names[1:]:
        left.plot(shift_table(name, schedule), label=name)
        sampled, true = sampled_and_true_std(name, schedule)
        right.plot(sampled / true, label=f"{name}: std of z_0 {float(sampled[0]):.3f}")
    left.set(yscale="log", ylim=(1e-3, 1e4), xlabel="t", title="factor of E(x) in z_t (the noise has at most 1)")
    right.set(ylim=(0, 1.1), xlabel="t", title=f"std of z_t sampled from N(0, I) / true (z_0: {STD})")
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def main(out: Path = Path("docs/aggregation.png")) -> None:
    """Print the standard deviation of sampled z_0 for every schedule, and write the figure to ``out``."""
    print(f"std of z_0 (truth {STD}), correlation with E: {CORRELATION}; from N(0, I) / from the true z_T")
    for noise in get_args(schedules.ScheduleName)[:2]:
        for name in get_args(Aggregation):
            found = [
                float(sampled_and_true_std(name, schedules.by_name(noise), from_truth=start)[0][0])
                for start in (False, True)
            ]
            print(f"  {noise:7} {name:15} {found[0]:.3f} / {found[1]:.3f}")
    draw(out)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
