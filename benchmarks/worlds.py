"""Worlds where the right answer is known, for ``benchmarks.intervals``: draws of images, measured by the metrics' own code.

An image is a vector of independent standard normals. Part of it is the test condition, common to both rows and to all their
trainings; part is what a row makes of the condition, common to the row's trainings; the rest is noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.kid import unit_length
from lightning_mmdiff.metrics.palette import palette_results
from lightning_mmdiff.metrics.precision_recall import precision_recall_results
from lightning_mmdiff.metrics.results import MetricResult, frechet_result, kernel_result, mean_result
from lightning_mmdiff.metrics.segmentation import confusion, image_scores

Array = NDArray[np.float64]
SHARES = (0.3, 0.2, 0.5)
"""Variance of an image's condition, of what a row makes of it, and of noise."""
REPLICATES = 100  # tables use 200 or 1000; a standard deviation from 100 is uncertain by 7 %
REFERENCES = 500  # real images


@dataclass(frozen=True, kw_only=True)
class World:
    """How images vary and how they are measured."""

    name: str
    size: int
    """Length of an image's vector."""
    measure: Callable[[Array], Sequence[MetricResult]]
    """Measures images [N, size]; the names of its results are the lines of the printed table."""

    def trial(self, rng: np.random.Generator, n: int, trainings: int) -> list[list[Sequence[MetricResult]]]:
        """Measure two equally good rows on the same ``n`` conditions, [row][training][result]."""
        condition, row, noise = (np.sqrt(share) for share in SHARES)

        def draw() -> Array:
            return rng.standard_normal((n, self.size))

        common = condition * draw()
        rows = [common + row * draw() for _ in range(2)]
        return [[self.measure(images + noise * draw()) for _ in range(trainings)] for images in rows]


def scores(name: str, score: Callable[[Array], NDArray], size: int = 1) -> World:
    """Return a world whose result is the mean of ``score``, which maps images [N, size] to [N]."""
    return World(name=name, size=size, measure=lambda z: [mean_result(name, score(z), better="higher", num=REPLICATES)])


def label_maps(z: Array) -> list[MetricResult]:
    """Measure label maps of 8 regions with 8 pixels: classes of very different size, some images harder than others."""
    sizes = np.array([0.4, 0.25, 0.15, 0.1, 0.07, 0.03])
    target = np.searchsorted(np.cumsum(sizes)[:-1], ndtr(z[:, :8]))
    wrong = 0.8 * z[:, 8:72].reshape(-1, 8, 8) + 0.6 * z[:, 72, None, None] > ndtri(0.8)
    seen = np.where(wrong, (target[:, :, None] + 1) % len(sizes), target[:, :, None])
    truth = np.broadcast_to(target[:, :, None], seen.shape)
    images = image_scores(seen, truth, len(sizes))
    counts = confusion(seen, truth, len(sizes))
    names = ("palette pixel accuracy", "palette class accuracy", "palette class IoU")
    return [
        mean_result("mIoU", images.miou, better="higher", num=REPLICATES),
        mean_result("F1", images.f1, better="higher", num=REPLICATES),
        *palette_results(names, counts, only_present=True, num=REPLICATES),
    ]


def axes(size: int) -> Array:
    """Return standard deviations whose squares fall as 1/i, as those of the features of 500 rendered faces do."""
    return 1 / np.sqrt(1 + np.arange(size))


def features(name: str, *, size: int, scale: float, shift: float, distances: bool) -> World:
    """Return a world of features, against a fixed reference.

    Args:
        name: what the reference is to the generated features.
        size: number of features.
        scale: how far generated features spread, in units of the reference.
        shift: distance of the means along each axis, in units of the mean axis.
        distances: whether to measure Frechet and kernel distances, or precision and recall.
    """
    reference = np.random.default_rng(17).standard_normal((REFERENCES, size)) * axes(size)
    gaussian, scaled = fit_gaussian(reference), unit_length(reference)

    def of_sets(x: Array) -> Sequence[MetricResult]:
        kernels = (f"kernel distance, {name}", f"kernel distance, unit length, {name}")
        return (
            frechet_result(f"Frechet distance, {name}", x, gaussian, num=REPLICATES),
            kernel_result(kernels[0], x, reference, num=REPLICATES),
            kernel_result(kernels[1], unit_length(x), scaled, num=REPLICATES),
        )

    def of_neighbors(x: Array) -> Sequence[MetricResult]:
        return precision_recall_results((f"precision, {name}", f"recall, {name}"), x, reference, num=REPLICATES)

    def measure(z: Array) -> Sequence[MetricResult]:
        x = scale * z * axes(size) + shift * axes(size).mean()
        return of_sets(x) if distances else of_neighbors(x)

    return World(name=f"{'distances' if distances else 'neighbors'}, {name}", size=size, measure=measure)


def narrow_and_wide(rng: np.random.Generator, n: int, trainings: int) -> tuple[list[MetricResult], list[MetricResult]]:
    """Measure two models whose images spread .9 and 1.1 times as far as real ones: equally far from them in the limit.

    Args:
        rng: draws the images.
        n: number of images.
        trainings: number of sets of images of each model.
    """
    real = Gaussian(mean=np.zeros(64), root=np.diag(axes(64)))

    def sets(scale: float) -> list[MetricResult]:
        drawn = (scale * rng.standard_normal((n, 64)) * axes(64) for _ in range(trainings))
        return [frechet_result("Frechet distance", x, real, num=REPLICATES) for x in drawn]

    return sets(0.9), sets(1.1)


def logits(classes: int, sharpness: float) -> World:
    """Return a world of class logits that follow 12 directions, the inception score's."""
    directions = np.random.default_rng(17).standard_normal((12, classes)) * axes(12)[:, None]
    name = f"inception score, {classes} classes"
    return World(
        name=name,
        size=12,
        measure=lambda z: [inception_score_result(name, sharpness * z @ directions, num=REPLICATES)],
    )


WORLDS = (
    scores("share of images, .50", lambda z: z[:, 0] < 0),
    scores("share of images, .97", lambda z: z[:, 0] < ndtri(0.97)),
    scores("share of images, .99", lambda z: z[:, 0] < ndtri(0.99)),
    scores("mean of eight marks, .90", lambda z: (0.7 * z[:, :8] + 0.7 * z[:, 8:] < ndtri(0.9)).mean(axis=1), size=9),
    scores("SSIM", lambda z: expit(0.6 * z[:, 0] - 1)),
    scores("perceptual distance", lambda z: np.exp(0.35 * z[:, 0])),
    World(name="label maps", size=73, measure=label_maps),
    features("32 features", size=32, scale=0.8, shift=0.3, distances=True),
    features("100 features", size=100, scale=0.8, shift=0.3, distances=True),
    features("same distribution", size=64, scale=1, shift=0, distances=False),
    features("moved", size=32, scale=0.8, shift=0.5, distances=False),
    features("far", size=32, scale=0.8, shift=0.8, distances=False),
    logits(10, 4.0),
    logits(1000, 3.0),
)
