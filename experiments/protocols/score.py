"""Scoring of a finished sample run: fills in its metrics.json, each result stored with its bootstrap replicates."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import DEVICE, Samples
from experiments.runs import SampleRun, TrainRun
from lightning_mmdiff.errors import UnmeasurableError
from lightning_mmdiff.metrics.results import RESERVED, MetricResult, save_results
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_json


def score(
    folder: Path, run: SampleRun, protocols: Sequence[str], evaluators: "Evaluators", data: PackedDataModule
) -> None:
    """Measure the missing protocols of ``run``; for those that cannot be measured here, save the reason.

    Concurrent processes divide the features among themselves by shard, then the protocols.

    Args:
        folder: folder of the run.
        run: finished sample run.
        protocols: names of the protocols to measure.
        evaluators: trained evaluators by name.
        data: data set of the run.
    """
    samples, files = Samples(folder, run, evaluators, data), RunFolder(folder)
    if samples.show_data:
        data.setup()
    locks = WorkLocks(files.locks)
    reasons: dict[str, str] = {}
    todo = {name: by_name(name) for name in files.missing(protocols)}
    with suppress(FileNotFoundError):  # no weights: the protocol will say so
        samples.prepare(p.features for p in todo.values() if p.features)
    share = locks.share({name: name for name in todo}, lambda name: name in reasons or not files.missing([name]))
    for name in tqdm(share, desc=f"  scoring {run.name}", total=len(todo), unit="metric", leave=False):
        if run.num_images < (least := todo[name].least_images):
            reasons[name] = f"needs {least} images, there are {run.num_images}"
            continue
        try:
            result = todo[name].measure(samples)
        except (
            FileNotFoundError,
            ImportError,
            UnmeasurableError,
        ) as error:  # this machine lacks something, or the samples do
            reasons[name] = str(error)
        else:
            assert (result.protocol, result.better) == (name, todo[name].better)
            if samples.show_data and result.n > len(data.test):
                result = replace(result, extra={**result.extra, "test_images": len(data.test)})
            with locks.acquire(files.metrics.name):
                others = (other for other in _stored(folder) if other.protocol != name)
                results = sorted([*others, result], key=lambda r: r.protocol)
                locks.require(files.metrics.name)  # who stopped in between would drop the others' results
                save_results(folder, results)
    _save_reasons(folder, reasons, locks)


def _save_reasons(folder: Path, reasons: dict[str, str], locks: WorkLocks) -> None:
    """Add ``reasons`` to unmeasured.json and drop those of protocols measured by now."""
    path = RunFolder(folder).unmeasured
    if not reasons and not path.exists():
        return
    with locks.acquire(path.name):
        known = stored_json(path) | reasons
        open_ones = RunFolder(folder).missing(sorted(known))
        left = {protocol: known[protocol] for protocol in open_ones}
        if left:
            write_json(path, left)
        else:
            path.unlink(missing_ok=True)


class Evaluators:
    """The models used only to measure, each loaded on first use."""

    def __init__(self, runs: Mapping[str, TrainRun], root: Path):
        """Take the ``runs`` by name, trained below ``root``."""
        self._runs, self._root = runs, root
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the trained evaluator ``name``."""
        if name not in self._loaded:
            self._loaded[name] = build.trained(self._runs[name], self._root).to(DEVICE)
        return self._loaded[name]


def _stored(folder: Path) -> list[MetricResult]:
    """Return the results measured by earlier calls."""
    return [
        MetricResult(
            protocol=protocol, value=entry["value"], n=entry["n"], better=entry["better"],
            replicates=replicates, share=entry.get("share", False), rules=entry.get("rules", 1),
            extra={k: v for k, v in entry.items() if k not in RESERVED},
        )
        for protocol, (entry, replicates) in RunFolder(folder).measured().items()
    ]  # fmt: skip
