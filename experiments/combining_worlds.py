"""Ways to combine two experts in worlds whose truth is known: how far each is from the product, by calls per image.

python -m experiments.combining_worlds

The Gaussian world has two conditions that depend on each other (KL divergence to the exact product; exact laws where the
sampler is affine, else moments of 20,000 images). The mixture has three groups of images (sliced 1-Wasserstein distance of
4,000 images to as many of the product). It takes a minute on a CPU and needs no training.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from lightning_mmdiff import schedules
from lightning_mmdiff.methods.combining import world_sampling as ways
from lightning_mmdiff.methods.combining.mixtures import MixtureWorld, mixture_world, sliced_distance
from lightning_mmdiff.methods.combining.steps import Interval
from lightning_mmdiff.methods.combining.world_sampling import Numbers, Sample, Terms
from lightning_mmdiff.methods.combining.worlds import Gaussian, World, dependent_world, law, tensor
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.files import atomic_path

CALLS = (40, 100, 200, 400, 1000)
"""Network evaluations per image; each method spends them on its own steps."""
GAUSSIAN_IMAGES, MIXTURE_IMAGES = 20_000, 4000


@dataclass(frozen=True)
class Way:
    """A way to combine experts."""

    name: str
    calls: int
    """Evaluations of a network per image and step: four terms, times particles, and once more for each correction."""
    make: Callable[[Terms, Sequence[Interval]], Sample]
    draws: int | None = None
    """Draws of noise per step but the last, if the sampler is affine; None if it is not."""


def one_model(world: Terms, steps: Sequence[Interval]) -> Sample:
    """Return DDIM with the product's own noise prediction: the best that any combination could do."""
    assert isinstance(world, World | MixtureWorld)
    if isinstance(world, World):
        return ways.equation_10(World((world.product,), tensor([1.0])), steps)
    return ways.equation_10(MixtureWorld((world.product,), tensor([1.0]), world.product), steps)


def average(world: Terms, steps: Sequence[Interval]) -> Sample:
    """Return the plain average of both conditional predictions (Composable)."""

    @dataclass(frozen=True)
    class Both:
        terms: Sequence[ways.Known]
        coefficients: Tensor

    return ways.equation_10(Both(world.terms[:2], tensor([0.5, 0.5])), steps)


WAYS = (
    Way("one model of both", 1, one_model, 0),
    Way("average (Composable)", 2, average, 0),
    Way("Eq. 10, eta 0 (Unite and Conquer)", 4, ways.equation_10, 0),
    Way("Eq. 10, eta 1", 4, lambda w, s: ways.equation_10(w, s, eta=1.0), 1),
    Way("own latents, theta 1/2", 4, lambda w, s: ways.own(w, s, theta=0.5), 0),
    Way("own latents, theta 1", 4, lambda w, s: ways.own(w, s, theta=1.0), 0),
    Way(
        "Eq. 10 + 3 Langevin steps", 16,
        lambda w, s: ways.equation_10(w, s, correct=ways.unadjusted(w, corrections=3, delta=0.1)), 3,
    ),
    Way(
        "Eq. 10 + 3 Metropolis steps", 16,
        lambda w, s: ways.equation_10(w, s, correct=ways.adjusted(w, corrections=3, delta=0.1)),
    ),
    Way("Feynman-Kac, 4 particles", 16, lambda w, s: ways.particles(w, s, count=4)),
    Way("Feynman-Kac, 8 particles", 32, lambda w, s: ways.particles(w, s, count=8)),
    Way("SuperDiff AND", 2, ways.superposed),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a way reached with a number of calls."""

    name: str
    calls: int
    steps: int
    divergence: float
    """KL to the product of the Gaussian world, in nats."""
    distance: float
    """Sliced 1-Wasserstein distance to the product of the mixture."""


def divergence(way: Way, world: World, steps: Sequence[Interval]) -> float:
    """Return KL(sampler || product) in nats."""
    sample = way.make(world, steps)
    if way.draws is not None:
        return law(sample, way.draws * (len(steps) - 1)).divergence_from(world.product)
    numbers = Numbers(0)
    images = sample(numbers.normal(torch.empty(GAUSSIAN_IMAGES, 2)), numbers)
    return Gaussian(images.mean(dim=0), images.T.cov()).divergence_from(world.product)


def distance(way: Way, world: MixtureWorld, steps: Sequence[Interval]) -> float:
    """Return the sliced 1-Wasserstein distance of samples to the product."""
    numbers = Numbers(0)
    images = way.make(world, steps)(numbers.normal(torch.empty(MIXTURE_IMAGES, 2)), numbers)
    return sliced_distance(images, world.product.sample(MIXTURE_IMAGES, torch.Generator().manual_seed(1)))


def measure() -> Iterator[Found]:
    """Yield what every way reaches with every number of calls that pays for four steps or more."""
    gaussian, mixture, schedule = dependent_world(), mixture_world(), schedules.linear()
    todo = [(way, calls) for way in WAYS for calls in CALLS if calls // way.calls >= 4]
    for way, calls in tqdm(todo, desc="combining in known worlds", unit="measurement"):
        steps = ways.chain(schedule, min(calls // way.calls, len(schedule)))
        yield Found(way.name, calls, len(steps), divergence(way, gaussian, steps), distance(way, mixture, steps))


def draw(found: Sequence[Found]) -> bytes:
    """Draw a PNG: both distances over calls per image, a line for each way."""
    figure = Figure(figsize=(11, 4.4), layout="constrained", dpi=100)
    panels = figure.subplots(1, 2)
    names = dict.fromkeys(f.name for f in found)
    for number, name in enumerate(names):
        own = [f for f in found if f.name == name]
        style = {"color": f"C{number}" if number < 10 else "black", "marker": "osd^v"[number % 5], "markersize": 4}
        style["linestyle"] = ":" if number == 0 else "-"
        for axes, values in zip(panels, ([f.divergence for f in own], [f.distance for f in own])):
            axes.plot([f.calls for f in own], values, label=name, **style)
    titles = ("Two Gaussian experts: KL to the product (nats)", "Three groups: sliced W1 to the product")
    for axes, title in zip(panels, titles):
        axes.set(xscale="log", yscale="log", xlabel="network evaluations per image")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(CALLS, [str(c) for c in CALLS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    ticks = (0.03, 0.1, 0.3)
    panels[1].set_yticks(ticks, [str(tick) for tick in ticks])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def table(found: Sequence[Found]) -> str:
    """Return a Markdown table: a line for each way, KL / W1 for each number of calls."""
    lines = ["| way | " + " | ".join(f"{c} calls" for c in CALLS) + " |", "|---" * (len(CALLS) + 1) + "|"]
    for name in dict.fromkeys(f.name for f in found):
        cells = {f.calls: f"{f.divergence:.4f} / {f.distance:.3f}" for f in found if f.name == name}
        lines.append(f"| {name} | " + " | ".join(cells.get(c, "") for c in CALLS) + " |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class WorldFlags:
    """Measure, print the table, and write it with a figure and every number as CSV."""

    out: Path = Path("runs/combining-worlds")
    """Folder of the three files."""


def main(out: Path) -> None:
    """Measure, print the table, and write it to ``out`` with a figure and every number as CSV."""
    found = list(measure())
    print(table(found))
    numbers = pd.DataFrame(found).to_csv(index=False, float_format="%.6g")
    for ending, content in (("png", draw(found)), ("md", table(found).encode()), ("csv", numbers.encode())):
        with atomic_path(out / f"combining-worlds.{ending}") as temporary:
            temporary.write_bytes(content)
    print(f"Written to {out}.")


if __name__ == "__main__":
    with readable_end("choose a writable --out"):
        main(tyro.cli(WorldFlags, prog="python -m experiments.combining_worlds", description=__doc__).out)
