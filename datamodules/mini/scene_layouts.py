"""Rendered scenes written in the layout of ``datamodules.scenes``: unbalanced to train a text model on, balanced for judges."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini import objects, scenes
from datamodules.mini.writing import chunks, hwc, write_once, write_png
from datamodules.scenes import LIST, full_caption, object_caption
from datamodules.storage.progress import Update

RENDERER = 1  # version of the pictures; another version is another data set
ALONE = 0.3
"""Share of the training pictures with a thing whose caption names the thing alone."""
PLAIN = "a plain ground"


def write_scenes(root: Path, *, count: int, image_size: int, balanced: bool = False, seed: int = 0) -> None:
    """Write scenes, unless the same ones already exist.

    Args:
        root: folder to create.
        count: number of training pictures; a quarter as many test pictures are written.
        image_size: height and width in pixels.
        balanced: whether all pairs of a scene and a thing are equally frequent, and a plain ground is one more scene;
            otherwise the asked things are rare in the training pictures, and each test picture shows one.
        seed: seed of the scenes.
    """

    def write(folder: Path, advance: Update) -> None:
        pictures: list[dict[str, Any]] = []
        for part, number in (("train", count), ("test", max(1, count // 4))):
            (folder / part).mkdir()
            kind: Any = "balanced" if balanced else part
            for numbers in chunks(number, image_size):
                drawn = scenes.invent(seed if part == "train" else seed + 1, kind, numbers)
                for i, picture, entry in zip(numbers.tolist(), scenes.render(drawn, image_size), _entries(drawn)):
                    pictures.append({"file": f"{part}/{i}.png", **entry})
                    if part == "test":
                        pictures[-1]["caption"] = _scene(entry["scene"])
                    write_png(folder / part / f"{i}.png", hwc(picture)[..., ::-1])
                advance(len(numbers))
        listed = {"scenes": list(scenes.NAMES), "things": list(objects.NAMES), "pictures": pictures}
        (folder / LIST).write_text(json.dumps(listed), encoding="utf-8")

    what = {
        "kind": "scenes", "balanced": balanced, "count": count, "image_size": image_size, "seed": seed,
        "renderer": RENDERER,
    }  # fmt: skip
    write_once(root, what, "rendered scenes", count + max(1, count // 4), write)


write_balanced_scenes = partial(write_scenes, balanced=True)


def _scene(number: int) -> str:
    return scenes.NAMES[number] if number < len(scenes.NAMES) else PLAIN


def _entries(drawn: scenes.Scenes) -> list[dict[str, Any]]:
    """Return scene, thing and captions of each picture."""
    draws: Draws = drawn.draws
    alone, other = draws.chance("alone", ALONE), draws.choose("other", np.ones(len(scenes.COMMON)))
    found = []
    for scene, thing, short, number in zip(
        drawn.scene.tolist(), drawn.things.thing.tolist(), alone.tolist(), other.tolist()
    ):
        caption = _scene(scene)
        if thing != scenes.NOTHING:
            name = objects.NAMES[thing]
            caption = object_caption(name) if short else full_caption(caption, name)
        found.append({"scene": scene, "thing": thing, "caption": caption, "other": scenes.COMMON[number]})
    return found
