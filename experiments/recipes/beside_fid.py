"""Columns and claims that stand beside a Frechet distance, which is biased: of two equal models, the less varied one wins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from experiments.protocols.catalogue import by_name
from experiments.recipes.settings.samples import FewerImages
from experiments.spec import Claim, Metric

KID, AT_INFINITY, OVER_REAL = "KID", "FID-infinity", "FID / real"
COVERAGE, COPIES = "Coverage", "Copies"
BESIDE_FID = (KID, AT_INFINITY, OVER_REAL)
"""Columns beside a printed FID: without bias, without the number of images, in units of a perfect model."""


def protocols(distance: str, *, kernel: str, copies: str) -> dict[str, str]:
    """Return column -> protocol of the columns above.

    Args:
        distance: protocol of the Frechet distance.
        kernel: protocol of the kernel distance.
        copies: protocol that finds copies of training images.
    """
    return {
        KID: kernel,
        AT_INFINITY: f"{distance}-Infinity",
        OVER_REAL: f"{distance}-Ratio",
        COPIES: copies,
    }


def enough_images(columns: Sequence[Metric], fewer: FewerImages | None) -> tuple[Metric, ...]:
    """Return the columns that can be measured on the images of a profile."""
    return tuple(c for c in columns if fewer is None or by_name(c.protocol).least_images <= fewer.num_images)


def explained(columns: Sequence[Metric], explanations: Mapping[str, tuple[str, ...]]) -> list[Metric]:
    """Return the columns with what could explain a difference from the paper's number."""
    return [replace(c, explanations=explanations.get(c.column, ())) for c in columns]


def also_on_kid(claims: Sequence[Claim], distance: str = "FID") -> Iterator[Claim]:
    """Yield each claim, and behind a claim on the Frechet ``distance`` the same on KID, which decides without its bias."""
    for claim in claims:
        yield claim
        if claim.metric == distance:
            yield replace(claim, metric=KID)
