"""CIFAR-10 (Krizhevsky, 2009): the comparison of MT-Diffusion's App. E.5, and real photographs for tests."""

from datamodules.images.cifar10_files import LAYOUT, cifar10_files
from datamodules.images.labelled import LabelledDataModule
from datamodules.storage.data_files import DataFiles


class CIFAR10(LabelledDataModule):
    """50,000 images of ten classes to train on, 10,000 to test on; 32 pixels."""

    layout = LAYOUT

    def files(self) -> DataFiles:
        """Return the official batches or the class folders."""
        return cifar10_files(self.root)
