"""Scikit-learn's digits (Alpaydin and Kaynak, 1998): 1,797 real 8 x 8 scans that ship with a package."""

from pathlib import Path

from PIL import Image

from datamodules.images.folder import FolderFiles
from datamodules.images.labeled import LabeledDataModule
from lightning_mmdiff.errors import UserError

SIZE = 8  # pixels

LAYOUT = """\
  train/{0,...,9}/*.png   8 x 8 pixels; python -m datamodules.prepare digits --render 1797 writes them
  test/{0,...,9}/*.png"""


class DigitFiles(FolderFiles):
    """Digits in class folders."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, train="train", test="test", layout=LAYOUT)

    def reduced(self, path: Path, image: Image.Image, size: int) -> Image.Image:
        """Return the digit enlarged by bilinear interpolation."""
        if image.size != (SIZE, SIZE):
            raise UserError(f"{path}: is {image.width}x{image.height} pixels, expected {SIZE}x{SIZE}.")
        return image.resize((size, size), Image.Resampling.BILINEAR)


class Digits(LabeledDataModule):
    """1,500 training and 297 test digits, gray as RGB."""

    layout = LAYOUT

    def files(self) -> DigitFiles:
        """Return the digits in their class folders."""
        return DigitFiles(self.root)
