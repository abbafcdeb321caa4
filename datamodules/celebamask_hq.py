"""CelebA-HQ (Karras et al., ICLR 2018), with or without the masks of CelebAMask-HQ (Lee et al., CVPR 2020)."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.faces import captions
from datamodules.faces.classes import ATTRIBUTES, FACE_CLASSES
from datamodules.faces.files import FaceFiles
from datamodules.faces.module import FaceDataModule
from datamodules.storage.reading import read_image, require_images, require_root, some
from lightning_mmdiff.errors import MissingFileError, UserError

MASK_FOLDER = "CelebAMask-HQ-mask-anno"
ATTRIBUTE_FILE = "CelebAMask-HQ-attribute-anno.txt"
MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
FACES_PER_FOLDER = 2000  # in each folder of masks
FIRST_VAL, FIRST_TEST = 162_771, 182_638  # CelebA's partition by original number
KNOWN_GAPS = frozenset({5380})  # corrupt or absent in some copies (CelebA-Dialog issue 1)

LAYOUT = f"""\
  CelebA-HQ-img/{{0..29999}}.jpg
  CelebAMask-HQ-mask-anno/{{0..14}}/{{00000..29999}}_{{part}}.png   2000 a folder; white = part; no part, no file
  {ATTRIBUTE_FILE}                              optional: 40 attributes
  {MAPPING_FILE}                               optional: the official split
  captions_hq.json                                              optional: CelebA-Dialog
  text/celeba-caption/{{0..29999}}.txt                            optional: Multi-Modal-CelebA-HQ"""


class CelebAMaskHQFiles(FaceFiles):
    """Files below ``root``; with ``label_maps=False``, masks are not looked for (plain CelebA-HQ)."""

    def __init__(self, root: Path, *, label_maps: bool = True) -> None:
        require_root(root, LAYOUT)
        self.root, self.has_label_maps = root, label_maps
        self.numbers = sorted(
            int(path.stem) for path in (root / "CelebA-HQ-img").glob("*.jpg") if path.stem.isdecimal()
        )
        self.total = require_images(root / "CelebA-HQ-img", self.numbers, LAYOUT, KNOWN_GAPS)
        self.parts = self._list_parts() if label_maps else {}

    def name(self, number: int) -> str:
        """Return a file name such as "17.jpg", which is the key in attribute and caption files."""
        return f"{number}.jpg"

    def image(self, number: int) -> Path:
        """Return the path of an image."""
        return self.root / "CelebA-HQ-img" / self.name(number)

    def label_map(self, number: int) -> np.ndarray:
        """Merge the part masks in class order, later ones over earlier ones (the rule of the official script)."""
        masks = {part: self._mask(number, part) for part in FACE_CLASSES[1:] if part in self.parts[number]}
        shapes = {mask.shape for mask in masks.values()}
        if len(shapes) > 1:
            sizes = ", ".join(f"{part} {mask.shape[1]}x{mask.shape[0]}" for part, mask in masks.items())
            raise UserError(
                f"{self._mask_path(number, '*')}: masks of one face differ in size ({sizes}); fetch them again."
            )
        merged = np.zeros(shapes.pop(), np.uint8)
        for part, mask in masks.items():
            merged[mask] = FACE_CLASSES.index(part)
        return merged

    def attributes(self) -> np.ndarray | None:
        """Return int8 [N, 40]; 0 is -1 in the file."""
        path = self.root / ATTRIBUTE_FILE
        if not path.is_file():
            return None
        rows = read_attributes(path)
        _require_rows(path, self.numbers, {int(Path(name).stem) for name in rows})
        return np.stack([rows[self.name(number)] for number in self.numbers])

    def captions(self) -> dict[str, dict[str, list[str]]]:
        """Return kind -> image name -> captions."""
        return captions.read_all(self.root, [self.name(number) for number in self.numbers])

    def official_split(self) -> list[str] | None:
        """Return each image's part in CelebA's partition of the original images."""
        path = self.root / MAPPING_FILE
        if not path.is_file():
            return None
        rows = (line.split() for line in path.read_text().splitlines()[1:] if line.strip())
        original = {int(row[0]): int(row[1]) for row in rows}
        _require_rows(path, self.numbers, set(original))
        return [_partition(original[number]) for number in self.numbers]

    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the places where optional files are looked for."""
        masks: dict[str, tuple[str, ...]] = {"label_map": (MASK_FOLDER,)} if self.has_label_maps else {}
        files: dict[str, tuple[str, ...]] = {"attributes": (ATTRIBUTE_FILE,), "official": (MAPPING_FILE,)}
        return masks | files | {kind: places for kind, places in captions.CAPTION_PLACES.items()}

    def label_files(self) -> Iterable[str]:
        """Return the names of the part masks."""
        return (f"{number}_{part}" for number, parts in self.parts.items() for part in parts)

    def text_files(self) -> list[Path]:
        """Return the attribute, mapping and caption files that exist."""
        optional = (self.root / ATTRIBUTE_FILE, self.root / MAPPING_FILE)
        return [*(path for path in optional if path.is_file()), *captions.caption_files(self.root)]

    def _mask_path(self, number: int, part: str) -> Path:
        folder = self.root / MASK_FOLDER / str(number // FACES_PER_FOLDER)
        return folder / f"{number:05d}_{part}.png"

    def _mask(self, number: int, part: str) -> np.ndarray:
        return np.asarray(read_image(self._mask_path(number, part), "L")) != 0

    def _list_parts(self) -> dict[int, set[str]]:
        """Return the parts with a mask for each image; check that images and masks belong to the same faces."""
        folder = self.root / MASK_FOLDER
        parts: dict[int, set[str]] = {number: set() for number in self.numbers}
        strays = set()
        files = ((place, file) for place in folder.glob("*/") for file in os.listdir(place))
        for place, file in files:
            number, _, part = file.removesuffix(".png").partition("_")
            if not number.isdecimal():
                continue  # a thumbnail index or the like
            if part not in FACE_CLASSES or place.name != str(int(number) // FACES_PER_FOLDER):
                raise UserError(f"{place / file}: not a mask of this layout, remove or rename it. Expected:\n{LAYOUT}")
            if int(number) in parts:
                parts[int(number)].add(part)
            else:
                strays.add(int(number))
        bare = [self.name(number) for number, found in parts.items() if not found]
        count = len(self.numbers)
        if bare:
            raise MissingFileError(
                f"{folder}: found masks of {count - len(bare)} of {count} images, none for {some(bare)}. The download "
                "is incomplete: fetch the missing masks, or use CelebAHQ, which needs none. Expected this layout:\n"
                f"{LAYOUT}"
            )
        if strays - KNOWN_GAPS:
            raise MissingFileError(
                f"{self.root}: found {count} images but masks of {count + len(strays)} faces; no image for "
                f"{some(map(self.name, sorted(strays)))}. Fetch the missing images, or remove their masks."
            )
        return parts


def read_attributes(path: Path) -> dict[str, np.ndarray]:
    """Read CelebA's attribute file: a count, a line of 40 names, rows ``0.jpg  -1 1 ...``; return name -> int8 [40]."""
    lines = path.read_text().splitlines()
    if len(lines) < 2 or tuple(lines[1].split()) != ATTRIBUTES:
        raise UserError(
            f"{path}: the second line must hold CelebA's 40 attribute names in their order; fetch it again."
        )
    rows = [line.split() for line in lines[2:] if line.strip()]
    bad = next(
        (row[0] for row in rows if len(row) != 1 + len(ATTRIBUTES) or not set(row[1:]) <= {"-1", "0", "1"}), None
    )
    if bad or int(lines[0]) != len(rows):
        found = (
            f"a row for {bad} that is not 40 values of -1 or 1" if bad else f"{len(rows)} rows, announced {lines[0]}"
        )
        raise UserError(f"{path}: {found}; fetch it again.")
    return {row[0]: (np.array(row[1:], np.int8) > 0).astype(np.int8) for row in rows}


def _partition(original: int) -> str:
    if original < FIRST_VAL:
        return "train"
    return "val" if original < FIRST_TEST else "test"


def _require_rows(path: Path, numbers: list[int], rows: set[int]) -> None:
    missing = sorted(set(numbers) - rows)
    if missing:
        raise UserError(
            f"{path}: found rows for {len(numbers) - len(missing)} of {len(numbers)} images, none for {some(missing)}; "
            "fetch it again."
        )


class CelebAMaskHQ(FaceDataModule):
    """30,000 faces with 19-class label maps, and with captions if their files exist."""

    layout = LAYOUT

    def files(self) -> CelebAMaskHQFiles:
        """Return the images and masks; each image must have a mask."""
        return CelebAMaskHQFiles(self.root)


class CelebAHQ(FaceDataModule):
    """The same 30,000 faces without masks, which are neither needed nor read."""

    layout = LAYOUT
    known_conditions = ("sketch", "attributes", "caption")
    options = ("captions", "split")
    pack_suffix = "-images"

    def files(self) -> CelebAMaskHQFiles:
        """Return the images."""
        return CelebAMaskHQFiles(self.root, label_maps=False)
