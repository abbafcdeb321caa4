"""Measures a finished sample run: what is missing in its metrics.json, each result stored with its bootstrap replicates."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.protocols.samples import Samples
from experiments.spec import SampleRun, TrainRun
from lightning_mmdiff.metrics.results import RESERVED, MetricResult, save_results
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.locks import WorkLocks


def missing(folder: Path, protocols: Sequence[str]) -> list[str]:
    """Protocols that metrics.json does not hold yet."""
    path = folder / "metrics.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    return [p for p in protocols if p not in done]


def score(
    folder: Path, run: SampleRun, protocols: Sequence[str], evaluators: "Evaluators", data: PackedDataModule
) -> None:
    """Measure the missing protocols of ``run``; what cannot be measured here is left with its reason.

    Processes that do this at once share out the features by shard, then the protocols.
    """
    if run.method.reads_data:
        data.setup()
    evaluation, locks = Samples(folder, run, evaluators, data), WorkLocks(folder / ".locks")
    reasons: dict[str, str] = {}
    todo = missing(folder, protocols)
    with suppress(FileNotFoundError):  # no weights: the protocol will say so
        evaluation.prepare(todo)
    share = locks.share({p: p for p in todo}, lambda p: p in reasons or not missing(folder, [p]))
    for protocol in tqdm(share, desc=f"  scoring {run.name}", total=len(todo), unit="metric", leave=False):
        try:
            result = evaluation.measure(protocol)
        except (FileNotFoundError, ImportError) as error:  # weights or a parser that this machine lacks
            reasons[protocol] = str(error)
        else:
            if run.method.reads_data and result.n > len(data.test):
                result = replace(result, extra={**result.extra, "test_images": len(data.test)})
            with locks.acquire("metrics.json"):
                save_results(folder, sorted([*_stored(folder), result], key=lambda r: r.protocol))
    _save_reasons(folder, reasons, locks)


def _save_reasons(folder: Path, reasons: dict[str, str], locks: WorkLocks) -> None:
    """Add ``reasons`` to unmeasured.json and drop those of protocols that are measured by now."""
    path = folder / "unmeasured.json"
    if not reasons and not path.exists():
        return
    with locks.acquire("unmeasured.json"):
        old = json.loads(path.read_text()) if path.exists() else {}
        left = {p: reason for p, reason in sorted((old | reasons).items()) if missing(folder, [p])}
        if left:
            write_json(path, left)
        else:
            path.unlink(missing_ok=True)


class Evaluators:
    """The models that only measure, each loaded when first asked for."""

    def __init__(self, runs: Mapping[str, TrainRun], root: Path):
        """``runs`` by name; trained below ``root``."""
        self._runs, self._root = runs, root
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the trained evaluator ``name``."""
        if name not in self._loaded:
            self._loaded[name] = build.trained(self._runs[name], self._root)
        return self._loaded[name]


def _stored(folder: Path) -> list[MetricResult]:
    """Results that an earlier call has measured."""
    path = folder / "metrics.json"
    if not path.exists():
        return []
    with np.load(folder / "replicates.npz") as replicates:
        return [
            MetricResult(
                protocol=protocol, value=entry["value"], n=entry["n"], better=entry["better"],
                replicates=replicates[protocol], extra={k: v for k, v in entry.items() if k not in RESERVED},
            )
            for protocol, entry in json.loads(path.read_text()).items()
        ]  # fmt: skip
