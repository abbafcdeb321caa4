"""Pictures of scenes with things in them, and the prompts of Unite and Conquer's Table 3 (CVPR 2023, Sec. 4.2): text, class."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.storage import text
from datamodules.storage.data_files import Decoder, ItemFiles
from datamodules.storage.listing import require_root
from datamodules.storage.reading import read_image, require_no_enlarging
from lightning_mmdiff.errors import UserError

LIST = "scenes.json"
LAYOUT = f"""\
  {LIST}         {{"scenes": ["a meadow", ...], "things": ["ball", ...], "pictures": [{{"file": "train/0.png", "scene": 0,
                      "thing": 4, "caption": "a meadow", "other": "ball"}}, ...]}}; the thing after the last is none
  train/*.png
  test/*.png          asked pairs; their caption names the scene alone, "other" a thing that is not in the picture"""
EXPECTED = 'an object with "scenes", "things" and "pictures"'
CAPTIONS = ("caption", "object_caption", "full_caption", "other_caption")


def object_caption(thing: str) -> str:
    """Return the prompt that asks for a thing alone."""
    return f"{article(thing)} {thing} in the photo"


def full_caption(scene: str, thing: str) -> str:
    """Return the prompt for a scene and a thing (Fig. 1: "and a {} in the photo")."""
    return f"{scene} and {object_caption(thing)}"


def article(noun: str) -> str:
    """Return the indefinite article of a noun in lower case."""
    return "an" if noun[0].lower() in "aeiou" else "a"


class SceneFiles(ItemFiles):
    """The pictures of ``scenes.json``, training pictures first."""

    def __init__(self, root: Path) -> None:
        require_root(root, LAYOUT)
        self.root = root
        listed = text.entries(root / LIST, EXPECTED)
        if missing := [key for key in ("scenes", "things", "pictures") if not isinstance(listed.get(key), list)]:
            raise UserError(f"{root / LIST}: has no list {missing[0]!r}, expected {EXPECTED}.")
        self.scenes, self.things, self.pictures = listed["scenes"], listed["things"], listed["pictures"]
        self.num_train = sum(self._is_training(picture) for picture in self.pictures)
        self.num_test = len(self.pictures) - self.num_train
        self.classes = self.things
        self.captions = [picture["caption"] for picture in self.pictures]

    def _is_training(self, picture: Any) -> bool:
        fits = isinstance(picture, dict) and all(
            isinstance(picture.get(key), kind)
            for key, kind in (("file", str), ("scene", int), ("thing", int), ("caption", str), ("other", str))
        )
        fits = fits and 0 <= picture["scene"] <= len(self.scenes) and 0 <= picture["thing"] <= len(self.things)
        if not fits or picture["other"] not in self.things:
            raise UserError(f"{self.root / LIST}: has the picture {picture!r}; see the layout.\n{LAYOUT}")
        return picture["file"].startswith("train/")

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of an image, the number of its scene, and the number of a thing that it does not show."""
        return {"images": (3, size, size), "scenes": (), "others": ()}

    def decoder(self, size: int) -> Decoder:
        """Return the function that reads one picture and reduces it by averaging."""

        def decode(row: int) -> dict[str, np.ndarray]:
            picture = self.pictures[row]
            path = self.root / picture["file"]
            image = read_image(path, "RGB")
            require_no_enlarging(path, min(image.size), size)
            pixels = np.asarray(image.resize((size, size), Image.Resampling.BOX)).transpose(2, 0, 1)
            other = self.things.index(picture["other"])
            numbers = {"scenes": picture["scene"], "others": other}
            return {"images": pixels, **{name: np.array(number, np.uint8) for name, number in numbers.items()}}

        return decode

    def labels(self) -> np.ndarray:
        """Return the number of each picture's thing."""
        return np.array([picture["thing"] for picture in self.pictures], np.int64)

    def paths(self) -> Iterable[Path]:
        """Return the list and the pictures."""
        return [self.root / LIST, *(self.root / picture["file"] for picture in self.pictures)]


@dataclass(frozen=True, kw_only=True)
class SceneSplit(ArraySplit):
    """Pictures with their thing, scene and prompts."""

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image" and the requested conditions.

        Those are "label", the thing, "scene" and "other", a thing that is not there, int64 [B]; "first_class", zeros; and
        texts: "caption", "object_caption" ("a star in the photo"), "full_caption" (both), "other_caption" (the other
        thing alone).
        """
        rows, arrays = self.first + items, self.packed.arrays
        label = np.asarray(arrays["labels"][rows])
        found: dict[str, Any] = {}
        if "label" in self.conditions:
            found["label"] = tensor(label)
        for name in ("scene", "other"):
            if name in self.conditions:
                found[name] = tensor(np.asarray(arrays[f"{name}s"][rows], np.int64))
        if "first_class" in self.conditions:
            found["first_class"] = torch.zeros(len(items), dtype=torch.int64)
        found |= {name: self._texts(name, rows, label) for name in CAPTIONS if name in self.conditions}
        return {"index": tensor(items), "image": tensor(self.gather("images", items, flips)), "conditions": found}

    def _texts(self, name: str, rows: np.ndarray, label: np.ndarray) -> list[str]:
        assert self.packed.captions is not None
        assert self.packed.classes is not None
        captions, things = [self.packed.captions[row] for row in rows.tolist()], self.packed.classes
        if name == "caption":
            return captions
        if name == "other_caption":
            return [object_caption(things[other]) for other in self.packed.arrays["others"][rows].tolist()]
        named = [things[i] if i < len(things) else None for i in label.tolist()]
        if name == "object_caption":
            return [object_caption(thing) if thing else "" for thing in named]
        return [full_caption(scene, thing) if thing else scene for scene, thing in zip(captions, named)]


class Scenes(ArrayDataModule):
    """Rendered scenes: most training pictures show none of the things that the test pictures show."""

    layout = LAYOUT
    known_conditions = ("label", "scene", "other", "first_class", *CAPTIONS)

    def files(self) -> SceneFiles:
        """Return the pictures."""
        return SceneFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> SceneSplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return SceneSplit(packed=packed, first=first, count=count, conditions=self.conditions)
