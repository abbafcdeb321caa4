"""List of the data sets. To add one, write a file of its own and add a ``DataSet`` here."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from datamodules.base import PackedDataModule
from datamodules.celebamask_hq import CelebAHQ, CelebAMaskHQ
from datamodules.cifar10 import CIFAR10
from datamodules.cityscapes import Cityscapes
from datamodules.digits import Digits
from datamodules.ffhq import FFHQ
from datamodules.imagenet import ImageNet
from datamodules.images.downsampled_imagenet import DownsampledImageNet
from datamodules.mini.image_layouts import (
    write_cifar10,
    write_cityscapes,
    write_digits,
    write_imagenet,
    write_night2day,
)
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from datamodules.mini.scene_layouts import write_balanced_scenes, write_close_things, write_scenes
from datamodules.night2day import Night2Day
from datamodules.scene_prompts import ScenePrompts
from datamodules.scenes import Scenes
from lightning_mmdiff.errors import require_known


class Render(Protocol):
    """Function that writes a small stand-in in the layout of a data set, unless the same one already exists."""

    def __call__(self, root: Path, /, *, count: int, image_size: int) -> None:
        """Write ``count`` training images, and some test images, of ``image_size`` pixels below ``root``."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A public archive that holds a whole data set."""

    url: str
    contains: str
    """Folder that unpacking creates, relative to the data root; the archive is unpacked into its parent."""
    sha256: str = ""
    """Checksum; "" if unknown."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Everything that is known about a data set before it is opened."""

    name: str
    """Value of ``DataConfig.dataset``; part of file names, so it never changes."""
    folder: str
    """Folder below the root of all data sets."""
    module: type[PackedDataModule]
    render: Render | None = None
    """Writer of a stand-in; None if there is none, so that even a small run needs the real images."""
    expected: int = 0
    """Number of images that the published settings need; 0 is not compared."""
    shows: str = "object"
    """Subject of an image, after which the classifier that judges samples is named."""
    source: str = ""
    """Where to get it, as text for the user."""
    archive: Archive | None = None
    """Where ``experiments.prefetch`` gets it."""


DATA_SETS = (
    DataSet(
        name="celebamask_hq", folder="CelebAMask-HQ", module=CelebAMaskHQ, render=write_celebamask_hq, shows="face",
        expected=29_999,  # out of 30,000: one image is missing in some copies
        source="github.com/switchablenorms/CelebAMask-HQ (Google Drive, non-commercial)",
    ),
    DataSet(
        name="celeba_hq", folder="CelebAMask-HQ", module=CelebAHQ, render=write_celebamask_hq, shows="face",
        expected=29_999, source="github.com/switchablenorms/CelebAMask-HQ (the same images; masks are not needed)",
    ),
    DataSet(
        name="ffhq", folder="ffhq", module=FFHQ, render=write_ffhq, shows="face",
        expected=30_000,  # the first 30,000 of 70,000
        source="github.com/NVlabs/ffhq-dataset (its own download script)",
    ),
    DataSet(
        name="imagenet", folder="imagenet", module=ImageNet, render=write_imagenet,
        expected=1_331_167, source="image-net.org (registration)",
    ),
    DataSet(
        name="imagenet_downsampled", folder="imagenet_downsampled", module=DownsampledImageNet,
        expected=1_331_167, source="image-net.org (registration; the downsampled arrays)",
    ),
    DataSet(
        name="cifar10", folder="cifar10", module=CIFAR10, render=write_cifar10, expected=60_000,
        source="www.cs.toronto.edu/~kriz/cifar.html (no license stated)",
        archive=Archive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", contains="cifar10/cifar-10-batches-py",
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    DataSet(
        name="cityscapes", folder="cityscapes", module=Cityscapes, render=write_cityscapes, shows="street",
        expected=3_475, source="cityscapes-dataset.com (registration)",
    ),
    DataSet(
        name="night2day", folder="night2day", module=Night2Day, render=write_night2day, shows="street",
        expected=20_110, source="github.com/phillipi/pix2pix (no license stated)",
        archive=Archive(
            url="https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/night2day.tar.gz", contains="night2day",
        ),
    ),
    DataSet(
        name="digits", folder="digits", module=Digits, render=write_digits, shows="digit",
        source="scikit-learn (python -m datamodules.prepare digits --render 1797 writes them)",
    ),
    DataSet(
        name="scene_prompts", folder="imagenet", module=ScenePrompts, expected=3_300,
        source="the validation photographs of ImageNet, image-net.org (registration); the prompts are in the repository",
    ),
    DataSet(
        name="scenes", folder="scenes", module=Scenes, render=write_scenes, shows="scene",
        source="our own (python -m datamodules.prepare scenes --render 4000 writes them)",
    ),
    DataSet(
        name="close_things", folder="close_things", module=Scenes, render=write_close_things, shows="object",
        source="our own (python -m datamodules.prepare close_things --render 4000 writes them)",
    ),
    DataSet(
        name="scenes_balanced", folder="scenes_balanced", module=Scenes, render=write_balanced_scenes, shows="scene",
        source="our own (python -m datamodules.prepare scenes_balanced --render 4000 writes them)",
    ),
)  # fmt: skip


_ADDED: dict[str, DataSet] = {}


def add(entry: DataSet) -> None:
    """Make a data set of your own known to this process; call it in the module that defines your table.

    An installed package names its data sets as entry points of the group "lightning_mmdiff.data_sets" instead.
    """
    _ADDED[entry.name] = entry


def data_sets() -> tuple[DataSet, ...]:
    """Return those of this list, of installed packages, and those that were added."""
    return (*DATA_SETS, *_installed(), *_ADDED.values())


@cache
def _installed() -> tuple[DataSet, ...]:
    return tuple(point.load() for point in entry_points(group="lightning_mmdiff.data_sets"))


def data_set(name: str) -> DataSet:
    """Return the data set with this name.

    Raises:
        UserError: if there is none; suggests the closest name.
    """
    known = data_sets()
    require_known("data set", name, (entry.name for entry in known))
    return next(entry for entry in known if entry.name == name)
