"""The geometry and the light of street scenes, shared by every part of the drawing.

u points right and v down; the image is [-1, 1] squared. ``nearness`` is 0 on the horizon and 1 at the lower border.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.cityscapes import EGO_VEHICLE, TRAIN_CLASSES
from datamodules.mini.drawing import EVERYWHERE, Array, Box, Canvas, Shape, column, ellipse, rounded_box

LABEL = {name: label_id for name, label_id, _ in TRAIN_CLASSES} | {"ego vehicle": EGO_VEHICLE}
CURB, KERB_WIDTH = 0.05, 0.34  # half width of the road on the horizon; width of a sidewalk at the lower border
NIGHT_LIGHT = np.array([0.26, 0.28, 0.42], np.float32)

Ink = Array | Callable[[Array, Array], Array]


class Street:
    """B scenes and the canvas on which they are painted.

    Args:
        draws: random draws of the scenes; a scene has the same labels by day and by night.
        size: height and width in pixels.
        night: whether to paint the scenes by night.
    """

    def __init__(self, draws: Draws, size: int, *, night: bool) -> None:
        self.draws, self.night = draws, night
        count = len(draws.indices)
        zeros = np.zeros((count, 2), np.float32)
        self.canvas = Canvas(size, tilt=zeros[:, 0], center=zeros, scale=zeros[:, 0] + 1)
        self.horizon = column(draws.uniform("horizon", -0.2, 0.08))
        self.vanishing = column(draws.uniform("vanishing point", -0.3, 0.3))
        self.reach = {side: column(draws.uniform(f"road {side}", 0.55, 1.0)) for side in (-1, 1)}
        self.slope = {side: column(draws.uniform(f"slope {side}", 0.22, 0.42)) for side in (-1, 1)}
        tint = draws.uniform("daylight", 0.82, 1.05)[:, None] * np.array([1, 1, 1], np.float32)
        tint += draws.uniform("warmth", -0.05, 0.05)[:, None] * np.array([1, 0, -1], np.float32)
        self.light = tint * NIGHT_LIGHT if night else tint  # [B, 3]
        self.canvas.light = self.light[:, :, None, None]

    @contextmanager
    def among(self, where: Array) -> "Iterator[Street]":
        """Yield the scenes marked by ``where``, bool [B], as a Street; what is painted on it is copied back."""
        part = Street(self.draws.among(where), self.canvas.size, night=self.night)
        part.canvas.color, part.canvas.label = self.canvas.color[where], self.canvas.label[where]
        yield part
        self.canvas.color[where], self.canvas.label[where] = part.canvas.color, part.canvas.label

    def paint(self, shape: Shape, ink: Ink, name: str | None, box: Box = EVERYWHERE) -> None:
        """Paint one shape; see ``Canvas.paint``.

        Args:
            shape: distance to the edge of the shape.
            ink: color, or a function from (u, v) to it.
            name: class of the shape; None leaves the classes unchanged.
            box: bounds of the shape.
        """
        self.canvas.paint(shape, ink, label=None if name is None else LABEL[name], box=box)

    def paint_oval(self, at: Array, v: Array, ru: Array, rv: Array, ink: Ink, name: str) -> None:
        """Paint an ellipse; positions and radii are [B, 1, 1].

        Args:
            at: center in u.
            v: center in v.
            ru: radius in u.
            rv: radius in v.
            ink: color, or a function from (u, v) to it.
            name: class of the shape.
        """
        self.paint(partial(ellipse, cu=at, cv=v, ru=ru, rv=rv), ink, name, box_around(at, v, ru, rv))

    def paint_slab(self, at: Array, v: Array, hu: Array, hv: Array, ink: Ink, name: str) -> None:
        """Paint a rectangle; positions and half sizes are [B, 1, 1].

        Args:
            at: center in u.
            v: center in v.
            hu: half size in u.
            hv: half size in v.
            ink: color, or a function from (u, v) to it.
            name: class of the shape.
        """
        self.paint(partial(rounded_box, cu=at, cv=v, hu=hu, hv=hv, r=0.01), ink, name, box_around(at, v, hu, hv))

    def shine(
        self, at: Array, v: Array, ru: Array, rv: Array, color: tuple[float, float, float], *,
        softness: float, opacity: float,
    ) -> None:  # fmt: skip
        """Paint an oval light without a class, as bright by night as by day.

        Args:
            at: center in u.
            v: center in v.
            ru: radius in u.
            rv: radius in v.
            color: RGB, 0 to 1.
            softness: width of the edge.
            opacity: 0 to 1.
        """
        ink = np.array(color, np.float32) / self.light
        self.canvas.paint(
            partial(ellipse, cu=at, cv=v, ru=ru, rv=rv), ink, softness=softness, opacity=opacity,
            box=box_around(at, v, ru + softness, rv + softness),
        )  # fmt: skip

    def ground(self, nearness: Array) -> Array:
        """Return the height v of the ground at a nearness."""
        return self.horizon + (1 - self.horizon) * nearness

    def nearness(self, v: Array) -> Array:
        """Return the nearness of the ground at height v."""
        return (v - self.horizon) / (1 - self.horizon)

    def curb(self, side: int, nearness: Array, beyond: float = 0.0) -> Array:
        """Return u of the edge of the road, or of the far edge of the sidewalk for ``beyond`` 1."""
        return self.vanishing + side * (CURB + beyond * CURB + (self.reach[side] + beyond * KERB_WIDTH) * nearness)

    def between_curbs(self, u: Array, v: Array, beyond: float = 0.0) -> Array:
        """Return the distance to the road, including the sidewalks for ``beyond`` 1."""
        near = self.nearness(v)
        sides = np.maximum(self.curb(-1, near, beyond) - u, u - self.curb(1, near, beyond))
        return np.maximum(self.horizon - v, 0.8 * sides)

    def outward(self, side: int, u: Array) -> Array:
        """Return how far u lies from the vanishing point toward a side."""
        return side * (u - self.vanishing)

    def base(self, u: Array) -> Array:
        """Return v at the foot of the buildings."""
        left, right = (self.slope[side] * np.maximum(self.outward(side, u), 0) for side in (-1, 1))
        return self.horizon + left + right

    def colors(self, name: str, palette: Array, jitter: float = 0.06) -> Array:
        """Return [B, 3]: for each scene one of the colors [K, 3], with a small variation."""
        chosen = palette[self.draws.choose(name, np.ones(len(palette)))]
        return np.clip(chosen + self.draws.uniform(f"{name} off", -jitter, jitter, count=3), 0, 1)

    def plain(self, color: Array) -> Array:
        """Return [B, 3]: the color [1, 3] for every scene."""
        return np.broadcast_to(color, self.light.shape)

    def where(self, name: str, probability: float) -> Array:
        """Return bool [B], true with ``probability``: the scenes that have the item ``name``."""
        return self.draws.chance(name, probability)

    def place(self, name: str, low: float, high: float) -> Array:
        """Return a random [B, 1, 1] in [low, high)."""
        return column(self.draws.uniform(name, low, high))


def box_around(at: Array, v: Array, hu: Array, hv: Array) -> Box:
    """Return the smallest box that contains a shape in every scene.

    Args:
        at: center in u.
        v: center in v.
        hu: half size in u.
        hv: half size in v.
    """
    if not len(at):
        return EVERYWHERE
    return float((at - hu).min()), float((at + hu).max()), float((v - hv).min()), float((v + hv).max())
