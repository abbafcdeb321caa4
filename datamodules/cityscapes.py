"""Cityscapes (Cordts et al., CVPR 2016) for MT-Diffusion, Table 8: photographs to label pictures, or back."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from datamodules.images.cityscapes_classes import label_picture
from datamodules.images.cityscapes_files import LAYOUT, CityscapesFiles
from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from lightning_mmdiff.errors import UserError

Direction = Literal["photo_to_labels", "labels_to_photo"]
SOURCES: dict[Direction, str] = {"photo_to_labels": "photo", "labels_to_photo": "label_picture"}


@dataclass(frozen=True, kw_only=True)
class CityscapesSplit(ArraySplit):
    """Frames: one of photograph and label picture is the image, the other may be its condition."""

    direction: Direction

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image", "label_map" and, if asked for, the source as condition.

        "image" and the condition ("photo" or "label_picture") are uint8 [B, 3, S, S], "label_map" uint8 [B, S, S] holds
        train ids, 255 = void.
        """
        photo, label_map = self.gather("photos", items, flips), self.gather("label_maps", items, flips)
        pictures = {"photo": photo, "label_picture": label_picture(label_map)}
        source = pictures.pop(SOURCES[self.direction])
        (target,) = pictures.values()
        return {
            "index": tensor(items),
            "image": tensor(target),
            "label_map": tensor(label_map),
            "conditions": {name: tensor(source) for name in self.conditions},
        }


class Cityscapes(ArrayDataModule):
    """2,975 street scenes to train on and 500 to test on, squeezed to squares.

    Args:
        direction: "photo_to_labels": the image is the label picture in the official colours, its condition "photo";
            "labels_to_photo": the image is the photograph, its condition "label_picture".
        settings: see ``PackedDataModule``.
    """

    layout = LAYOUT
    known_conditions = tuple(SOURCES.values())

    def __init__(self, *, direction: Direction = "photo_to_labels", **settings: Any) -> None:
        super().__init__(**settings)
        self.direction = direction
        wrong = set(self.conditions) - {SOURCES[direction]}
        if wrong:
            raise UserError(f"{direction}: {wrong.pop()} is the image itself; its condition is {SOURCES[direction]}.")

    def files(self) -> CityscapesFiles:
        """Return photographs and label maps."""
        return CityscapesFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> CityscapesSplit:
        """Return one part of the data."""
        return CityscapesSplit(
            packed=packed, first=first, count=count, conditions=self.conditions, direction=self.direction
        )
