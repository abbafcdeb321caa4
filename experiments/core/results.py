"""Which results of a run are on disk; reads only files, so it is cheap enough for a login node."""

from collections.abc import Sequence

from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Table
from lightning_mmdiff.runtime.run_folder import RunFolder


def protocols_of(run: SampleRun, tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the protocols that ``tables`` use to measure ``run``, each once."""
    uses = [table for table in tables if any(row.sample == run for row in table.rows)]
    return tuple(dict.fromkeys(metric.protocol for table in uses for metric in table.metrics))


def has_results(folder: RunFolder, run: Run, tables: Sequence[Table]) -> bool:
    """Return whether ``folder`` has the weights of a training run, or every value that ``tables`` need of a sample run."""
    if isinstance(run, TrainRun):
        return folder.is_trained
    return folder.is_scored and not folder.missing(protocols_of(run, tables))
