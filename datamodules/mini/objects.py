"""Drawn labeled objects: one of ten things with varied color, pose and light before a varied background.

images = render(invent(seed, "train", np.arange(64)), 32)
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini.drawing import EVERYWHERE, Array, Canvas, column, ellipse
from datamodules.mini.things import THINGS

Part = Literal["train", "val"]

NAMES = tuple(THINGS)
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
COLOR_RGB = np.array(
    [[0.84, 0.16, 0.16], [0.95, 0.52, 0.12], [0.94, 0.84, 0.22], [0.20, 0.62, 0.26],
     [0.18, 0.38, 0.82], [0.55, 0.24, 0.68], [0.94, 0.94, 0.92], [0.12, 0.12, 0.14]],
    np.float32,
)  # fmt: skip
MUTED = 0.6  # colorfulness of backgrounds
NUM_SPOTS = 3  # blurred spots behind the object
GRAIN = 0.02  # fraction of full scale, in both directions


@dataclass(frozen=True, kw_only=True)
class Objects:
    """B objects; arrays of length B."""

    thing: np.ndarray  # label, index into NAMES
    color: np.ndarray  # index into COLORS
    background: np.ndarray  # index into COLORS, different from ``color``
    draws: Draws  # for everything without a field of its own


def invent(seed: int, part: Part, indices: np.ndarray) -> Objects:
    """Return the objects of ``indices``; each is a function of (seed, part, index). Object i is thing i mod 10."""
    draws = Draws("objects", seed, part, indices=indices)
    color, background = two_colors(draws)
    return Objects(thing=np.asarray(indices) % len(NAMES), color=color, background=background, draws=draws)


def two_colors(draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Return the color of each thing and another one behind it, indices into COLORS, [B] each."""
    color = draws.choose("colour", np.ones(len(COLORS)))
    other = draws.choose("background", np.ones(len(COLORS) - 1))
    return color, (color + 1 + other) % len(COLORS)


def captions(objects: Objects) -> list[str]:
    """Return captions such as "a red star on green"."""
    words = zip(objects.thing.tolist(), objects.color.tolist(), objects.background.tolist())
    article = {True: "an", False: "a"}
    return [
        f"{article[COLORS[color] == 'orange']} {COLORS[color]} {NAMES[thing]} on {COLORS[background]}"
        for thing, color, background in words
    ]


def render(objects: Objects, size: int) -> Array:
    """Paint back to front; return uint8 [B, 3, S, S]."""
    draws = objects.draws
    canvas = Canvas(
        size,
        tilt=draws.uniform("tilt", -0.35, 0.35),
        center=np.stack([draws.uniform("x", -0.14, 0.14), draws.uniform("y", -0.14, 0.14)], 1),
        scale=draws.uniform("scale", 0.62, 0.9),
    )
    paint_background(canvas, objects)
    paint_thing(canvas, objects)
    noise = draws.uniform("grain", -GRAIN, GRAIN, count=size**2)
    canvas.color += noise.reshape(-1, 1, size, size)
    return canvas.image()


def paint_thing(canvas: Canvas, objects: Objects) -> None:
    """Paint the things with their shadows, each in the middle of its canvas coordinates."""
    outline = partial(_outline, objects.thing)
    shadow = np.zeros((len(objects.thing), 3), np.float32)
    canvas.paint(lambda u, v: outline(u - 0.14, v - 0.14), shadow, softness=0.3, opacity=0.4)
    canvas.paint(outline, partial(_surface, objects))
    _paint_details(canvas, objects)


def _outline(thing: np.ndarray, u: Array, v: Array) -> Array:
    """Return the distance to the edge of the thing in each image, [B, h, w]."""
    distance = np.empty_like(u)
    for label, shape in enumerate(THINGS.values()):
        mine = thing == label
        distance[mine] = shape(u[mine], v[mine])
    return distance


def _varied(draws: Draws, name: str, color: np.ndarray, reach: float) -> Array:
    """Return [B, 3]: named colors with small variations."""
    return np.clip(COLOR_RGB[color] + draws.uniform(name, -reach, reach, count=3), 0, 1)


def paint_background(canvas: Canvas, objects: Objects) -> None:
    """Fill the canvas with a gradient, stripes on some images, and blurred spots."""
    draws = objects.draws
    near, far = (
        MUTED * _varied(draws, name, objects.background, 0.10) + (1 - MUTED) * 0.45 for name in ("near", "far")
    )
    far = far * draws.uniform("far shade", 0.55, 1)[:, None]
    angle = draws.uniform("angle", 0, 6.28)
    along = column(np.cos(angle)) * canvas.u + column(np.sin(angle)) * canvas.v
    share = np.clip(0.5 + 0.35 * along, 0, 1)
    waves = 0.5 + 0.5 * np.sin(along * column(draws.uniform("stripes", 4, 9)))
    share = np.where(column(draws.chance("striped", 0.2)) > 0, waves, share)[:, None]
    canvas.color[:] = near[:, :, None, None] * (1 - share) + far[:, :, None, None] * share
    for i in range(NUM_SPOTS):
        cu, cv, radius = (
            column(draws.uniform(f"spot {i} {what}", *limits))
            for what, limits in (("u", (-1.6, 1.6)), ("v", (-1.6, 1.6)), ("radius", (0.2, 0.5)))
        )
        canvas.paint(
            partial(ellipse, cu=cu, cv=cv, ru=radius, rv=radius),
            MUTED * _varied(draws, f"spot {i}", objects.background, 0.25) + (1 - MUTED) * 0.45,
            box=EVERYWHERE, softness=0.25, opacity=draws.uniform(f"spot {i} opacity", 0, 0.6),
        )  # fmt: skip


def _surface(objects: Objects, u: Array, v: Array) -> Array:
    """Return the color of the object [B, 3, h, w], lit from above."""
    draws = objects.draws
    side = column(draws.uniform("light", -0.25, 0.25))
    shade = np.clip(0.95 + side * u - 0.18 * v, 0.5, 1.25)[:, None]
    return _varied(draws, "paint", objects.color, 0.08)[:, :, None, None] * shade + 0.02


def _paint_details(canvas: Canvas, objects: Objects) -> None:
    """Paint the fish's eye and the mushroom's pale stem."""
    count = len(objects.thing)
    eye = np.full((count, 3), 0.05, np.float32)
    canvas.paint(partial(ellipse, cu=-0.55, cv=-0.1, ru=0.1, rv=0.1), eye, where=objects.thing == NAMES.index("fish"))
    pale = np.tile(np.array([[0.90, 0.86, 0.76]], np.float32), (count, 1))
    canvas.paint(
        lambda u, v: np.maximum(THINGS["mushroom"](u, v), 0.04 - v), pale,
        where=objects.thing == NAMES.index("mushroom"),
    )  # fmt: skip
