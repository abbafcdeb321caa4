"""Rendered scenes in the layout of ``datamodules.scenes``: unbalanced for a text model, balanced for judges, things close up."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini import objects, scenes
from datamodules.mini.writing import chunks, hwc, write_once, write_png
from datamodules.scenes import LIST, full_caption, object_caption
from datamodules.storage.progress import Update

Kind: TypeAlias = Literal["train", "balanced", "close"]
RENDERER = 2  # version of the pictures; another version is another data set
CAPTIONS = (0.5, 0.2, 0.3)
"""Shares of the training pictures with a thing whose caption names the scene alone, the thing alone, and both."""
TOLD = (0.0, 0.3, 0.7)
"""The same of pictures whose captions leave no thing out."""
ALONE = 1
PLAIN = "a plain ground"


def write_scenes(root: Path, *, count: int, image_size: int, kind: Kind = "train", seed: int = 0) -> None:
    """Write scenes, unless the same ones already exist.

    Args:
        root: folder to create.
        count: number of training pictures; a quarter as many test pictures are written.
        image_size: height and width in pixels.
        kind: "train": the asked things are rare in the training pictures, and each test picture shows one; "balanced" and
            "close" as in ``scenes.invent``, test pictures, too.
        seed: seed of the scenes.
    """

    def write(folder: Path, advance: Update) -> None:
        pictures: list[dict[str, Any]] = []
        told = CAPTIONS if kind == "train" else TOLD
        for part, number in (("train", count), ("test", max(1, count // 4))):
            (folder / part).mkdir()
            shown: Any = part if kind == "train" else kind
            for numbers in chunks(number, image_size):
                drawn = scenes.invent(seed if part == "train" else seed + 1, shown, numbers)
                for i, picture, entry in zip(numbers.tolist(), scenes.render(drawn, image_size), _entries(drawn, told)):
                    pictures.append({"file": f"{part}/{i}.png", **entry})
                    if part == "test":
                        pictures[-1]["caption"] = _scene(entry["scene"])
                    write_png(folder / part / f"{i}.png", hwc(picture)[..., ::-1])
                advance(len(numbers))
        listed = {"scenes": list(scenes.NAMES), "things": list(objects.NAMES), "pictures": pictures}
        (folder / LIST).write_text(json.dumps(listed), encoding="utf-8")

    what = {
        "kind": "scenes", "shows": kind, "count": count, "image_size": image_size, "seed": seed,
        "renderer": RENDERER,
    }  # fmt: skip
    write_once(root, what, "rendered scenes", count + max(1, count // 4), write)


write_balanced_scenes = partial(write_scenes, kind="balanced")
write_close_things = partial(write_scenes, kind="close")


def _scene(number: int) -> str:
    return scenes.NAMES[number] if number < len(scenes.NAMES) else PLAIN


def _entries(drawn: scenes.Scenes, captions: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Return scene, thing and captions of each picture."""
    draws: Draws = drawn.draws
    told, other = draws.choose("told", np.array(captions)), draws.choose("other", np.ones(len(scenes.COMMON)))
    found = []
    for scene, thing, kind, number in zip(
        drawn.scene.tolist(), drawn.things.thing.tolist(), told.tolist(), other.tolist()
    ):
        caption = _scene(scene)
        if thing != scenes.NOTHING and kind:
            name = objects.NAMES[thing]
            caption = object_caption(name) if kind == ALONE else full_caption(caption, name)
        found.append({"scene": scene, "thing": thing, "caption": caption, "other": scenes.COMMON[number]})
    return found
