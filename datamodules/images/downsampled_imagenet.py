"""Downsampled ImageNet (Chrabaszcz et al., 2017): whole images squeezed to 64 or 32 pixels, stored as arrays."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.images import imagenet_labels as class_ids
from datamodules.images.labeled import LabeledDataModule
from datamodules.storage.data_files import DataFiles
from datamodules.storage.listing import expected, require_root
from datamodules.storage.progress import progress_bar
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError

BATCH_FILES = tuple(f"train_data_batch_{i}.npz" for i in range(1, 11))
VAL_FILE = "val_data.npz"

LAYOUT = f"""\
  train_data_batch_{{1..10}}.npz   data uint8 [N, 3 S S], labels 1 to 1000
  {VAL_FILE}
  {class_ids.MAP_FILE}             "n02119789 1 kit_fox" a line: the order of the labels"""


class DownsampledFiles(DataFiles):
    """Ten training arrays and one validation array: whole images squeezed to S x S, not center-cropped as in ADM.

    Their labels count from 1 in the order of ``map_clsloc.txt``; ours are ranks of the sorted wnids.
    """

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        missing = [name for name in (*BATCH_FILES, VAL_FILE) if not (root / name).is_file()]
        if pickled := [name.removesuffix(".npz") for name in missing if (root / name).with_suffix("").is_file()]:
            raise MissingFileError(
                f"{root}: found {some(pickled)} without .npz, the pickled release of these arrays; fetch the npz release."
            )
        if missing:
            raise MissingFileError(
                f"{root}: found {11 - len(missing)} of 11 arrays, missing {some(missing)}; fetch these. "
                + expected(root, LAYOUT)
            )
        if not (root / class_ids.MAP_FILE).is_file():
            raise MissingFileError(
                f"{root / class_ids.MAP_FILE}: no such file. The labels of these arrays count in its order, not in that "
                "of sorted wnids, and cannot be told without it; it comes with the development kit of ILSVRC2014."
            )
        wnids = class_ids.read_map(root / class_ids.MAP_FILE)
        order = sorted(wnids)
        self.rank = np.array([order.index(wnid) for wnid in wnids])  # indexed by label - 1
        self.classes = self.optional("names", lambda: class_ids.read_names(root, order)) or order
        labels = [self._read(name, "labels") for name in (*BATCH_FILES, VAL_FILE)]
        self.num_train, self.num_test = sum(map(len, labels[:-1])), len(labels[-1])
        self.given = np.concatenate(labels).astype(np.int64)
        if self.given.min() < 1 or self.given.max() > len(wnids):
            raise UserError(
                f"{root}: labels from {self.given.min()} to {self.given.max()}, expected 1 to {len(wnids)} "
                f"({class_ids.MAP_FILE})."
            )

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": (3, size, size)}

    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Copy the arrays one after another."""
        images, row = arrays["images"], 0
        with progress_bar(f"packing {self.root.name} at {size} px", len(images)) as advance:
            for name in (*BATCH_FILES, VAL_FILE):
                data = self._data(name, size)
                images[row : row + len(data)] = data.reshape(-1, 3, size, size)
                row += len(data)
                advance(len(data))

    def open_some(self, size: int, most: int) -> int:
        """Read the validation array, which is the smallest; the others are too large to be looked at in passing."""
        return len(self._data(VAL_FILE, size))

    def labels(self) -> np.ndarray:
        """Return the rank of each item's wnid."""
        return self.rank[self.given - 1]

    def paths(self) -> Iterable[Path]:
        """Return the array files and the map."""
        return [self.root / name for name in (*BATCH_FILES, VAL_FILE, class_ids.MAP_FILE)]

    def _data(self, name: str, size: int) -> np.ndarray:
        data = self._read(name, "data")
        if data.dtype != np.uint8 or data.shape[1:] != (3 * size**2,):
            raise UserError(
                f"{self.root / name}: data is {data.dtype} {list(data.shape)}, expected uint8 [N, {3 * size**2}] "
                f"for image_size={size}; these arrays are not resized."
            )
        return data

    def _read(self, name: str, key: str) -> np.ndarray:
        try:
            with np.load(self.root / name, allow_pickle=False) as arrays:
                return np.asarray(arrays[key])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.root / name}: cannot read {key!r} ({error}); fetch this file again.") from error


class DownsampledImageNet(LabeledDataModule):
    """ImageNet, released as squeezed 64- or 32-pixel images. FID against ADM's statistics is biased: those are of crops."""

    layout = LAYOUT
    pack_suffix = "-squeezed"

    def files(self) -> DownsampledFiles:
        """Return the arrays."""
        return DownsampledFiles(self.root)
