"""Grounds of drawn scenes: a meadow, the sea, and others with a horizon, or the plain ground of single objects."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini.backdrops import hsv
from datamodules.mini.drawing import Array, Canvas, between, column, ellipse

Level: TypeAlias = float | np.ndarray
HORIZON = -0.15  # height of the horizon; -1 is the top of the image, 1 the bottom
COLORS = {
    "a meadow": ((0.56, 0.4, 0.95), (0.29, 0.7, 0.6)),
    "the sea": ((0.55, 0.12, 0.9), (0.57, 0.75, 0.6)),
    "a night sky": ((0.66, 0.7, 0.26), (0.68, 0.5, 0.1)),
    "a road": ((0.58, 0.2, 0.88), (0.1, 0.45, 0.55)),
    "a field of snow": ((0.6, 0.22, 0.66), (0.6, 0.04, 0.97)),
    "a desert": ((0.12, 0.35, 0.97), (0.08, 0.6, 0.85)),
}
"""Text -> hue, saturation and value of the sky and of the ground."""


def _color(draws: Draws, name: str, hue: Level, saturation: Level, value: Level) -> Array:
    """Return [B, 3]: a color that varies a little."""
    return hsv(
        (hue + draws.uniform(f"{name} hue", -0.02, 0.02)) % 1,
        np.clip(saturation + draws.uniform(f"{name} saturation", -0.08, 0.08), 0, 1),
        np.clip(value + draws.uniform(f"{name} value", -0.07, 0.07), 0, 1),
    )


def _horizon(draws: Draws) -> Array:
    return column(HORIZON + draws.uniform("horizon", -0.12, 0.12))


def _sky_and_ground(canvas: Canvas, draws: Draws, text: str) -> Array:
    """Fill the canvas with the sky and the ground of a scene, lighter near the horizon; return the horizon [B, 1, 1]."""
    sky, ground = (_color(draws, name, *hsv) for name, hsv in zip(("sky", "ground"), COLORS[text]))
    horizon = _horizon(draws)
    _fill(canvas, sky, ground, horizon, softness=0.06)
    return horizon


def _fill(canvas: Canvas, sky: Array, ground: Array, horizon: Array, *, softness: float) -> None:
    near = (0.75 + 0.25 * np.clip(1 - np.abs(canvas.v - horizon), 0, 1))[:, None]
    below = np.clip(0.5 + (canvas.v - horizon) / softness, 0, 1)[:, None]
    canvas.color[:] = (sky[:, :, None, None] * (1 - below) + ground[:, :, None, None] * below) * near


def _meadow(canvas: Canvas, draws: Draws) -> None:
    """Paint grass with flowers under a blue sky."""
    horizon = _sky_and_ground(canvas, draws, "a meadow")
    for i in range(7):
        cu, cv = (
            column(draws.uniform(f"flower {i} {way}", *limits)) for way, limits in (("u", (-1, 1)), ("v", (0.25, 1)))
        )
        flower = hsv(draws.uniform(f"flower {i} hue"), np.full(len(cu), 0.5), np.full(len(cu), 0.98))
        canvas.paint(partial(ellipse, cu=cu, cv=np.maximum(cv, horizon + 0.2), ru=0.05, rv=0.05), flower, softness=0.06)


def _sea(canvas: Canvas, draws: Draws) -> None:
    """Paint waves to the horizon."""
    horizon = _sky_and_ground(canvas, draws, "the sea")
    depth = np.clip(canvas.v - horizon, 0, None)
    waves = np.sin(22 * np.sqrt(depth) + 2 * np.sin(3 * canvas.u + column(draws.uniform("phase", 0, 6.28))))
    canvas.color += 0.16 * (np.clip(waves, 0, 1) * (depth > 0))[:, None]


def _night(canvas: Canvas, draws: Draws) -> None:
    """Paint stars in a dark sky above dark hills."""
    horizon = _sky_and_ground(canvas, draws, "a night sky")
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
    horizon = _sky_and_ground(canvas, draws, "a road")
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
    horizon = _sky_and_ground(canvas, draws, "a field of snow")
    peak = column(draws.uniform("peak", -0.6, 0.6))
    mountain = _color(draws, "mountain", 0.6, 0.1, 0.84)
    canvas.paint(lambda u, v: between(v, horizon - 0.62 + 0.9 * np.abs(u - peak), horizon), mountain)
    white = np.ones((len(horizon), 3), np.float32)
    for i in range(8):
        cu, cv = (column(draws.uniform(f"flake {i} {way}", -1, 1)) for way in ("u", "v"))
        canvas.paint(partial(ellipse, cu=cu, cv=cv, ru=0.03, rv=0.03), white, softness=0.05)


def _desert(canvas: Canvas, draws: Draws) -> None:
    """Paint dunes under a yellow sky with a sun."""
    horizon = _sky_and_ground(canvas, draws, "a desert")
    phase = column(draws.uniform("phase", 0, 6.28))
    dune = _color(draws, "dune", 0.07, 0.68, 0.68)
    canvas.paint(lambda u, v: horizon + 0.45 + 0.16 * np.sin(2.4 * u + phase) - v, dune)
    sun, height = column(draws.uniform("sun", -0.8, 0.8)), column(draws.uniform("height", -0.9, -0.6))
    canvas.paint(partial(ellipse, cu=sun, cv=height, ru=0.16, rv=0.16), _color(draws, "light", 0.14, 0.5, 1))


def paint_plain(canvas: Canvas, draws: Draws) -> None:
    """Fill the canvas with the colors of a sky and of a ground, of any two scenes, that run into each other."""
    colors = np.array(list(COLORS.values()))  # [6, 2, 3]
    sky, ground = (
        _color(draws, name, *colors[draws.choose(f"{name} of", np.ones(len(colors))), part].T)
        for part, name in enumerate(("sky", "ground"))
    )
    _fill(canvas, sky, ground, _horizon(draws), softness=0.8)


GROUNDS: dict[str, Callable[[Canvas, Draws], None]] = {
    "a meadow": _meadow,
    "the sea": _sea,
    "a night sky": _night,
    "a road": _road,
    "a field of snow": _snow,
    "a desert": _desert,
}
NAMES = tuple(GROUNDS)
"""Texts of the scenes, in the order of their labels."""
