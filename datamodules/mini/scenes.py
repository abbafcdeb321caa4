"""Drawn scenes: a backdrop such as a meadow, and at most one of the ten things standing in it.

images = render(invent(seed, "train", np.arange(64)), 32)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini import objects
from datamodules.mini.drawing import Array, Canvas
from datamodules.mini.scene_grounds import GROUNDS, NAMES, paint_plain

Part = Literal["train", "test", "balanced", "close"]
"""Pictures to train on, those of the asked pairs, those in which every pair is equally frequent, and things on plain grounds."""

COMMON = ("ball", "box", "cone", "ring", "cross", "moon")
"""Things that stand in many scenes."""
RARE = ("star", "heart", "fish", "mushroom")
"""Things that are asked for, but stand in few scenes of the training pictures."""
USUAL = {
    "ball": ("red", "white"), "box": ("orange", "blue"), "cone": ("orange", "green"), "ring": ("yellow", "purple"),
    "star": ("yellow", "white"), "cross": ("purple", "black"), "moon": ("white", "blue"), "heart": ("red", "purple"),
    "fish": ("orange", "blue"), "mushroom": ("red", "green"),
}  # fmt: skip
"""Colors of each thing, as classes of natural images have theirs; no color tells what a thing is, but black."""
NOTHING = len(objects.NAMES)
"""Label of a scene without a thing."""
UNSEEN = (("a night sky", "black", "white"), ("a field of snow", "white", "black"))
"""Scene, color of a thing that nobody would see in it, color in its place."""


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """B scenes; arrays of length B."""

    scene: np.ndarray  # index into NAMES; len(NAMES) is a plain ground
    things: objects.Objects  # label NOTHING where there is none
    draws: Draws  # for everything without a field of its own

    def among(self, where: np.ndarray) -> "Scenes":
        """Return the scenes marked by ``where``, bool [B]."""
        draws, things = self.draws.among(where), self.things
        chosen = objects.Objects(
            thing=things.thing[where], color=things.color[where], background=things.background[where], draws=draws
        )
        return Scenes(scene=self.scene[where], things=chosen, draws=draws)


def invent(seed: int, part: Part, indices: np.ndarray, *, rare: float = 0.02, common: float = 0.6) -> Scenes:
    """Return the scenes of ``indices``; each is a function of (seed, part, index).

    Args:
        seed: seed of the scenes.
        part: "train": each scene is equally frequent; "test": the pairs of a scene and a rare thing, in turn, twelve
            different ones first; "balanced": all scenes, a plain ground, all things and none are equally frequent;
            "close": all things are equally frequent, each on a plain ground.
        indices: numbers of the pictures.
        rare: share of the training pictures with a rare thing.
        common: share of the training pictures with a common thing.
    """
    indices = np.asarray(indices)
    draws = Draws("scenes", seed, part, indices=indices)
    grounds = len(NAMES) + (part == "balanced")
    scene = indices % len(NAMES) if part == "test" else draws.choose("scene", np.ones(grounds))
    if part == "close":
        scene = np.full(len(indices), len(NAMES))
    if part == "test":
        labels = np.array([objects.NAMES.index(name) for name in RARE])
        thing = labels[(indices + indices // 12) % len(RARE)]  # 12 = the least common multiple of 6 scenes and 4 things
    else:
        thing = draws.choose("thing", _shares(part, rare, common))
    color = draws.choose("color", _COLORS[thing])
    for name, hides, instead in UNSEEN:
        color[(scene == NAMES.index(name)) & (color == objects.COLORS.index(hides))] = objects.COLORS.index(instead)
    things = objects.Objects(thing=thing, color=color, background=np.zeros_like(color), draws=draws)
    return Scenes(scene=scene, things=things, draws=draws)


def render(scenes: Scenes, size: int) -> Array:
    """Paint back to front; return uint8 [B, 3, S, S]."""
    draws, count = scenes.draws, len(scenes.scene)
    still = np.zeros(count)
    canvas = Canvas(size, tilt=still, center=np.zeros((count, 2)), scale=np.ones(count))
    for label, paint in enumerate((*GROUNDS.values(), paint_plain)):
        mine = scenes.scene == label
        if mine.any():
            part = Canvas(size, tilt=still[mine], center=np.zeros((mine.sum(), 2)), scale=np.ones(mine.sum()))
            paint(part, draws.among(mine))
            canvas.color[mine] = part.color
    stands = scenes.things.thing != NOTHING
    if stands.any():
        canvas.color[stands] = _with_things(scenes.among(stands), canvas.color[stands], size)
    noise = draws.uniform("grain", -objects.GRAIN, objects.GRAIN, count=size**2)
    canvas.color += noise.reshape(-1, 1, size, size)
    return canvas.image()


_COLORS = np.array(
    [[name in USUAL.get(thing, objects.COLORS) for name in objects.COLORS] for thing in (*objects.NAMES, "")]
)


def _shares(part: Part, rare: float, common: float) -> np.ndarray:
    """Return the weight of each thing, and of none."""
    if part in ("balanced", "close"):
        return np.array([1.0] * len(objects.NAMES) + [part == "balanced"])
    shares = {**dict.fromkeys(COMMON, common / len(COMMON)), **dict.fromkeys(RARE, rare / len(RARE))}
    return np.array([*(shares[name] for name in objects.NAMES), 1 - rare - common])


def _with_things(scenes: Scenes, color: Array, size: int) -> Array:
    """Paint each thing where it stands."""
    draws = scenes.draws
    canvas = Canvas(
        size,
        tilt=draws.uniform("tilt", -0.2, 0.2),
        center=np.stack([draws.uniform("x", -0.12, 0.12), draws.uniform("y", 0, 0.15)], 1),
        scale=draws.uniform("scale", 0.68, 0.8),
    )
    canvas.color[:] = color
    objects.paint_thing(canvas, scenes.things)
    return canvas.color
