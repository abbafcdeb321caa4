"""Interface between a data set of labeled or paired images on disk and the packer."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from datamodules.storage.progress import in_threads
from datamodules.storage.sources import Source, Sources
from lightning_mmdiff.errors import UserError

T = TypeVar("T")
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")
Decoder = Callable[[int], dict[str, np.ndarray]]
"""Function from an item number to name -> row of that array; raises ValueError for a damaged or misshapen file."""


class DataFiles(Source):
    """Files of one data set, listed and checked on construction and read on packing.

    Items are numbered from 0, training items first.
    """

    num_train: int
    num_test: int
    captions: list[str] | None = None  # one per item
    classes: list[str] | None = None  # names in the order of the labels

    def __len__(self) -> int:
        return self.num_train + self.num_test

    @cached_property
    def problems(self) -> dict[str, UserError]:
        """Why optional content could not be read, by the condition that needs it."""
        return {}

    def optional(self, condition: str, read: Callable[[], T]) -> T | None:
        """Return ``read()``, or None if it fails: what is damaged stops only those who need it (see ``problems``)."""
        try:
            return read()
        except UserError as error:
            self.problems[condition] = error
            return None

    @abstractmethod
    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the uint8 arrays to fill, each with the shape of one item."""

    @abstractmethod
    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Read every item into its row of the arrays [num_train + num_test, ...]; raise ValueError for bad files."""

    @abstractmethod
    def open_some(self, size: int, most: int) -> int:
        """Read up to ``most`` items as ``fill`` does; return how many. Raise ValueError for bad files."""

    @abstractmethod
    def paths(self) -> Iterable[Path]:
        """Return every file that is read; their names and contents are part of the fingerprint."""

    def labels(self) -> np.ndarray | None:
        """Return the class of each item, int64 [num_train + num_test], or None if there are no classes."""
        return None

    def file_parts(self) -> Mapping[str, Iterable[Path]]:
        """Return the files that are read as one part."""
        return {"files": self.paths()}

    def derived(self) -> Mapping[str, str]:
        """Return a digest of classes, labels and captions, whichever file they come from."""
        labels = self.labels()
        digest = hashlib.sha256(b"" if labels is None else labels.tobytes())
        digest.update(json.dumps([self.num_train, self.num_test, self.classes, self.captions]).encode())
        return {"labels": digest.hexdigest()[:16]}

    def by_name(self, found: Mapping[str, Sources]) -> Mapping[str, str]:
        """Return the digest of the names and sizes in bytes of the files, in order."""
        files = found["files"]
        lines = (f"{name} {size}\n" for name, size in zip(files.names, files.stamps[:, 0]))
        return {"files": hashlib.sha256("".join(lines).encode()).hexdigest()[:16]}


class ItemFiles(DataFiles):
    """Files that are read item by item."""

    @abstractmethod
    def decoder(self, size: int) -> Decoder:
        """Return the function that reads one item."""

    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Read every item into its row."""
        fill_rows(arrays, self.decoder(size), len(self), f"packing {self.root.name} at {size} px")

    def open_some(self, size: int, most: int) -> int:
        """Read up to ``most`` items."""
        return open_rows(self.decoder(size), len(self), most, self.root.name)


def fill_rows(arrays: Mapping[str, Any], decode: Decoder, count: int, title: str) -> None:
    """Fill the rows of ``arrays`` in parallel threads.

    Args:
        arrays: name -> uint8 [count, ...], or a ``CompressedWriter`` of that shape.
        decode: reads one item.
        count: number of items.
        title: title of the progress bar.

    Raises:
        ValueError: naming every damaged or misshapen file (up to 20).
    """

    def fill(row: int) -> str | None:
        try:
            for name, value in decode(row).items():
                arrays[name][row] = value
        except ValueError as error:
            return str(error)
        return None

    in_threads(fill, count, title)


def open_rows(decode: Decoder, count: int, most: int, name: str) -> int:
    """Read up to ``most`` of ``count`` items, evenly spread from the first to the last, and forget them; return how many.

    Args:
        decode: reads one item.
        count: number of items.
        most: largest number of items to read.
        name: name of the data set, for the progress bar.

    Raises:
        ValueError: naming every damaged or misshapen file (up to 20).
    """
    rows = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()

    def look(place: int) -> str | None:
        try:
            decode(rows[place])
        except ValueError as error:
            return str(error)
        return None

    in_threads(look, len(rows), f"opening {len(rows)} of {count} items of {name}")
    return len(rows)
