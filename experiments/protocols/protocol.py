"""The definition of a protocol: one way to measure samples, and all that a table, a report and the doctor need to know."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from numpy.typing import NDArray

from experiments.protocols.samples import Features, Samples
from experiments.spec import UNBOUNDED, Range
from lightning_mmdiff.configs import Config
from lightning_mmdiff.metrics.results import Better, MetricResult, mean_result

AT_LEAST_0: Range = (0.0, None)
SHARE: Range = (0.0, 1.0)
COSINE: Range = (-1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Protocol(Config):
    """How a column is measured. Another network or another resize is another protocol."""

    name: str
    """Name used in results on disk, so it never changes."""
    better: Better
    description: str
    """Description for the reader of a report: measured on what, against what, averaged how."""
    measure: Callable[[Samples], MetricResult]
    """Measurement of the samples; raises MissingFileError if a file is not on disk."""
    features: Features | None = None
    """Features it needs of every sample, computed in one pass over the shards for all protocols that use the same network."""
    weights: tuple[str, ...] = ()
    """Names of the published weight files that it needs (``lightning_mmdiff/weights/table.py``)."""
    least_real_images: int = 1
    """Smallest number of real test images that it can be computed on."""
    range: Range = UNBOUNDED
    """Smallest and largest value; reports cut intervals there."""
    least_images: int = 1
    """Number of samples below which it is not measured."""
    comparable: bool = False
    """Whether the papers' numbers of this kind can be compared with it; a result may know better (``references.py``)."""
    basis: str = ""
    """What a comparison rests on where papers are silent, or what stands in its way."""


def comparable(protocol: Protocol, basis: str = "") -> Protocol:
    """Return ``protocol`` as one whose numbers can be compared with the papers', on this basis."""
    return replace(protocol, comparable=True, basis=basis)


def image_mean(
    name: str,
    score: Callable[[Samples], NDArray],
    *,
    better: Better,
    description: str,
    weights: tuple[str, ...] = (),
    range: Range = UNBOUNDED,
) -> Protocol:
    """Return a protocol whose value is the mean of a score per image.

    Args:
        name: name of the protocol.
        score: computes the score of each image, [N].
        better: whether lower or higher scores are better.
        description: description for the reader of a report.
        weights: published weight files that ``score`` reads.
        range: smallest and largest score.
    """

    def measure(samples: Samples) -> MetricResult:
        return mean_result(name, score(samples), better=better)

    return Protocol(name=name, better=better, description=description, measure=measure, weights=weights, range=range)


def one_of(results: Callable[[Samples], Sequence[MetricResult]], number: int) -> Callable[[Samples], MetricResult]:
    """Return a function that measures one of several ``results``, which are computed together, once."""

    def measure(samples: Samples) -> MetricResult:
        return samples.once(results)[number]

    return measure
