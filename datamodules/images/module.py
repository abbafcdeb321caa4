"""Base data module over ``PackedArrays``: a data set only adds its files and the contents of a batch."""

from abc import abstractmethod
from collections.abc import Callable

from datamodules.base import PackedDataModule
from datamodules.images.packed import VERSION, ArraySplit, PackedArrays, open_arrays, pack_arrays
from datamodules.storage.data_files import DataFiles
from datamodules.storage.packing import is_current


class ArrayDataModule(PackedDataModule):
    """Data module that packs ``files()`` and splits them as their own layout does."""

    train: ArraySplit
    test: ArraySplit

    @abstractmethod
    def files(self) -> DataFiles:
        """Return the files below ``root``, listed and checked."""

    @abstractmethod
    def part(self, packed: PackedArrays, first: int, count: int) -> ArraySplit:
        """Return rows ``first`` to ``first + count`` as a split."""

    def require(self, found: DataFiles | PackedArrays) -> None:
        """Raise FileNotFoundError if a condition needs something that the data set lacks."""

    def check(self) -> DataFiles:
        """Return the files after checking that everything this configuration needs exists; pack nothing."""
        files = self.files()
        for problem in (files.problems[name] for name in self.conditions if name in files.problems):
            raise problem
        self.require(files)
        return files

    def pack(self, fits: Callable[[DataFiles], None]) -> None:
        """Check the files and pack them unless their present content is packed already; ``fits`` may refuse them before."""
        files = self.check()
        fits(files)
        pack_arrays(files, image_size=self.image_size, folder=self.folder)

    def is_packed(self, files: DataFiles) -> bool:
        """Return whether the files are packed and none has changed since."""
        return is_current(self.folder, files, VERSION)

    def open_some(self, files: DataFiles, most: int) -> int:
        """Read up to ``most`` items as packing does; return how many."""
        return files.open_some(self.image_size, most)

    def num_test(self, files: DataFiles) -> int:
        """Return the number of test images."""
        return files.num_test

    def setup(self, stage: str | None = None) -> None:
        """Memory-map the packed arrays and split them."""
        packed = open_arrays(self.folder)
        self.require_expected()
        self.require(packed)
        self.train = self.part(packed, 0, packed.num_train)
        self.test = self.part(packed, packed.num_train, packed.num_test)
