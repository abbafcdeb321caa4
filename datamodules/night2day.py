"""night2day (Isola et al., CVPR 2017, from Laffont et al., 2014) for MT-Diffusion's App. E.1: night to day."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datamodules.images.folder import list_images, number_of
from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.storage.data_files import Decoder, ItemFiles
from datamodules.storage.listing import expected, is_folder, require_root
from datamodules.storage.reading import read_image, require_no_enlarging
from lightning_mmdiff.errors import MissingFileError, UserError

LAYOUT = """\
  train/*.jpg   pairs side by side, 512 x 256 pixels: night on the left, day on the right
  val/*.jpg     to test on; test/*.jpg where there is no val"""


class Night2DayFiles(ItemFiles):
    """Training pairs, and test pairs from "val" (or "test")."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        test = next((name for name in ("val", "test") if is_folder(root / name)), "val")
        parts = [list_images(root / name) for name in ("train", test)]
        if not all(parts):
            raise MissingFileError(
                f"{root}: found {len(parts[0])} pairs in train and {len(parts[1])} in {test}; both need at least one. "
                + expected(root, LAYOUT)
            )
        self.pairs = [path for part in parts for path in sorted(part, key=lambda path: (number_of(path), path.name))]
        self.num_train, self.num_test = map(len, parts)

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of both images of a pair."""
        return {"nights": (3, size, size), "days": (3, size, size)}

    def decoder(self, size: int) -> Decoder:
        """Return the function that reads one pair and reduces both halves to ``size`` by averaging."""

        def decode(row: int) -> dict[str, np.ndarray]:
            path = self.pairs[row]
            pair = read_image(path, "RGB")
            side = pair.height
            if pair.width != 2 * side:
                raise UserError(f"{path}: is {pair.width}x{side} pixels, expected two squares side by side.")
            require_no_enlarging(path, side, size)
            halves = (pair.crop((left, 0, left + side, side)) for left in (0, side))
            night, day = (half.resize((size, size), Image.Resampling.BOX) for half in halves)
            return {"nights": np.asarray(night).transpose(2, 0, 1), "days": np.asarray(day).transpose(2, 0, 1)}

        return decode

    def paths(self) -> Iterable[Path]:
        """Return the pairs."""
        return self.pairs


@dataclass(frozen=True, kw_only=True)
class Night2DaySplit(ArraySplit):
    """Pairs with the day as the image and the night as an optional condition."""

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image" uint8 [B, 3, S, S] and, if requested, the condition "photo" uint8 [B, 3, S, S]."""
        conditions = {name: tensor(self.gather("nights", items, flips)) for name in self.conditions}
        return {"index": tensor(items), "image": tensor(self.gather("days", items, flips)), "conditions": conditions}


class Night2Day(ArrayDataModule):
    """About 17,800 training and 2,300 test pairs, from about a hundred webcams."""

    layout = LAYOUT
    known_conditions = ("photo",)

    def files(self) -> Night2DayFiles:
        """Return the pairs."""
        return Night2DayFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> Night2DaySplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return Night2DaySplit(packed=packed, first=first, count=count, conditions=self.conditions)
