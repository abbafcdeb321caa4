"""Cityscapes (Cordts et al., CVPR 2016) for MT-Diffusion, Table 8: photographs to label pictures, or the reverse."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.storage.data_files import Decoder, ItemFiles
from datamodules.storage.label_images import ids_in, read_ids
from datamodules.storage.listing import expected, files, folders, require_root
from datamodules.storage.reading import read_image, require_no_enlarging, some
from lightning_mmdiff.errors import MissingFileError, UserError, require_known

VOID = 255  # train id of everything that is not evaluated

TRAIN_CLASSES: tuple[tuple[str, int, tuple[int, int, int]], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)  # name, label id, RGB; the position is the train id

NAMES = tuple(name for name, _, _ in TRAIN_CLASSES)
NUM_CLASSES = len(TRAIN_CLASSES)
PALETTE = np.array([color for _, _, color in TRAIN_CLASSES], np.uint8)  # [19, 3] RGB
EGO_VEHICLE = 1  # label id of the car that carries the camera; void
LABEL_IDS = frozenset((*range(34), 255))  # label ids that occur on disk; 255 is a license plate (id -1)
TRAIN_IDS = frozenset((*range(NUM_CLASSES), VOID))
MOST_VOID = 0.3  # share of a frame; eight official ones have .06 to .08, and .59 to .93 if their train ids are read as label ids


def _train_id_of() -> np.ndarray:
    table = np.full(256, VOID, np.uint8)
    table[[label_id for _, label_id, _ in TRAIN_CLASSES]] = np.arange(NUM_CLASSES)
    return table


def _color_of() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[:NUM_CLASSES] = PALETTE
    return table


TRAIN_ID_OF = _train_id_of()  # uint8 [256], by label id
_COLOR_OF = _color_of()


def label_picture(label_map: np.ndarray) -> np.ndarray:
    """Color train ids [..., H, W] with the official palette; return uint8 [..., 3, H, W] RGB, void is black."""
    return np.moveaxis(_COLOR_OF[label_map], -1, -3)


PHOTO, LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"

LAYOUT = f"""\
  leftImg8bit/{{train,val}}/{{aachen,...}}/{{city}}_{{000000}}_{{000019}}{PHOTO}
  gtFine/{{train,val}}/{{aachen,...}}/{{city}}_{{000000}}_{{000019}}{LABEL}"""


class CityscapesFiles(ItemFiles):
    """Frames of "train" for training and of "val" for testing; those of "test" have no labels and are not read."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        train, val = (_frames(root, part) for part in ("train", "val"))
        self.frames = [*train, *val]
        self.num_train, self.num_test = len(train), len(val)

    def photo(self, row: int) -> Path:
        """Return the path of a photograph."""
        return self.root / "leftImg8bit" / f"{self.frames[row]}{PHOTO}"

    def label_file(self, row: int) -> Path:
        """Return the path of a label map."""
        return self.root / "gtFine" / f"{self.frames[row]}{LABEL}"

    def label_map(self, row: int) -> np.ndarray:
        """Return the train ids of a frame at full size, uint8 [H, W], 255 = void."""
        path = self.label_file(row)
        label_ids = read_ids(path, "label ids (mode L or P)")
        found = ids_in(label_ids)
        unknown = [label_id for label_id in found if label_id not in LABEL_IDS]
        if unknown:
            raise UserError(f"{path}: holds the label ids {some(unknown)}, expected 0 to 33 (or 255).")
        label_map = TRAIN_ID_OF[label_ids]
        void = (label_map == VOID).mean()
        if void > MOST_VOID and TRAIN_IDS.issuperset(found):
            raise UserError(
                f"{path}: holds the ids {some(found, 20)}, which are train ids (0 to 18, 255 for void); read as label ids, "
                f"{void:.0%} of the image would be void. Use the files of label ids, with 7 for road and 26 for a car."
            )
        return label_map

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a photograph and a label map."""
        return {"photos": (3, size, size), "label_maps": (size, size)}

    def decoder(self, size: int) -> Decoder:
        """Return the function that squeezes a frame to a square: photographs by averaging, labels by nearest neighbor."""

        def decode(row: int) -> dict[str, np.ndarray]:
            photo, label_map = read_image(self.photo(row), "RGB"), Image.fromarray(self.label_map(row))
            if photo.size != label_map.size:
                raise UserError(
                    f"{self.label_file(row)}: is {label_map.width}x{label_map.height} pixels, but its photograph is "
                    f"{photo.width}x{photo.height}; fetch both again."
                )
            require_no_enlarging(self.photo(row), min(photo.size), size)
            return {
                "photos": np.asarray(photo.resize((size, size), Image.Resampling.BOX)).transpose(2, 0, 1),
                "label_maps": np.asarray(label_map.resize((size, size), Image.Resampling.NEAREST)),
            }

        return decode

    def paths(self) -> Iterable[Path]:
        """Return the photographs and label maps."""
        return (path for row in range(len(self.frames)) for path in (self.photo(row), self.label_file(row)))


def _frames(root: Path, part: str) -> list[str]:
    """Return frames such as "train/aachen/aachen_000000_000019"; check that photographs and labels belong together."""
    photos, labels = (
        _names(root / folder, part, suffix) for folder, suffix in (("leftImg8bit", PHOTO), ("gtFine", LABEL))
    )
    if not photos and not labels:
        raise MissingFileError(f"{root}: no frames of {part!r} found. {expected(root, LAYOUT)}")
    if photos != labels:
        single = sorted(photos ^ labels)
        raise MissingFileError(
            f"{root}: found {len(photos)} photographs and {len(labels)} label maps of {part!r}; without their "
            f"counterpart: {some(single)}. The download is incomplete: fetch these. {expected(root, LAYOUT)}"
        )
    return sorted(photos)


def _names(folder: Path, part: str, suffix: str) -> set[str]:
    """Return the frames in the cities of one part, such as "train/aachen/aachen_000000_000019"."""
    found = (path for city in folders(folder / part) for path in files(city, (suffix,)))
    return {path.relative_to(folder).as_posix().removesuffix(suffix) for path in found}


Direction = Literal["photo_to_labels", "labels_to_photo"]
SOURCES: dict[Direction, str] = {"photo_to_labels": "photo", "labels_to_photo": "label_picture"}


@dataclass(frozen=True, kw_only=True)
class CityscapesSplit(ArraySplit):
    """Frames with either the photograph or the label picture as the image and the other as an optional condition."""

    direction: Direction

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image", "label_map" and, if requested, the source as condition.

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
    """2,975 training and 500 test images of street scenes, squeezed to squares.

    Args:
        direction: "photo_to_labels": the image is the label picture in the official colors, its condition "photo";
            "labels_to_photo": the image is the photograph, its condition "label_picture".
        settings: see ``PackedDataModule``.
    """

    layout = LAYOUT
    known_conditions = tuple(SOURCES.values())

    def __init__(self, *, direction: Direction = "photo_to_labels", **settings: Any) -> None:
        super().__init__(**settings)
        self.check_options(self.conditions, direction=direction)
        self.direction = direction

    @classmethod
    def check_options(cls, conditions: tuple[str, ...], **options: Any) -> None:
        """Raise UserError for an unknown direction, or if the image itself is requested as a condition."""
        direction: Direction = options.get("direction", "photo_to_labels")
        require_known("direction", direction, SOURCES)
        for name in conditions:
            if name != SOURCES[direction]:
                raise UserError(f"{direction}: {name} is the image itself; its condition is {SOURCES[direction]}.")

    def files(self) -> CityscapesFiles:
        """Return the photographs and label maps."""
        return CityscapesFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> CityscapesSplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return CityscapesSplit(
            packed=packed, first=first, count=count, conditions=self.conditions, direction=self.direction
        )
