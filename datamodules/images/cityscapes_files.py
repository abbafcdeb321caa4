"""The official layout of Cityscapes: photographs and label ids, a folder a city."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.images.cityscapes_classes import LABEL_IDS, TRAIN_ID_OF
from datamodules.storage.data_files import DataFiles, fill_rows
from datamodules.storage.reading import read_image, require_no_enlarging, require_root, some
from lightning_mmdiff.errors import MissingFileError, UserError

PHOTO, LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"

LAYOUT = f"""\
  leftImg8bit/{{train,val}}/{{aachen,...}}/{{city}}_{{000000}}_{{000019}}{PHOTO}
  gtFine/{{train,val}}/{{aachen,...}}/{{city}}_{{000000}}_{{000019}}{LABEL}"""


class CityscapesFiles(DataFiles):
    """Frames of "train" to train on and of "val" to test on; those of "test" have no labels and are not read."""

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
        image = read_image(path)
        if image.mode not in ("L", "P"):
            raise UserError(f"{path}: has mode {image.mode}, expected label ids (mode L or P).")
        label_ids = np.asarray(image)
        unknown = sorted(set(np.unique(label_ids).tolist()) - LABEL_IDS)
        if unknown:
            raise UserError(f"{path}: holds the label ids {some(unknown)}, expected 0 to 33 (or 255).")
        return TRAIN_ID_OF[label_ids]

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a photograph and a label map."""
        return {"photos": (3, size, size), "label_maps": (size, size)}

    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Read every frame, squeezed to a square: photographs averaged, labels from the nearest pixel."""

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

        fill_rows(arrays, decode, len(self.frames), f"packing {self.root.name} at {size} px")

    def paths(self) -> Iterable[Path]:
        """Return photographs and label maps."""
        return (path for row in range(len(self.frames)) for path in (self.photo(row), self.label_file(row)))


def _frames(root: Path, part: str) -> list[str]:
    """Return "train/aachen/aachen_000000_000019" and so on; check that photographs and labels belong together."""
    photos, labels = (
        {
            str(path.relative_to(root / folder)).removesuffix(suffix)
            for path in (root / folder / part).glob(f"*/*{suffix}")
        }
        for folder, suffix in (("leftImg8bit", PHOTO), ("gtFine", LABEL))
    )
    if not photos and not labels:
        raise MissingFileError(f"{root}: no frames of {part!r} found. Expected this layout there:\n{LAYOUT}")
    if photos != labels:
        single = sorted(photos ^ labels)
        raise MissingFileError(
            f"{root}: found {len(photos)} photographs and {len(labels)} label maps of {part!r}; without their "
            f"counterpart: {some(single)}. The download is incomplete: fetch these. Expected this layout:\n{LAYOUT}"
        )
    return sorted(photos)
