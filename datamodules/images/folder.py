"""The layout of torchvision's ImageFolder: a folder per part, in it a folder per class, in it the images."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.storage import listing, text
from datamodules.storage.data_files import IMAGE_SUFFIXES, Decoder, ItemFiles
from datamodules.storage.listing import require_root
from datamodules.storage.reading import read_image, some
from lightning_mmdiff.errors import MissingFileError, UserError

CAPTION_FILE = "captions.json"

Listing = dict[str, list[Path]]  # class -> its images


class FolderFiles(ItemFiles):
    """Images in class folders; a class is the rank of its folder among the sorted folder names.

    The items of a part are sorted by the numbers in their names and alternate between classes, so that the first few
    show all classes.

    Args:
        root: folder of the data set.
        train: name of the folder of the training images.
        test: name of the folder of the test images.
        layout: expected layout of ``root``.
    """

    def __init__(self, root: Path, *, train: str, test: str, layout: str) -> None:
        require_root(root, layout)
        self.root = root
        train_classes = list_classes(root, train, layout)
        test_classes = self.list_test(root / test, sorted(train_classes), layout)
        self.wnids = sorted(train_classes)
        missing = sorted(set(self.wnids) ^ set(test_classes))
        if missing:
            raise MissingFileError(
                f"{root}: found {len(train_classes)} classes in {train} and {len(test_classes)} in {test}; only in one of "
                f"them: {some(missing)}. The download is incomplete: fetch the rest. {listing.expected(root, layout)}"
            )
        self.items = [item for part in (train_classes, test_classes) for item in in_turn(part)]
        self.num_train = sum(map(len, train_classes.values()))
        self.num_test = len(self.items) - self.num_train
        self.classes = self.wnids
        self.captions = self.optional("caption", self._captions)

    def list_test(self, folder: Path, wnids: list[str], layout: str) -> Listing:
        """Return the test images of each class."""
        return list_classes(folder.parent, folder.name, layout)

    @abstractmethod
    def reduced(self, path: Path, image: Image.Image, size: int) -> Image.Image:
        """Return the image at ``size`` x ``size`` pixels.

        Raises:
            UserError: naming ``path``, if that is impossible.
        """

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": (3, size, size)}

    def decoder(self, size: int) -> Decoder:
        """Return the function that reads one image."""

        def decode(row: int) -> dict[str, np.ndarray]:
            path = self.items[row][1]
            image = self.reduced(path, read_image(path, "RGB"), size)
            return {"images": np.asarray(image).transpose(2, 0, 1)}

        return decode

    def labels(self) -> np.ndarray:
        """Return the rank of each item's class."""
        rank = {wnid: label for label, wnid in enumerate(self.wnids)}
        return np.array([rank[wnid] for wnid, _ in self.items], np.int64)

    def paths(self) -> Iterable[Path]:
        """Return the images and, if it exists, the caption file."""
        captions = [self.root / CAPTION_FILE] if self.captions is not None else []
        return [*(path for _, path in self.items), *captions]

    def _captions(self) -> list[str] | None:
        file = self.root / CAPTION_FILE
        if not file.exists():
            return None
        texts = text.entries(file, 'an object such as {"train/n01440764/n01440764_18.JPEG": "a caption", ...}')
        names = [path.relative_to(self.root).as_posix() for _, path in self.items]
        found = [texts.get(name, texts.get(Path(name).name)) for name in names]
        captions = [caption for caption in found if isinstance(caption, str) and caption]
        if len(captions) < len(names):
            missing = [name for name, caption in zip(names, found) if not isinstance(caption, str) or not caption]
            raise UserError(f"{file}: has no caption for {some(missing)}; complete it, or remove it.")
        return captions


def list_classes(root: Path, part: str, layout: str) -> Listing:
    """Return class -> images of one part of a data set.

    Raises:
        MissingFileError: if the folder is missing or holds no class folders, or if a class is empty.
    """
    folder = root / part
    subfolders = listing.folders(folder)
    if not subfolders:
        raise MissingFileError(f"{folder}: no class folders found. {listing.expected(root, layout)}")
    classes = {path.name: list_images(path) for path in subfolders}
    empty = [name for name, images in classes.items() if not images]
    if deep := [inner for name in empty for inner in listing.folders(folder / name)]:
        raise MissingFileError(
            f"{folder}: expected images in {folder / empty[0]}, found folders such as {deep[0].name}; move what they hold "
            f"up, there and in the like of it. {listing.expected(root, layout)}"
        )
    if empty:
        raise MissingFileError(
            f"{folder}: found images of {len(classes) - len(empty)} of {len(classes)} classes, none of {some(empty)}. "
            "The download is incomplete: fetch the rest."
        )
    return classes


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder, sorted by name; other files are not part of a data set.

    Raises:
        UserError: if two are one image, named 1.jpg and 0001.jpg or 1.png.
    """
    paths = listing.files(folder, IMAGE_SUFFIXES)
    first: dict[str, Path] = {}
    for path in paths:
        number = text.image_number(path.name)
        same = first.setdefault(path.stem if number is None else str(number), path)
        if same != path:
            raise UserError(f"{path}: has the name of {same}; remove one of them, and all its like.")
    return paths


def number_of(path: Path) -> int:
    """Return the last number in a file name, such as 5 for ILSVRC2012_val_00000005.JPEG, or -1 if there is none."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1


def in_turn(classes: Listing) -> list[tuple[str, Path]]:
    """Return (class, image) sorted by the numbers in the names, alternating between classes."""
    items = [(name, path) for name, paths in classes.items() for path in paths]
    return sorted(items, key=lambda item: (number_of(item[1]), item[0], item[1].name))
