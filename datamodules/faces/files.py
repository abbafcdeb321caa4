"""Interface between a face data set on disk and the packer."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from datamodules.faces.captions import CaptionKind
from datamodules.storage.label_images import read_ids
from datamodules.storage.sources import Source, Sources
from lightning_mmdiff.errors import UserError

ANNOTATIONS = ("attributes", "official", *get_args(CaptionKind))
"""Contents of the optional text files."""


class FaceFiles(Source):
    """Files of one face data set, listed on construction and read on demand."""

    numbers: list[int]  # image numbers, ascending
    total: int  # images in the complete numbering (a known gap counts)
    has_label_maps: bool

    def __len__(self) -> int:
        return len(self.numbers)

    @abstractmethod
    def name(self, number: int) -> str:
        """Return the file name of an image, which is its key in caption and attribute files."""

    @abstractmethod
    def image(self, number: int) -> Path:
        """Return the path of an image."""

    @abstractmethod
    def label_place(self, number: int) -> Path:
        """Return the path of an image's label map, with * if it is merged from several files, for messages."""

    @abstractmethod
    def label_map(self, number: int) -> np.ndarray:
        """Return the class ids of an image, uint8 [H, W] in the official order of 19 classes."""

    @abstractmethod
    def attributes(self) -> np.ndarray | None:
        """Return the 40 attributes, int8 [N, 40] of 0 and 1, or None if the data set has none."""

    @abstractmethod
    def captions(self, kind: CaptionKind) -> dict[str, list[str]] | None:
        """Return image name -> captions of one kind, in the order of its file, or None if there are none."""

    @abstractmethod
    def official_split(self) -> list[str] | None:
        """Return "train", "val" or "test" for each image, or None if the file that defines the split is absent."""

    def annotation(self, thing: str) -> Any:
        """Return the content of an optional text file: "attributes", "official" (the split) or a kind of captions.

        None if it is absent.

        Raises:
            UserError: naming the file and the place in it, if it is damaged or lacks an image.
        """
        if thing == "attributes":
            return self.attributes()
        return self.official_split() if thing == "official" else self.captions(cast(CaptionKind, thing))

    @abstractmethod
    def places(self) -> dict[str, tuple[str, ...]]:
        """Return the places below ``root`` where each optional item is looked for; the first match wins.

        Keys: "label_map", "attributes", "official" (the split) and the kinds of captions; an omitted item never exists.
        """

    @abstractmethod
    def label_files(self) -> Iterable[Path]:
        """Return all label files; their contents are part of the fingerprint."""

    @abstractmethod
    def label_names(self) -> Iterable[str]:
        """Return the names under which earlier versions knew the label files."""

    @abstractmethod
    def text_files(self) -> list[Path]:
        """Return the attribute, caption and split files that exist; their contents are part of the fingerprint."""

    def file_parts(self) -> Mapping[str, Iterable[Path]]:
        """Return images and label files as one part, and the text files as another."""
        return {"pixels": [*map(self.image, self.numbers), *self.label_files()], "text": self.text_files()}

    def by_name(self, found: Mapping[str, Sources]) -> Mapping[str, str]:
        """Return the digests of the names and sizes of images and text files, the former with the names of the labels."""
        sizes = {part: files.stamps[:, 0].tolist() for part, files in found.items()}
        images = [[self.name(number), size] for number, size in zip(self.numbers, sizes["pixels"])]
        texts = [[name.rpartition("/")[2], size] for name, size in zip(found["text"].names, sizes["text"])]
        return {"pixels": _digest([images, sorted(self.label_names())]), "text": _digest(texts)}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def read_label_png(path: Path, num_classes: int) -> np.ndarray:
    """Read class ids, uint8 [H, W], from a PNG of mode L or P whose pixel values are the ids.

    Raises:
        UserError: if the image has another mode, was changed by JPEG, or has an id of ``num_classes`` or more.
    """
    label_map = read_ids(path, "an index image (mode L or P) of class ids")
    if label_map.max() >= num_classes:
        raise UserError(
            f"{path}: holds class {label_map.max()}, expected 0 to {num_classes - 1} (official CelebAMask-HQ order); "
            "was it written in another order, or as colors?"
        )
    return label_map
