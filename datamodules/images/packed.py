"""Labeled or paired images decoded once into memory-mapped arrays, and their training and test splits."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.batches.steps import Draw
from datamodules.storage.data_files import DataFiles
from datamodules.storage.packing import new_array, pack_once, read_packed
from datamodules.storage.rows import Rows
from lightning_mmdiff.runtime.files import write_json

logger = logging.getLogger(__name__)

VERSION = 1  # of the packed format; data of another version is packed again


@dataclass(frozen=True, kw_only=True)
class PackedArrays:
    """The opened arrays of N items, training items first."""

    folder: Path
    num_train: int
    num_test: int
    arrays: dict[str, Rows]  # "images" and the like, uint8 [N, ...]; "labels" int64 [N]
    captions: list[str] | None  # N
    classes: list[str] | None  # names in the order of the labels

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the folder, so that a worker process maps the files again instead of receiving a copy."""
        return open_arrays, (self.folder,)


def open_arrays(folder: Path) -> PackedArrays:
    """Memory-map the arrays that ``pack_arrays`` has written."""
    index, arrays = read_packed(folder)
    fields = ("num_train", "num_test", "captions", "classes")
    return PackedArrays(folder=folder, arrays=arrays, **{field: index[field] for field in fields})


def pack_arrays(files: DataFiles, *, image_size: int, folder: Path) -> bool:
    """Pack ``files`` into ``folder`` unless it already holds them; return whether anything was packed.

    Raises:
        ValueError: naming every damaged or misshapen file (up to 20).
        OSError: if the folder cannot be written or the disk is too full.
    """

    def write(temporary: Path, made_from: dict[str, Any]) -> None:
        for problem in files.problems.values():
            logger.warning("Left out, since nothing here needs it: %s", problem)
        count = files.num_train + files.num_test
        shapes = {name: (count, *shape) for name, shape in files.shapes(image_size).items()}
        arrays = {name: new_array(temporary / f"{name}.npy", shape) for name, shape in shapes.items()}
        files.fill(arrays, image_size)
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        names = list(shapes)
        labels = files.labels()
        if labels is not None:
            np.save(temporary / "labels.npy", labels)
            names.append("labels")
        counts = {"num_train": files.num_train, "num_test": files.num_test}
        rest = {"arrays": names, "captions": files.captions, "classes": files.classes}
        write_json(temporary / "index.json", made_from | counts | rest)

    return pack_once(folder, files, VERSION, write)


@dataclass(frozen=True, kw_only=True)
class ArraySplit(ABC):
    """Consecutive rows of the packed arrays; item i is row ``first + i``."""

    packed: PackedArrays
    first: int
    count: int
    conditions: tuple[str, ...]

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the items ``indices`` unchanged: not mirrored, with the test masks; see ``assemble``."""
        items = np.array(indices, np.int64)
        return self.assemble(items, np.zeros(len(items), bool), None)

    def draw(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return the drawn items, mirrored and masked as drawn; see ``assemble``."""
        items = np.array([draw.item for draw in draws], np.int64)
        flips = np.array([draw.flip for draw in draws], bool)
        return self.assemble(items, flips, np.array([draw.choice for draw in draws], np.int64))

    @abstractmethod
    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return a batch of B items.

        Args:
            items: positions in this part, int64 [B].
            flips: which items to mirror, bool [B].
            keys: keys of each row's other random choices, int64 [B]; None for the fixed test choices.

        Returns:
            "index" int64 [B], "image" uint8 [B, 3, S, S] and "conditions"; paired data adds "label_map" or the like.
        """

    def gather(self, name: str, items: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """Return rows of one array of images or label maps, [B, ..., S, S], mirrored where ``flips`` [B] is true."""
        return mirrored(self.packed.arrays[name][self.first + items], flips)


def mirrored(images: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Mirror the rows of [B, ..., S, S] marked by ``flips`` [B] in place; ``images`` must be a copy (a gather)."""
    images[flips] = images[flips, ..., ::-1]
    return images


def tensor(array: np.ndarray) -> Tensor:
    """Return the array as a contiguous tensor."""
    return torch.from_numpy(np.ascontiguousarray(array))
