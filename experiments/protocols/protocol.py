"""What a protocol is: one way to measure samples, with all that a table, a report and the doctor say about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from experiments.protocols.samples import Features, Samples
from lightning_mmdiff.metrics.results import Better, MetricResult, mean_result


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a column is measured. Another network or another resize is another protocol."""

    name: str
    """Part of results on disk, so it never changes."""
    better: Better
    description: str
    """For the reader of a report: on what, against what, averaged how."""
    measure: Callable[[Samples], MetricResult]
    """Raises MissingFileError where a file is not on disk."""
    features: Features | None = None
    """What it needs of every sample, computed in one pass over the shards with what others need of the same network."""
    weights: tuple[str, ...] = ()
    """Names of the published weight files without which it cannot be measured (``lightning_mmdiff/weights/table.py``)."""


def image_mean(
    name: str,
    score: Callable[[Samples], NDArray],
    *,
    better: Better,
    description: str,
    weights: tuple[str, ...] = (),
) -> Protocol:
    """Return a protocol whose value is the mean of a score per image.

    Args:
        name: of the protocol.
        score: of each image, [N].
        better: whether low or high scores are.
        description: for the reader of a report.
        weights: published weight files that ``score`` reads.
    """

    def measure(samples: Samples) -> MetricResult:
        return mean_result(name, score(samples), better=better)

    return Protocol(name=name, better=better, description=description, measure=measure, weights=weights)


def one_of(results: Callable[[Samples], Sequence[MetricResult]], number: int) -> Callable[[Samples], MetricResult]:
    """Return what measures one of several ``results`` that are computed together, once."""

    def measure(samples: Samples) -> MetricResult:
        return samples.once(results)[number]

    return measure
