"""CelebA-HQ (Karras et al., ICLR 2018), with or without the masks of CelebAMask-HQ (Lee et al., CVPR 2020)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.faces import annotations, captions
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import FACE_CLASSES
from datamodules.faces.files import FaceFiles
from datamodules.faces.module import FaceDataModule
from datamodules.storage import listing, text
from datamodules.storage.data_files import IMAGE_SUFFIXES
from datamodules.storage.label_images import read_mask
from datamodules.storage.listing import require_images, require_root
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError

IMAGE_FOLDER = "CelebA-HQ-img"
MASK_FOLDER = "CelebAMask-HQ-mask-anno"
ATTRIBUTE_FILE = "CelebAMask-HQ-attribute-anno.txt"
MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
FACES_PER_FOLDER = 2000  # in each folder of masks
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
        self.paths = listing.numbered(listing.files(root / IMAGE_FOLDER, IMAGE_SUFFIXES))
        self.numbers = sorted(self.paths)
        self.total = require_images(root / IMAGE_FOLDER, self.numbers, root=root, layout=LAYOUT, known_gaps=KNOWN_GAPS)
        self.parts = self._list_parts() if label_maps else {}

    def name(self, number: int) -> str:
        """Return the official file name, such as "17.jpg", whatever the name on disk."""
        return f"{number}.jpg"

    def image(self, number: int) -> Path:
        """Return the path of an image."""
        return self.paths[number]

    def label_place(self, number: int) -> Path:
        """Return a path such as .../0/00017_*.png."""
        return next(iter(self.parts[number].values())).parent / f"{number:05d}_*.png"

    def label_map(self, number: int) -> np.ndarray:
        """Merge the part masks in class order, later ones over earlier ones (the rule of the official script)."""
        masks = {part: self._mask(number, part) for part in FACE_CLASSES[1:] if part in self.parts[number]}
        shapes = {mask.shape for mask in masks.values()}
        if len(shapes) > 1:
            sizes = ", ".join(f"{part} {mask.shape[1]}x{mask.shape[0]}" for part, mask in masks.items())
            raise UserError(
                f"{self.label_place(number)}: masks of one face differ in size ({sizes}); fetch them again."
            )
        merged = np.zeros(shapes.pop(), np.uint8)
        for part, mask in masks.items():
            merged[mask] = FACE_CLASSES.index(part)
        return merged

    def attributes(self) -> np.ndarray | None:
        """Return int8 [N, 40]; 0 is -1 in the file."""
        path = self.root / ATTRIBUTE_FILE
        return np.stack(text.of_images(path, self.numbers, annotations.attributes(path))) if path.exists() else None

    def captions(self, kind: CaptionKind) -> dict[str, list[str]] | None:
        """Return image name -> captions of one kind."""
        return captions.read(self.root, kind, {number: self.name(number) for number in self.numbers})

    def official_split(self) -> list[str] | None:
        """Return each image's part in CelebA's partition of the original images."""
        path = self.root / MAPPING_FILE
        return text.of_images(path, self.numbers, annotations.partition(path)) if path.exists() else None

    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the places where optional files are looked for."""
        masks: dict[str, tuple[str, ...]] = {"label_map": (MASK_FOLDER,)} if self.has_label_maps else {}
        files: dict[str, tuple[str, ...]] = {"attributes": (ATTRIBUTE_FILE,), "official": (MAPPING_FILE,)}
        return masks | files | {kind: places for kind, places in captions.CAPTION_PLACES.items()}

    def label_files(self) -> Iterable[Path]:
        """Return the part masks."""
        return (masks[part] for masks in self.parts.values() for part in sorted(masks))

    def label_names(self) -> Iterable[str]:
        """Return names such as "17_hair"."""
        return (f"{number}_{part}" for number, parts in self.parts.items() for part in parts)

    def text_files(self) -> list[Path]:
        """Return the attribute, mapping and caption files that exist."""
        optional = (self.root / ATTRIBUTE_FILE, self.root / MAPPING_FILE)
        return [*(path for path in optional if path.is_file()), *captions.caption_files(self.root)]

    def _mask(self, number: int, part: str) -> np.ndarray:
        return read_mask(self.parts[number][part])

    def _list_parts(self) -> dict[int, dict[str, Path]]:
        """Return the masks of each image by part; check that images and masks belong to the same faces."""
        folder = self.root / MASK_FOLDER
        parts: dict[int, dict[str, Path]] = {number: {} for number in self.numbers}
        strays = set()
        files = (path for place in listing.folders(folder) for path in listing.files(place, ("",)))
        for path in files:
            name, _, part = path.name.removesuffix(".png").partition("_")
            number = text.image_number(name)
            if number is None:
                continue  # a thumbnail index or the like
            if part not in FACE_CLASSES or path.parent.name != str(number // FACES_PER_FOLDER):
                raise UserError(f"{path}: not a mask of this layout, remove or rename it. Expected:\n{LAYOUT}")
            if part in parts.get(number, ()):
                raise UserError(f"{path}: is the mask of {part} of face {number}, and so is {parts[number][part]}.")
            if number in parts:
                parts[number][part] = path
            else:
                strays.add(number)
        bare = [self.name(number) for number, found in parts.items() if not found]
        count = len(self.numbers)
        if bare:
            raise MissingFileError(
                f"{folder}: found masks of {count - len(bare)} of {count} images, none for {some(bare)}. The download is "
                "incomplete: fetch the missing masks, or use CelebAHQ, which needs none. "
                + listing.expected(self.root, LAYOUT)
            )
        if strays - KNOWN_GAPS:
            raise MissingFileError(
                f"{self.root}: found {count} images but masks of {count + len(strays)} faces; no image for "
                f"{some(map(self.name, sorted(strays)))}. Fetch the missing images, or remove their masks."
            )
        return parts


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
