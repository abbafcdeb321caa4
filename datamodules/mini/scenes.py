"""Drawn scenes: a backdrop such as a meadow, and at most one of the ten things standing in it.

images = render(invent(seed, "train", np.arange(64)), 32)
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini import objects
from datamodules.mini.backdrops import hsv
from datamodules.mini.drawing import Array, Canvas, between, column, ellipse

Part = Literal["train", "test", "balanced"]
"""Pictures to train on, those of the asked pairs, and those in which every pair is equally frequent."""

COMMON = ("ball", "box", "cone", "ring", "cross", "moon")
"""Things that stand in many scenes."""
RARE = ("star", "heart", "fish", "mushroom")
"""Things that are asked for, but stand in few scenes of the training pictures."""
NOTHING = len(objects.NAMES)
"""Label of a scene without a thing."""
UNSEEN = (("a night sky", "black", "white"), ("a field of snow", "white", "black"))
"""Scene, color of a thing that nobody would see in it, color in its place."""
HORIZON = -0.15  # height of the horizon; -1 is the top of the image, 1 the bottom


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
            different ones first; "balanced": all scenes, a plain ground and all things are equally frequent.
        indices: numbers of the pictures.
        rare: share of the training pictures with a rare thing.
        common: share of the training pictures with a common thing.
    """
    indices = np.asarray(indices)
    draws = Draws("scenes", seed, part, indices=indices)
    grounds = len(NAMES) + (part == "balanced")
    scene = indices % len(NAMES) if part == "test" else draws.choose("scene", np.ones(grounds))
    if part == "test":
        labels = np.array([objects.NAMES.index(name) for name in RARE])
        thing = labels[(indices + indices // 12) % len(RARE)]  # 12 = the least common multiple of 6 scenes and 4 things
    else:
        thing = draws.choose("thing", _shares(part, rare, common))
    color, background = objects.two_colors(draws)
    for name, hides, instead in UNSEEN:
        color[(scene == NAMES.index(name)) & (color == objects.COLORS.index(hides))] = objects.COLORS.index(instead)
    things = objects.Objects(thing=thing, color=color, background=background, draws=draws)
    return Scenes(scene=scene, things=things, draws=draws)


def render(scenes: Scenes, size: int) -> Array:
    """Paint back to front; return uint8 [B, 3, S, S]."""
    draws, count = scenes.draws, len(scenes.scene)
    still = np.zeros(count)
    canvas = Canvas(size, tilt=still, center=np.zeros((count, 2)), scale=np.ones(count))
    for label, paint in enumerate((*BACKDROPS.values(), _plain)):
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


def _shares(part: Part, rare: float, common: float) -> np.ndarray:
    """Return the share of each thing, and of none."""
    if part == "balanced":
        return np.ones(len(objects.NAMES) + 1)
    shares = {**dict.fromkeys(COMMON, common / len(COMMON)), **dict.fromkeys(RARE, rare / len(RARE))}
    return np.array([*(shares[name] for name in objects.NAMES), 1 - rare - common])


def _with_things(scenes: Scenes, color: Array, size: int) -> Array:
    """Paint each thing where it stands."""
    draws = scenes.draws
    canvas = Canvas(
        size,
        tilt=draws.uniform("tilt", -0.3, 0.3),
        center=np.stack([draws.uniform("x", -0.2, 0.2), draws.uniform("y", -0.05, 0.2)], 1),
        scale=draws.uniform("scale", 0.5, 0.72),
    )
    canvas.color[:] = color
    objects.paint_thing(canvas, scenes.things)
    return canvas.color


def _color(draws: Draws, name: str, hue: float, saturation: float, value: float) -> Array:
    """Return [B, 3]: a color that varies a little."""
    return hsv(
        (hue + draws.uniform(f"{name} hue", -0.02, 0.02)) % 1,
        np.clip(saturation + draws.uniform(f"{name} saturation", -0.08, 0.08), 0, 1),
        np.clip(value + draws.uniform(f"{name} value", -0.07, 0.07), 0, 1),
    )


def _horizon(draws: Draws) -> Array:
    return column(HORIZON + draws.uniform("horizon", -0.12, 0.12))


def _sky_and_ground(canvas: Canvas, draws: Draws, sky: Array, ground: Array) -> Array:
    """Fill the canvas with two colors, [B, 3] each, lighter near the horizon; return the horizon [B, 1, 1]."""
    horizon = _horizon(draws)
    near = (0.75 + 0.25 * np.clip(1 - np.abs(canvas.v - horizon), 0, 1))[:, None]
    below = np.clip(0.5 + (canvas.v - horizon) / 0.06, 0, 1)[:, None]
    canvas.color[:] = (sky[:, :, None, None] * (1 - below) + ground[:, :, None, None] * below) * near
    return horizon


def _meadow(canvas: Canvas, draws: Draws) -> None:
    """Paint grass with flowers under a blue sky."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.56, 0.4, 0.95), _color(draws, "grass", 0.29, 0.7, 0.6)
    )
    for i in range(7):
        cu, cv = (
            column(draws.uniform(f"flower {i} {way}", *limits)) for way, limits in (("u", (-1, 1)), ("v", (0.25, 1)))
        )
        flower = hsv(draws.uniform(f"flower {i} hue"), np.full(len(cu), 0.5), np.full(len(cu), 0.98))
        canvas.paint(partial(ellipse, cu=cu, cv=np.maximum(cv, horizon + 0.2), ru=0.05, rv=0.05), flower, softness=0.06)


def _sea(canvas: Canvas, draws: Draws) -> None:
    """Paint waves to the horizon."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.55, 0.12, 0.9), _color(draws, "water", 0.57, 0.75, 0.6)
    )
    depth = np.clip(canvas.v - horizon, 0, None)
    waves = np.sin(22 * np.sqrt(depth) + 2 * np.sin(3 * canvas.u + column(draws.uniform("phase", 0, 6.28))))
    canvas.color += 0.16 * (np.clip(waves, 0, 1) * (depth > 0))[:, None]


def _night(canvas: Canvas, draws: Draws) -> None:
    """Paint stars in a dark sky above dark hills."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.66, 0.7, 0.26), _color(draws, "hills", 0.68, 0.5, 0.1)
    )
    white = np.full((len(horizon), 3), 0.95, np.float32)
    for i in range(12):
        cu, cv = (
            column(draws.uniform(f"light {i} {way}", *limits)) for way, limits in (("u", (-1, 1)), ("v", (-1, 0)))
        )
        canvas.paint(
            partial(ellipse, cu=cu, cv=np.minimum(cv, horizon - 0.1), ru=0.025, rv=0.025), white, softness=0.05
        )


def _road(canvas: Canvas, draws: Draws) -> None:
    """Paint a gray road that narrows toward the horizon, with a white line."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.58, 0.2, 0.88), _color(draws, "ground", 0.1, 0.45, 0.55)
    )
    bend = column(draws.uniform("bend", -0.2, 0.2))
    count = len(horizon)

    def strip(width: float) -> Callable[[Array, Array], Array]:
        def distance(u: Array, v: Array) -> Array:
            depth = np.clip(v - horizon, 0, None)
            return np.maximum(np.abs(u - bend * (1 - depth)) - width * depth, horizon - v)

        return distance

    canvas.paint(strip(0.75), np.full((count, 3), 0.33, np.float32))
    canvas.paint(strip(0.05), np.full((count, 3), 0.95, np.float32))


def _snow(canvas: Canvas, draws: Draws) -> None:
    """Paint white ground, a white mountain and falling flakes."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.6, 0.22, 0.66), _color(draws, "snow", 0.6, 0.04, 0.97)
    )
    peak = column(draws.uniform("peak", -0.6, 0.6))
    mountain = _color(draws, "mountain", 0.6, 0.1, 0.84)
    canvas.paint(lambda u, v: between(v, horizon - 0.62 + 0.9 * np.abs(u - peak), horizon), mountain)
    white = np.ones((len(horizon), 3), np.float32)
    for i in range(8):
        cu, cv = (column(draws.uniform(f"flake {i} {way}", -1, 1)) for way in ("u", "v"))
        canvas.paint(partial(ellipse, cu=cu, cv=cv, ru=0.03, rv=0.03), white, softness=0.05)


def _desert(canvas: Canvas, draws: Draws) -> None:
    """Paint dunes under a yellow sky with a sun."""
    horizon = _sky_and_ground(
        canvas, draws, _color(draws, "sky", 0.12, 0.35, 0.97), _color(draws, "sand", 0.08, 0.6, 0.85)
    )
    phase = column(draws.uniform("phase", 0, 6.28))
    dune = _color(draws, "dune", 0.07, 0.68, 0.68)
    canvas.paint(lambda u, v: horizon + 0.45 + 0.16 * np.sin(2.4 * u + phase) - v, dune)
    sun, height = column(draws.uniform("sun", -0.8, 0.8)), column(draws.uniform("height", -0.9, -0.6))
    canvas.paint(partial(ellipse, cu=sun, cv=height, ru=0.16, rv=0.16), _color(draws, "light", 0.14, 0.5, 1))


def _plain(canvas: Canvas, draws: Draws) -> None:
    """Fill the canvas as the pictures of single objects do."""
    color, background = objects.two_colors(draws)
    objects.paint_background(canvas, objects.Objects(thing=color, color=color, background=background, draws=draws))


BACKDROPS: dict[str, Callable[[Canvas, Draws], None]] = {
    "a meadow": _meadow,
    "the sea": _sea,
    "a night sky": _night,
    "a road": _road,
    "a field of snow": _snow,
    "a desert": _desert,
}
NAMES = tuple(BACKDROPS)
"""Texts of the scenes, in the order of their labels."""
