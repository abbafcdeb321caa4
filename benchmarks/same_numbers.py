"""Comparison of two folders of runs, bit for bit: weights, samples, losses, metrics and their replicates.

To check a change that must not alter numbers, run tables before and after it, with one thread each, then compare.

    OMP_NUM_THREADS=1 python -m experiments.table1 --profile smoke --out before
    OMP_NUM_THREADS=1 python -m experiments.table1 --profile smoke --out after
    python -m benchmarks.same_numbers before/smoke after/smoke
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro
from safetensors.numpy import load_file

from lightning_mmdiff.runtime.files import read_text
from lightning_mmdiff.runtime.run_folder import RunFolder

TIMED = ("MillisecondsPerImage",)
"""Protocols that measure time."""


def differences(before: RunFolder, after: RunFolder) -> Iterator[str]:
    """Yield what is missing or different in the run ``after``; anything found only there does not count."""
    if not _losses(before.loss_curve) <= _losses(after.loss_curve):
        yield "losses differ"
    if before.weights.exists():
        yield from _arrays(
            "weights", load_file(before.weights), load_file(after.weights) if after.weights.exists() else {}
        )
    shards = {path.name: np.load(path) for path in sorted(before.samples.glob("*.npy"))}
    yield from _arrays("samples", shards, {path.name: np.load(path) for path in after.samples.glob("*.npy")})
    if before.metrics.exists():
        old, new = (json.loads(_text(folder.metrics) or "{}") for folder in (before, after))
        for protocol in old.keys() - set(TIMED):
            if protocol not in new or old[protocol]["value"] != new[protocol]["value"]:
                yield f"{protocol}: {old[protocol]['value']} before, {new.get(protocol, {}).get('value')} after"
        replicates = [dict(np.load(f.replicates)) if f.replicates.exists() else {} for f in (before, after)]
        yield from _arrays("replicates", {k: v for k, v in replicates[0].items() if k not in TIMED}, replicates[1])


def _text(path: Path) -> str:
    return read_text(path) if path.exists() else ""


def _losses(path: Path) -> set[tuple[str, str, str]]:
    """Return the step, column and value of every cell of a loss curve."""
    rows = csv.DictReader(_text(path).splitlines())
    return {(row["step"], name, value) for row in rows for name, value in row.items()}


def _arrays(what: str, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Iterator[str]:
    for name, array in before.items():
        if name not in after or not np.array_equal(array, after[name], equal_nan=array.dtype.kind == "f"):
            yield f"{what} {name} {'differ' if name in after else 'are missing'}"


def main(before: Path, after: Path, /) -> None:
    """Compare every run of ``before``.

    Args:
        before: folder of run folders, for example runs/smoke.
        after: folder to compare with it.
    """
    found = RunFolder.begun(before)
    wrong = 0
    for folder in found:
        for difference in list(differences(folder, RunFolder(after / folder.name)))[:5]:
            print(f"{folder.name}: {difference}")
            wrong += 1
    print(f"{len(found)} runs compared, {wrong or 'no'} differences")
    sys.exit(bool(wrong) or not found)


if __name__ == "__main__":
    tyro.cli(main)
