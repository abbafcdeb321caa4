"""A measured number with its protocol and its bootstrap replicates, and how it is stored on disk.

``metrics.json``: {protocol: {"value", "n", "interval": [low, high], "better", "rules", "share" if it is one, ...extra}}.
``replicates.npz``: {protocol: float64 [R]}, made with common resampling indices (see ``bootstrap``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean, interval, wilson_interval
from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian, frechet_between, influences
from lightning_mmdiff.metrics.kid import kernel_distance, kernel_distance_replicates
from lightning_mmdiff.runtime.files import atomic_path, write_json
from lightning_mmdiff.runtime.run_folder import RULES, RunFolder

Better = Literal["lower", "higher", "neither"]
RESERVED = ("value", "n", "interval", "better", "share", "rules")


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One cell of a table."""

    protocol: str  # "FID", "FD-EffNetLite0", "KID", "KID-EffNetLite0", "LPIPS", "PD-EffNetLite0", "SSIM", "mIoU", "F1"
    value: float
    n: int  # generated images
    better: Better
    replicates: NDArray[np.float64]  # [R], the value under each common resample of the images
    share: bool = False  # whether every image scores 0 or 1 and the value is their mean
    rules: int = RULES  # by which the replicates were made
    extra: dict[str, Any] = field(default_factory=dict)  # facts that a reader must know: reference, sizes, failures

    def __post_init__(self) -> None:
        if not np.isfinite(self.value) or not np.isfinite(self.replicates).all():
            raise UserError(f"{self.protocol} is {self.value} with replicates that may not be finite; not a result.")
        if taken := set(self.extra) & set(RESERVED):
            raise UserError(f"{self.protocol}: extra may not hold {sorted(taken)}.")

    def to_json(self) -> dict[str, Any]:
        """Return the entry of this result in ``metrics.json``."""
        bounds = wilson_interval(self.value, self.n) if self.share else interval(self.value, self.replicates, self.n)
        entry = {"value": float(self.value), "n": self.n, "interval": list(bounds), "better": self.better}
        entry["rules"] = self.rules
        return {**entry, **({"share": True} if self.share else {}), **self.extra}


def mean_result(
    protocol: str, values: NDArray, /, *, better: Better, num: int = 1000, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the mean of per-image scores.

    Args:
        protocol: name of the metric.
        values: score of each image, [N]; if bool, the result is a share of the images.
        better: whether lower or higher is better.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    return MetricResult(
        protocol=protocol,
        value=float(np.mean(values, dtype=np.float64)),
        n=len(values),
        better=better,
        replicates=bootstrap_mean(values, num, seed),
        share=values.dtype == np.bool_,
        extra=extra,
    )


def frechet_result(
    protocol: str, features: NDArray, reference: Gaussian, /, *, num: int = 200, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the Frechet distance of ``features`` to ``reference``.

    Args:
        protocol: name of the metric.
        features: of the generated images, [N, D].
        reference: Gaussian of the reference, whose features are not resampled.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    value = frechet_between(fit_gaussian(features), reference)
    replicates = value + bootstrap_mean(influences(features, reference), num, seed)
    return MetricResult(
        protocol=protocol, value=value, n=len(features), better="lower", replicates=replicates, extra=extra
    )


def kernel_result(
    protocol: str, features: NDArray, reference: NDArray, /, *, num: int = 200, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the kernel distance of ``features`` to ``reference``.

    Args:
        protocol: name of the metric.
        features: of the generated images, [N, D]; Inception's unscaled, others scaled by ``kid.unit_length``.
        reference: of the reference images, [M, D], with the same scaling; not resampled.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    replicates = kernel_distance_replicates(features, reference, num=num, seed=seed)
    value = kernel_distance(features, reference)
    return MetricResult(
        protocol=protocol, value=value, n=len(features), better="lower", replicates=replicates, extra=extra
    )


def save_results(folder: Path, results: Sequence[MetricResult]) -> None:
    """Write ``replicates.npz`` and then ``metrics.json`` into ``folder``, so that the JSON never exists alone."""
    names = [result.protocol for result in results]
    if len(set(names)) != len(names):
        raise UserError(f"Two results of one protocol: {names}; name what differs in the protocol.")
    files = RunFolder(folder)
    with atomic_path(files.replicates) as temporary:
        np.savez(temporary, **{result.protocol: result.replicates for result in results})  # type: ignore[arg-type]
    write_json(files.metrics, {result.protocol: result.to_json() for result in results})
