"""The layouts of ImageNet: class folders of JPEGs, and the downsampled arrays of Chrabaszcz et al. (2017)."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.images import imagenet_labels as class_ids
from datamodules.images.folder import FolderFiles, Listing, list_images, number_of
from datamodules.storage.data_files import DataFiles
from datamodules.storage.progress import progress_bar
from datamodules.storage.reading import read_image, require_images, require_root, some
from lightning_mmdiff.errors import MissingFileError, UserError

OFFICIAL_CLASSES, OFFICIAL_COUNTS = 1000, (1_281_167, 50_000)
BATCH_FILES = tuple(f"train_data_batch_{i}.npz" for i in range(1, 11))
VAL_FILE = "val_data.npz"
SAMPLE = 100  # images whose size is looked at before packing

FOLDER_LAYOUT = f"""\
  train/{{n01440764,...}}/*.JPEG
  val/{{n01440764,...}}/*.JPEG     or val/*.JPEG and one of the next three
  {class_ids.LABEL_FILE}                 "ILSVRC2012_val_00000001 n01751748" a line
  {class_ids.KAGGLE_FILE}           Kaggle's
  {class_ids.DEVKIT}/data/{{ILSVRC2012_validation_ground_truth.txt,meta.mat}}
  {class_ids.NAME_FILE}         optional: "n01440764 tench, Tinca tinca" a line, names for figures
  captions.json                  optional: {{"train/n01440764/n01440764_18.JPEG": "a caption", ...}}"""

ARRAY_LAYOUT = f"""\
  train_data_batch_{{1..10}}.npz   data uint8 [N, 3 S S], labels 1 to 1000
  {VAL_FILE}
  {class_ids.MAP_FILE}             "n02119789 1 kit_fox" a line: the order of the labels"""


class ImageNetFolderFiles(FolderFiles):
    """Photographs of any size in class folders; class k is the k-th wnid in sorted order."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, train="train", test="val", layout=FOLDER_LAYOUT)
        counts = (self.num_train, self.num_test)
        if len(self.wnids) == OFFICIAL_CLASSES and counts != OFFICIAL_COUNTS:
            raise MissingFileError(
                f"{root}: found {counts[0]:,} images to train and {counts[1]:,} to validate, expected "
                f"{OFFICIAL_COUNTS[0]:,} and {OFFICIAL_COUNTS[1]:,}. Fetch the rest; a part of ImageNet used on purpose "
                f"must have fewer than {OFFICIAL_CLASSES:,} classes."
            )
        self.classes = class_ids.read_names(root, self.wnids)

    def list_test(self, folder: Path, wnids: list[str], layout: str) -> Listing:
        """Return the validation images of class folders, or of one folder with their classes told by a file."""
        flat = list_images(folder) if folder.is_dir() else []
        if not flat:
            return super().list_test(folder, wnids, layout)
        require_images(folder, sorted(map(number_of, flat)), layout)
        classes: Listing = {}
        for path, wnid in zip(flat, class_ids.val_wnids(folder.parent, [path.stem for path in flat], layout)):
            classes.setdefault(wnid, []).append(path)
        return classes

    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Read every image; a few smaller than ``size`` are enlarged as ADM does, a set of them is an error."""
        first = [path for _, path in self.items[:SAMPLE]]
        small = [path for path in first if min(read_image(path).size) < size]
        if 2 * len(small) > len(first):
            raise UserError(
                f"{self.root}: {len(small)} of the first {len(first)} images have fewer than the {size} pixels asked for, "
                f"such as {small[0]}; lower image_size."
            )
        super().fill(arrays, size)

    def reduced(self, path: Path, image: Image.Image, size: int) -> Image.Image:
        """Return the middle of the image, as ADM does it."""
        return center_crop(image, size)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Return the middle square of an image, made as ADM makes its training images.

    Halve by averaging while the shorter side is at least twice as long as ``size``, resize it to ``size`` by bicubic
    interpolation (a smaller image grows), cut the longer side.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


class DownsampledFiles(DataFiles):
    """Ten arrays to train on and one to validate: whole images squeezed to S x S, not ADM's centre crop.

    Their labels count from 1 in the order of ``map_clsloc.txt``; ours are ranks of sorted wnids.
    """

    def __init__(self, root: Path) -> None:
        require_root(root, ARRAY_LAYOUT)
        self.root = root
        missing = [name for name in (*BATCH_FILES, VAL_FILE) if not (root / name).is_file()]
        if missing:
            raise MissingFileError(
                f"{root}: found {11 - len(missing)} of 11 arrays, missing {some(missing)}; fetch these. Expected this "
                f"layout:\n{ARRAY_LAYOUT}"
            )
        if not (root / class_ids.MAP_FILE).is_file():
            raise MissingFileError(
                f"{root / class_ids.MAP_FILE}: no such file. The labels of these arrays count in its order, not in that "
                "of sorted wnids, and cannot be told without it; it comes with the development kit of ILSVRC2014."
            )
        wnids = class_ids.read_map(root / class_ids.MAP_FILE)
        order = sorted(wnids)
        self.rank = np.array([order.index(wnid) for wnid in wnids])  # by label - 1
        self.classes = class_ids.read_names(root, order)
        labels = [self._read(name, "labels") for name in (*BATCH_FILES, VAL_FILE)]
        self.num_train, self.num_test = sum(map(len, labels[:-1])), len(labels[-1])
        self.given = np.concatenate(labels).astype(np.int64)
        if self.given.min() < 1 or self.given.max() > len(wnids):
            raise UserError(
                f"{root}: labels from {self.given.min()} to {self.given.max()}, expected 1 to {len(wnids)} "
                f"({class_ids.MAP_FILE})."
            )

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": (3, size, size)}

    def fill(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Copy one array after the other."""
        images, row = arrays["images"], 0
        with progress_bar(f"packing {self.root.name} at {size} px", len(images)) as advance:
            for name in (*BATCH_FILES, VAL_FILE):
                data = self._read(name, "data")
                if data.dtype != np.uint8 or data.shape[1:] != (3 * size**2,):
                    raise UserError(
                        f"{self.root / name}: data is {data.dtype} {list(data.shape)}, expected uint8 [N, {3 * size**2}] "
                        f"for image_size={size}; these arrays are not resized."
                    )
                images[row : row + len(data)] = data.reshape(-1, 3, size, size)
                row += len(data)
                advance(len(data))

    def labels(self) -> np.ndarray:
        """Return the rank of each item's wnid."""
        return self.rank[self.given - 1]

    def paths(self) -> Iterable[Path]:
        """Return arrays and map."""
        return [self.root / name for name in (*BATCH_FILES, VAL_FILE, class_ids.MAP_FILE)]

    def _read(self, name: str, key: str) -> np.ndarray:
        try:
            with np.load(self.root / name, allow_pickle=False) as arrays:
                return np.asarray(arrays[key])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.root / name}: cannot read {key!r} ({error}); fetch this file again.") from error
