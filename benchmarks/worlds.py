"""Worlds where the right answer is known, for ``benchmarks.intervals``: draws of images, measured by the metrics' own code.

An image is a vector of independent standard normals. Part of it is the test condition, common to both rows and to all their
trainings; part is what a row makes of the condition, common to the row's trainings; the rest is noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from lightning_mmdiff.metrics.coverage import coverage_result
from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian
from lightning_mmdiff.metrics.frechet_infinity import LEAST_IMAGES, infinity_result, ratio_result
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.kid import unit_length
from lightning_mmdiff.metrics.memorization import Nearness, copies_result
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
    measure: Callable[[Array, Array], Sequence[MetricResult]]
    """Measures images [N, size], beside as many real ones; the names of its results are the lines of the printed table."""

    def trial(self, rng: np.random.Generator, n: int, trainings: int) -> list[list[Sequence[MetricResult]]]:
        """Measure two equally good rows on the same ``n`` conditions, [row][training][result]."""
        condition, row, noise = (np.sqrt(share) for share in SHARES)

        def draw() -> Array:
            return rng.standard_normal((n, self.size))

        common, real = condition * draw(), draw()
        rows = [common + row * draw() for _ in range(2)]
        return [[self.measure(images + noise * draw(), real) for _ in range(trainings)] for images in rows]


def scores(name: str, score: Callable[[Array], NDArray], size: int = 1) -> World:
    """Return a world whose result is the mean of ``score``, which maps images [N, size] to [N]."""

    def measure(z: Array, _: Array) -> list[MetricResult]:
        return [mean_result(name, score(z), better="higher", num=REPLICATES)]

    return World(name=name, size=size, measure=measure)


def label_maps(z: Array, _: Array) -> list[MetricResult]:
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


@dataclass(frozen=True, kw_only=True)
class Space:
    """Features, whose reference spreads by ``axes`` about 0."""

    name: str
    size: int
    """Number of features."""
    scale: float
    """How far generated features spread, in units of the reference."""
    shift: float = 0.0
    """Distance of the means along each axis, in units of the mean axis."""
    outliers: float = 0.0
    """Share of images that spread as far as the reference."""

    def place(self, z: Array) -> Array:
        """Return the features of images [N, size + 1]; the last number of an image makes it an outlier."""
        scale = np.where(z[:, -1:] < ndtri(self.outliers), 1, self.scale) if self.outliers else self.scale
        return scale * z[:, :-1] * axes(self.size) + self.shift * axes(self.size).mean()

    def reference(self) -> Array:
        """Return the features of the real images that stay."""
        return np.random.default_rng(17).standard_normal((REFERENCES, self.size)) * axes(self.size)


def distances(space: Space) -> World:
    """Return a world of distances to a fixed reference."""
    reference = space.reference()
    gaussian, scaled = fit_gaussian(reference), unit_length(reference)

    def measure(z: Array, real: Array) -> list[MetricResult]:
        x = space.place(z)
        frechet = frechet_result(f"Frechet distance, {space.name}", x, gaussian, num=REPLICATES)
        over = frechet_result("real", real[:, :-1] * axes(space.size), gaussian, num=REPLICATES, seed=1)
        found = [
            frechet,
            ratio_result(f"Frechet distance over real, {space.name}", frechet, over),
            kernel_result(f"kernel distance, {space.name}", x, reference, num=REPLICATES),
            kernel_result(f"kernel distance, unit length, {space.name}", unit_length(x), scaled, num=REPLICATES),
        ]
        if len(x) >= LEAST_IMAGES:
            found.append(infinity_result(f"Frechet distance at infinity, {space.name}", x, gaussian, frechet))
        return found

    return World(name=f"distances, {space.name}", size=space.size + 1, measure=measure)


def neighbors(space: Space) -> World:
    """Return a world of precision, recall and coverage against a fixed reference."""
    reference = space.reference()

    def measure(z: Array, _: Array) -> list[MetricResult]:
        x = space.place(z)
        names = f"precision, {space.name}", f"recall, {space.name}"
        covered = coverage_result(f"coverage, {space.name}", x, reference, num=REPLICATES)
        return [*precision_recall_results(names, x, reference, num=REPLICATES), covered]

    return World(name=f"neighbors, {space.name}", size=space.size + 1, measure=measure)


def copies(share: float) -> World:
    """Return a world where a ``share`` of the images are copies; their ratios and those of real images are normal."""
    held_out = 0.7 + 0.1 * np.random.default_rng(17).standard_normal((2, REFERENCES))

    def measure(z: Array, _: Array) -> list[MetricResult]:
        found = np.where(z[:, 2] < ndtri(share), 0.2, 0.7 + 0.1 * z[:, :2].T)
        spaces = [Nearness(samples=a, held_out=b) for a, b in zip(found, held_out)]
        return [copies_result(f"copies, {share:.2f}", spaces, num=REPLICATES)]

    return World(name=f"copies, {share:.2f}", size=3, measure=measure)


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
        measure=lambda z, _: [inception_score_result(name, sharpness * z @ directions, num=REPLICATES)],
    )


WORLDS = (
    scores("share of images, .50", lambda z: z[:, 0] < 0),
    scores("share of images, .97", lambda z: z[:, 0] < ndtri(0.97)),
    scores("share of images, .99", lambda z: z[:, 0] < ndtri(0.99)),
    scores("mean of eight marks, .90", lambda z: (0.7 * z[:, :8] + 0.7 * z[:, 8:] < ndtri(0.9)).mean(axis=1), size=9),
    scores("SSIM", lambda z: expit(0.6 * z[:, 0] - 1)),
    scores("perceptual distance", lambda z: np.exp(0.35 * z[:, 0])),
    World(name="label maps", size=73, measure=label_maps),
    distances(Space(name="32 features", size=32, scale=0.8, shift=0.3)),
    distances(Space(name="100 features", size=100, scale=0.8, shift=0.3)),
    neighbors(Space(name="same distribution", size=64, scale=1)),
    neighbors(Space(name="moved", size=32, scale=0.8, shift=0.5)),
    neighbors(Space(name="far", size=32, scale=0.8, shift=0.8)),
    neighbors(Space(name="few outliers", size=32, scale=0.3, outliers=0.03)),
    copies(0),
    copies(0.1),
    logits(10, 4.0),
    logits(1000, 3.0),
)
