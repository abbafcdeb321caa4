"""Which published weight files tables need, for their metrics and for their models."""

from collections.abc import Sequence

from experiments.protocols.catalogue import by_name
from experiments.runs import Run, TrainRun
from experiments.spec import Table
from lightning_mmdiff import weights
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
        if isinstance(run, TrainRun):
            released = [source.entry for source in run.sources if isinstance(source, Released)]
            names |= {*run.model.weight_files, *(name for entry in released for name in entry.weights)}
    return [w for w in weights.WEIGHTS if w.name in names]
