"""FFHQ (Karras et al., CVPR 2019), with label maps if a face parser has written them."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.faces.classes import CONDITIONS, NUM_CLASSES
from datamodules.faces.files import FaceFiles, read_label_png
from datamodules.faces.module import FaceDataModule
from datamodules.storage.reading import require_images, require_root, some
from lightning_mmdiff.errors import MissingFileError, UserError

JSON_FILE = "ffhq-dataset-v2.json"
LABEL_FOLDER = "label_maps"
IMAGE_FOLDERS = ("images1024x1024", "thumbnails128x128", ".")
SPLIT_NAMES = {"training": "train", "validation": "test"}

LAYOUT = f"""\
  images1024x1024/{{00000,01000,...,69000}}/{{00000..69999}}.png   or thumbnails128x128/..., or {{00000..69999}}.png
  {JSON_FILE}                                       optional: the official split
  {LABEL_FOLDER}/{{00000..69999}}.png                  optional: index PNGs (mode L or P), CelebAMask-HQ's 19 classes"""


class FFHQFiles(FaceFiles):
    """Files below ``root``, with images from the first of images1024x1024, thumbnails128x128 and ``root`` that has any."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        listings = (_list_images(root / folder) for folder in IMAGE_FOLDERS)
        self.paths = next((paths for paths in listings if paths), {})
        self.numbers = sorted(self.paths)
        self.total = require_images(root, self.numbers, LAYOUT)
        self.has_label_maps = (root / LABEL_FOLDER).is_dir()
        if self.has_label_maps:
            self._require_label_maps()

    def name(self, number: int) -> str:
        """Return a file name such as "00017.png"."""
        return f"{number:05d}.png"

    def image(self, number: int) -> Path:
        """Return the path of an image."""
        return self.paths[number]

    def label_map(self, number: int) -> np.ndarray:
        """Return the class ids written by a face parser, uint8 [H, W]."""
        return read_label_png(self.root / LABEL_FOLDER / self.name(number), NUM_CLASSES)

    def attributes(self) -> np.ndarray | None:
        """Return None: FFHQ has no attributes."""
        return None

    def captions(self) -> dict[str, dict[str, list[str]]]:
        """Return {}: FFHQ has no captions."""
        return {}

    def official_split(self) -> list[str] | None:
        """Return the category in the JSON file: the first 60,000 images train, the last 10,000 test."""
        path = self.root / JSON_FILE
        if not path.is_file():
            return None
        entries = json.loads(path.read_text())
        missing = [number for number in self.numbers if str(number) not in entries]
        if missing:
            raise UserError(f"{path}: has no entry for images {some(missing)}; fetch it again.")
        return [SPLIT_NAMES[entries[str(number)]["category"]] for number in self.numbers]

    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the places where optional files are looked for."""
        return {"label_map": (LABEL_FOLDER,), "official": (JSON_FILE,)}

    def label_files(self) -> Iterable[str]:
        """Return the names of the label maps."""
        return (self.name(number) for number in self.numbers if self.has_label_maps)

    def text_files(self) -> list[Path]:
        """Return the JSON file if it exists."""
        return [self.root / JSON_FILE] if (self.root / JSON_FILE).is_file() else []

    def _require_label_maps(self) -> None:
        present = {path.name for path in (self.root / LABEL_FOLDER).glob("*.png")}
        missing = [self.name(number) for number in self.numbers if self.name(number) not in present]
        if missing:
            raise MissingFileError(
                f"{self.root / LABEL_FOLDER}: found label maps of {len(self.numbers) - len(missing)} of "
                f"{len(self.numbers)} images, none for {some(missing)}. Write the missing ones, or remove the folder."
            )


def _list_images(folder: Path) -> dict[int, Path]:
    """Return number -> path of the PNGs in ``folder`` and its numbered subfolders; other files are ignored."""
    subfolders = [path for path in folder.glob("*") if path.is_dir() and path.name.isdecimal()]
    paths = (path for place in (folder, *subfolders) for path in place.glob("*.png"))
    return {int(path.stem): path for path in paths if path.stem.isdecimal()}


class FFHQ(FaceDataModule):
    """70,000 faces; the paper split trains on 0 to 26,999 and tests on 27,000 to 29,999 (our choice)."""

    layout = LAYOUT
    known_conditions = tuple(name for name in CONDITIONS if name not in ("attributes", "caption"))
    options = ("split", "label_size")

    def files(self) -> FFHQFiles:
        """Return the images and, if they exist, the label maps."""
        return FFHQFiles(self.root)
