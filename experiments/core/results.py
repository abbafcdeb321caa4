"""Which results of a run are on disk; looks at files only, so that a login node can afford it."""

from collections.abc import Sequence

from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Table
from lightning_mmdiff.runtime.run_folder import RunFolder


def protocols_of(run: SampleRun, tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the protocols by which ``tables`` measure ``run``, each once."""
    uses = [table for table in tables if any(row.sample == run for row in table.rows)]
    return tuple(dict.fromkeys(metric.protocol for table in uses for metric in table.metrics))


def has_results(folder: RunFolder, run: Run, tables: Sequence[Table]) -> bool:
    """Return whether the weights of a training, or every value that ``tables`` ask of samples, are in ``folder``."""
    if isinstance(run, TrainRun):
        return folder.is_trained
    return folder.is_scored and not folder.missing(protocols_of(run, tables))
