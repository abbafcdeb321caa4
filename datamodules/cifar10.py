"""CIFAR-10 (Krizhevsky, 2009), for the comparison in MT-Diffusion's App. E.5 and as real photographs for tests."""

import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datamodules.images.folder import FolderFiles, number_of
from datamodules.images.labeled import LabeledDataModule
from datamodules.storage.data_files import DataFiles, Decoder, ItemFiles
from datamodules.storage.listing import expected, is_folder, require_images, require_root
from datamodules.storage.reading import require_no_enlarging, require_square, some
from lightning_mmdiff.errors import MissingFileError, UserError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCH_FOLDER = "cifar-10-batches-py"
BATCH_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
SIZE = 32  # pixels

LAYOUT = f"""\
  {BATCH_FOLDER}/{{data_batch_1,...,data_batch_5,test_batch}}   the official Python version
or
  train/{{airplane,...,truck}}/*.jpg   or *.png
  test/{{airplane,...,truck}}/*.jpg"""


class CIFAR10FolderFiles(FolderFiles):
    """Images in class folders, numbered without gaps in each folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, train="train", test="test", layout=LAYOUT)
        if self.classes != list(CLASSES):
            raise MissingFileError(
                f"{root}: found the classes {some(self.wnids, 10)}, expected {', '.join(CLASSES)}. {expected(root, LAYOUT)}"
            )
        parts = (self.items[: self.num_train], self.items[self.num_train :])
        for name, part in zip(("train", "test"), parts):
            for label in CLASSES:
                numbers = [number_of(path) for wnid, path in part if wnid == label]
                require_images(root / name / label, numbers, root=root, layout=LAYOUT)

    def reduced(self, path: Path, image: Image.Image, size: int) -> Image.Image:
        """Return the image, reduced by averaging if ``size`` is smaller."""
        require_square(path, image.width, image.height)
        require_no_enlarging(path, image.width, size)
        return image if image.width == size else image.resize((size, size), Image.Resampling.BOX)


class CIFAR10BatchFiles(ItemFiles):
    """The official batches: dicts of "data", uint8 [10000, 3072], and "labels", pickled by Python 2."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root, self.folder = root, root / BATCH_FOLDER
        missing = [name for name in BATCH_FILES if not (self.folder / name).is_file()]
        if missing:
            raise MissingFileError(
                f"{self.folder}: found {len(BATCH_FILES) - len(missing)} of {len(BATCH_FILES)} batches, missing "
                f"{some(missing)}; fetch these. {expected(root, LAYOUT)}"
            )
        batches = [read_batch(self.folder / name) for name in BATCH_FILES]
        self.data = np.concatenate([data for data, _ in batches])  # 180 MB
        self.given = np.concatenate([labels for _, labels in batches])
        self.num_test = len(batches[-1][1])
        self.num_train = len(self.given) - self.num_test
        self.classes = list(CLASSES)

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": (3, size, size)}

    def decoder(self, size: int) -> Decoder:
        """Return the function that copies one image, reduced by averaging if ``size`` is smaller."""
        require_no_enlarging(self.folder, SIZE, size)
        images = self.data.reshape(-1, 3, SIZE, SIZE)

        def decode(row: int) -> dict[str, np.ndarray]:
            if size == SIZE:
                return {"images": images[row]}
            image = Image.fromarray(images[row].transpose(1, 2, 0)).resize((size, size), Image.Resampling.BOX)
            return {"images": np.asarray(image).transpose(2, 0, 1)}

        return decode

    def labels(self) -> np.ndarray:
        """Return the classes given in the batches."""
        return self.given

    def paths(self) -> Iterable[Path]:
        """Return the batch files."""
        return [self.folder / name for name in BATCH_FILES]


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and classes of one pickled batch.

    Returns:
        Images uint8 [N, 3072], planes of red, green and blue; classes int64 [N].

    Raises:
        UserError: if the file is damaged, holds something else, or asks for a Python class that no batch needs.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        data, labels = np.asarray(batch["data"]), np.asarray(batch["labels"], np.int64)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: cannot be read as a batch of CIFAR-10 ({error}); fetch this file again.") from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * SIZE**2) or not np.isin(labels, range(10)).all():
        raise UserError(
            f"{path}: holds data {data.dtype} {list(data.shape)} and {len(labels)} labels of the classes "
            f"{some(np.unique(labels), 10)}; expected uint8 [N, {3 * SIZE**2}] and N labels from 0 to 9; fetch it again."
        )
    return data, labels


class _BatchUnpickler(pickle.Unpickler):
    """Unpickler of numpy arrays and plain values only; a pickle that asks for anything else could run any program."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the building blocks of arrays, under their names in old and new numpy."""
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.empty(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes into an old pickle
            return _encode
        raise pickle.UnpicklingError(f"asks for {module}.{name}, which no batch needs")


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


class CIFAR10(LabeledDataModule):
    """50,000 training and 10,000 test images of ten classes, at 32 pixels."""

    layout = LAYOUT

    def files(self) -> DataFiles:
        """Return the official batches if their folder exists, otherwise the class folders."""
        return CIFAR10BatchFiles(self.root) if is_folder(self.root / BATCH_FOLDER) else CIFAR10FolderFiles(self.root)
