"""Which published weight files tables need, for their metrics and for their models."""

from collections.abc import Sequence

from experiments.protocols.catalogue import by_name
from experiments.runs import Run, TrainRun
from experiments.spec import Table
from lightning_mmdiff import weights
from lightning_mmdiff.released import convert
from lightning_mmdiff.released.catalogue import Released


def needed_weights(tables: Sequence[Table], runs: Sequence[Run]) -> list[weights.Weight]:
    """Return the needed entries of the table of weights, in its order.

    Args:
        tables: tables whose metrics count.
        runs: runs whose models count.
    """
    protocols = {metric.protocol for table in tables for metric in table.metrics}
    names = {weight for protocol in protocols for weight in by_name(protocol).weights}
    for run in runs:
        names |= {*released_files(run), *(run.model.weight_files if isinstance(run, TrainRun) else ())}
    return [w for w in weights.WEIGHTS if w.name in names]


def origins(run: Run) -> dict[str, dict[str, str]]:
    """Return the published files of the models that a run reads, as far as they are there: name -> file and SHA-256."""
    paths = {name: weights.find(name) for name in released_files(run) if weights.entry(name).converts}
    return {name: convert.origin(path) for name, path in paths.items() if path is not None}


def released_files(run: Run) -> tuple[str, ...]:
    """Return the names of the files of the released models that a run builds on or samples from, in order."""
    sources = run.sources if isinstance(run, TrainRun) else run.method.needs
    names = (name for source in sources if isinstance(source, Released) for name in source.weights)
    return tuple(dict.fromkeys(names))
