"""Locations of data and runs, and preparation of a run's data sets: rendered if allowed, checked, packed, opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from datamodules.base import PackedDataModule
from datamodules.config import DataConfig
from datamodules.regimes import CombinedDataModule
from experiments.core.costs import data_of
from experiments.runs import Run, TrainRun
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import environment_number

RENDERED = {"smoke": (48, 16), "mini": (4000, 32)}
"""Images per data set (plus test images) and image size in pixels, if the data is rendered."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Locations of data and runs."""

    profile: Profile
    runs: Path
    """Folder with one subfolder per run."""
    data: Path
    """Root of the data sets."""
    rendered: bool
    """Whether missing data sets are rendered by us."""
    cache: Path | None
    """Folder for packed data sets; None packs them next to their files."""
    logger: Literal["csv", "tensorboard", "wandb"] = "csv"
    """Where the loss goes besides loss.csv."""

    @classmethod
    def make(
        cls, profile: Profile, out: Path, data: Path | None, logger: Literal["csv", "tensorboard", "wandb"] = "csv"
    ) -> "Workspace":
        """Return the workspace for the command line's flags.

        Args:
            profile: profile of the runs.
            out: root of all run folders.
            data: root of the data sets; None renders them where they can be.
            logger: where the loss goes besides loss.csv.
        """
        rendered = data is None and profile in RENDERED
        root = Path("data") / profile if rendered else data or Path("data")
        cache = out / "packed" if data is not None else None  # a given folder may be read-only, or not ours
        return cls(profile=profile, runs=out / profile, data=root, rendered=rendered, cache=cache, logger=logger)

    def open(self, config: DataConfig) -> PackedDataModule:
        """Return the data module of one data set."""
        return config.open(self.data, cache=self.cache)


Fits = Callable[[DataConfig, PackedDataModule, Any], None]
"""Function of a data set, its module and its files that refuses what the runs cannot use."""


def prepare_data(workspace: Workspace, runs: Sequence[Run], fits: Fits = lambda *_: None) -> None:
    """Render the mini data if it is missing; verify every data set that the runs read, ask ``fits``, and pack it."""
    configs = dict.fromkeys(c for run in runs for c in data_of(run))
    if workspace.rendered:
        count, size = RENDERED[workspace.profile]
        for entry in dict.fromkeys(c.data_set for c in configs):
            if entry.render is None:
                raise UserError(f"{entry.name} has no rendered stand-in: give the folder of the real data by --data.")
            entry.render(workspace.data / entry.folder, count=count, image_size=size)
    for config in configs:
        module = workspace.open(config)
        module.prepare_data(partial(fits, config, module))


def training_data(run: TrainRun, root: Path, cache: Path | None = None) -> PackedDataModule | CombinedDataModule:
    """Return the data of a training run as ``prepare_data`` packed it: one data set, or several."""
    rows = run.batch_size // len(run.data) if run.regime == "mixed" else run.batch_size
    modules = [c.open(root, batch_size=rows, seed=run.seed, cache=cache) for c in run.data]
    workers = loader_workers()
    for module in modules:
        module.prepared = True  # files changed since then would not be those in the run's config
        module.num_workers = workers
    if len(modules) == 1:
        return modules[0]
    return CombinedDataModule(
        data=tuple(modules), regime=run.regime, switch_step=run.switch_step or 0, num_workers=workers
    )


def loader_workers() -> int:
    """Return how many processes assemble training batches: ``MMDIFF_LOADER_WORKERS``; 2 beside a GPU, else none.

    Batches depend on (seed, step, row) alone, so the number changes no result. On a CPU the cores are the training's.
    """
    return environment_number("MMDIFF_LOADER_WORKERS", 2 if torch.cuda.is_available() else 0)
