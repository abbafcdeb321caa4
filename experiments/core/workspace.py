"""Where data and runs lie, and how the data sets of a run get there: rendered if they may be, checked, packed, opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.base import PackedDataModule
from datamodules.mini.image_layouts import (
    write_cifar10,
    write_cityscapes,
    write_digits,
    write_imagenet,
    write_night2day,
)
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from experiments.core import build
from experiments.core.costs import data_of
from experiments.spec import DataConfig, DatasetName, Profile, Run

RENDERED = {"smoke": (48, 16), "mini": (4000, 32)}
"""Images per data set (test images come on top) and their size in pixels, where the data is rendered."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where things are."""

    profile: Profile
    runs: Path
    """One folder per run."""
    data: Path
    """Root of the data sets."""
    rendered: bool
    """Whether the data sets are rendered by us when they are missing."""
    cache: Path | None
    """Where data sets are packed; None packs them beside their files."""

    @classmethod
    def make(cls, profile: Profile, out: Path, data: Path | None) -> "Workspace":
        """Workspace of the command line's flags."""
        rendered = data is None and profile != "paper"
        root = Path("data") / profile if rendered else data or Path("data")
        cache = out / "packed" if data is not None else None  # a folder that was given may be read-only, or not ours
        return cls(profile=profile, runs=out / profile, data=root, rendered=rendered, cache=cache)

    def open(self, config: DataConfig) -> PackedDataModule:
        """Data module of one data set."""
        return build.data(config, self.data, cache=self.cache)


def prepare_data(workspace: Workspace, runs: Sequence[Run]) -> None:
    """Render the mini data where it is missing; verify and pack every data set that the runs read."""
    configs = dict.fromkeys(c for run in runs for c in data_of(run))
    if workspace.rendered:
        count, size = RENDERED[workspace.profile]
        for dataset in dict.fromkeys(c.dataset for c in configs):
            _render(dataset, workspace.data / build.FOLDERS[dataset], count, size)
    for config in configs:
        workspace.open(config).prepare_data()


def _render(dataset: DatasetName, folder: Path, count: int, size: int) -> None:
    """Write a small data set in the layout of ``dataset``."""
    match dataset:
        case "celebamask_hq":
            write_celebamask_hq(folder, count=count, image_size=size)
        case "ffhq":
            write_ffhq(folder, count=count, image_size=size)
        case "imagenet":
            write_imagenet(folder, count=count, image_size=size)
        case "cityscapes":
            write_cityscapes(folder, count=count, image_size=size)
        case "night2day":
            write_night2day(folder, count=count, image_size=size)
        case "digits":
            write_digits(folder)
        case "cifar10":
            write_cifar10(folder, count=count, image_size=size)
