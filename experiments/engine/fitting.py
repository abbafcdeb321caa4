"""Whether the data found on disk are enough for the runs of some tables; asked before anything is packed or trained."""

from collections.abc import Sequence
from typing import Any

from datamodules.base import PackedDataModule
from datamodules.config import DataConfig
from experiments.protocols.catalogue import by_name
from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Table
from lightning_mmdiff.errors import UserError


def require_fitting(
    config: DataConfig, module: PackedDataModule, files: Any, *, tables: Sequence[Table], runs: Sequence[Run]
) -> None:
    """Raise UserError if there are too few test images for a metric, or more classes than a network has.

    Args:
        config: the data set.
        module: its data module.
        files: what ``module.check`` returns.
        tables: tables whose rows are measured.
        runs: runs to do.
    """
    test = module.num_test(files)
    if len(files) - test < 1 or test < 1:
        raise UserError(f"{module.root}: has {len(files)} images, {test} of them to test; expected some of both kinds.")
    for name, least in _least(config, tables, runs):
        if test < least:
            raise UserError(
                f"{module.root}: {test} of its {len(files)} images are to test, but {name} needs {least} or more; add "
                "images, or leave --data out for rendered ones."
            )
    classes = len(getattr(files, "classes", None) or ())
    for run in (r for r in runs if isinstance(r, TrainRun) and config in r.data and "label" in config.conditions):
        if run.model.num_classes is not None and classes > run.model.num_classes:
            raise UserError(
                f"{module.root}: has {classes} classes, but {run.name} is a network of {run.model.num_classes}; keep as "
                "many class folders, of the training and of the test images, or choose another --profile."
            )


def _least(config: DataConfig, tables: Sequence[Table], runs: Sequence[Run]) -> list[tuple[str, int]]:
    """Return the metrics of the runs on the same test images, each with the number of real images that it needs."""
    same = (config.dataset, config.split)
    here = {run for run in runs if isinstance(run, SampleRun) and (run.data.dataset, run.data.split) == same}
    used = (table for table in tables if any(row.sample in here for row in table.rows))
    found = (by_name(metric.protocol) for table in used for metric in table.metrics)
    return list(dict.fromkeys((each.name, each.least_real_images) for each in found))
