"""FFHQ (Karras et al., CVPR 2019), with label maps if a face parser has written them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.faces import annotations
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import CONDITIONS, NUM_CLASSES
from datamodules.faces.files import FaceFiles, read_label_png
from datamodules.faces.module import FaceDataModule
from datamodules.storage import listing, text
from datamodules.storage.listing import require_images, require_root
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError

JSON_FILE = "ffhq-dataset-v2.json"
LABEL_FOLDER = "label_maps"
IMAGE_FOLDERS = ("images1024x1024", "thumbnails128x128", ".")

LAYOUT = f"""\
  images1024x1024/{{00000,01000,...,69000}}/{{00000..69999}}.png   or thumbnails128x128/..., or {{00000..69999}}.png
  {JSON_FILE}                                       optional: the official split
  {LABEL_FOLDER}/{{00000..69999}}.png                  optional: index PNGs (mode L or P), CelebAMask-HQ's 19 classes"""


class FFHQFiles(FaceFiles):
    """Files below ``root``, with images from the first of images1024x1024, thumbnails128x128 and ``root`` that has any."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        self.paths = _images(root)
        self.numbers = sorted(self.paths)
        self.total = require_images(root, self.numbers, root=root, layout=LAYOUT)
        self.has_label_maps = (root / LABEL_FOLDER).is_dir()
        self.maps = self._list_label_maps() if self.has_label_maps else {}

    def name(self, number: int) -> str:
        """Return a file name such as "00017.png"."""
        return f"{number:05d}.png"

    def image(self, number: int) -> Path:
        """Return the path of an image."""
        return self.paths[number]

    def label_place(self, number: int) -> Path:
        """Return the path of a label map."""
        return self.maps[number]

    def label_map(self, number: int) -> np.ndarray:
        """Return the class ids written by a face parser, uint8 [H, W]."""
        return read_label_png(self.maps[number], NUM_CLASSES)

    def attributes(self) -> np.ndarray | None:
        """Return None: FFHQ has no attributes."""
        return None

    def captions(self, kind: CaptionKind) -> None:
        """Return None: FFHQ has no captions."""

    def official_split(self) -> list[str] | None:
        """Return the category in the JSON file: the first 60,000 images train, the last 10,000 test."""
        path = self.root / JSON_FILE
        return text.of_images(path, self.numbers, annotations.ffhq_split(path)) if path.exists() else None

    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the places where optional files are looked for."""
        return {"label_map": (LABEL_FOLDER,), "official": (JSON_FILE,)}

    def label_files(self) -> Iterable[Path]:
        """Return the label maps."""
        return (self.maps[number] for number in self.numbers if self.has_label_maps)

    def label_names(self) -> Iterable[str]:
        """Return the names of the images, which those of the label maps are."""
        return (self.name(number) for number in self.numbers if self.has_label_maps)

    def text_files(self) -> list[Path]:
        """Return the JSON file if it exists."""
        return [self.root / JSON_FILE] if (self.root / JSON_FILE).is_file() else []

    def _list_label_maps(self) -> dict[int, Path]:
        """Return the label maps by number; check that every image has one."""
        maps = listing.numbered(listing.files(self.root / LABEL_FOLDER, (".png",)))
        missing = [self.name(number) for number in self.numbers if number not in maps]
        if missing:
            raise MissingFileError(
                f"{self.root / LABEL_FOLDER}: found label maps of {len(self.numbers) - len(missing)} of "
                f"{len(self.numbers)} images, none for {some(missing)}. Write the missing ones, or remove the folder."
            )
        return maps


def _images(root: Path) -> dict[int, Path]:
    """Return number -> path of the images in the first folder that has any.

    Raises:
        UserError: if another folder has other numbers, for no one could tell which set was meant.
    """
    found = {folder: _list_images(root / folder) for folder in IMAGE_FOLDERS}
    filled = {folder: images for folder, images in found.items() if images}
    if len({frozenset(images) for images in filled.values()}) > 1:
        counts = " and ".join(f"{len(images)} in {folder}" for folder, images in filled.items())
        raise UserError(f"{root}: found different images in several folders, {counts}; move all but one away.")
    return next(iter(filled.values()), {})


def _list_images(folder: Path) -> dict[int, Path]:
    """Return number -> path of the PNGs in ``folder`` and its numbered subfolders; other files are ignored."""
    places = (folder, *(path for path in listing.folders(folder) if path.name.isdecimal()))
    return listing.numbered(path for place in places for path in listing.files(place, (".png",)))


class FFHQ(FaceDataModule):
    """70,000 faces; the paper split trains on 0 to 26,999 and tests on 27,000 to 29,999 (our choice)."""

    layout = LAYOUT
    known_conditions = tuple(name for name in CONDITIONS if name not in ("attributes", "caption"))
    options = ("split", "label_size")

    def files(self) -> FFHQFiles:
        """Return the images and, if they exist, the label maps."""
        return FFHQFiles(self.root)
