"""A data module over ``PackedArrays``: what is left to a data set are its files and what a batch holds."""

from abc import abstractmethod

from datamodules.base import PackedDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, open_arrays, pack_arrays
from datamodules.storage.data_files import DataFiles


class ArrayDataModule(PackedDataModule):
    """Packs ``files()`` and splits them where their own layout does."""

    train: ArraySplit
    test: ArraySplit

    @abstractmethod
    def files(self) -> DataFiles:
        """Return the files below ``root``, listed and checked."""

    @abstractmethod
    def part(self, packed: PackedArrays, first: int, count: int) -> ArraySplit:
        """Return the rows ``first`` to ``first + count`` as batches are made of them."""

    def require(self, found: DataFiles | PackedArrays) -> None:
        """Raise FileNotFoundError where a condition needs what the data set lacks."""

    def check(self) -> DataFiles:
        """Return the files, with all that this configuration needs; packs nothing."""
        files = self.files()
        self.require(files)
        return files

    def prepare_data(self) -> None:
        """Check the files and pack them unless that is done."""
        pack_arrays(self.check(), image_size=self.image_size, folder=self.folder)

    def setup(self, stage: str | None = None) -> None:
        """Map the packed arrays."""
        packed = open_arrays(self.folder)
        self.require(packed)
        self.train = self.part(packed, 0, packed.num_train)
        self.test = self.part(packed, packed.num_train, packed.num_test)
