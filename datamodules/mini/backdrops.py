"""Backgrounds of the faces: a smooth warm wall (domain A), or sky, ground, blurred lights and grain (domain B)."""

from functools import partial

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.mini.drawing import EVERYWHERE, Array, Canvas, column, ellipse
from datamodules.mini.people import People

NUM_LIGHTS = 4
GRAIN = 0.035  # fraction of full scale, in both directions


def hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """Return RGB [B, 3] in 0 to 1 for hue (1 = full circle), saturation and value, each [B]."""
    turn = np.abs((hue[:, None] * 6 + np.array([0, 4, 2], np.float32)) % 6 - 3) - 1
    return (value[:, None] * (1 - saturation[:, None] * (1 - np.clip(turn, 0, 1)))).astype(np.float32)


def paint_backdrop(canvas: Canvas, people: People) -> None:
    """Fill the canvas with the background of the people's domain."""
    if people.domain == "A":
        _wall(canvas, people.draws)
    else:
        _outdoors(canvas, people.draws)


def _wall(canvas: Canvas, draws: Draws) -> None:
    hue, saturation = draws.uniform("wall hue", 0.02, 0.12), draws.uniform("wall saturation", 0.08, 0.34)
    value = draws.uniform("wall value", 0.42, 0.85)
    near, far = hsv(hue, saturation, value), hsv(hue + 0.02, saturation + 0.06, value * 0.68)
    angle = draws.uniform("wall angle", 0, 6.28)
    slope = column(np.cos(angle)) * canvas.u + column(np.sin(angle)) * canvas.v
    distance = np.clip(0.35 * (canvas.u**2 + canvas.v**2) + 0.25 * slope, 0, 1)[:, None]
    canvas.color[:] = near[:, :, None, None] * (1 - distance) + far[:, :, None, None] * distance


def _outdoors(canvas: Canvas, draws: Draws) -> None:
    sky = hsv(
        draws.uniform("sky hue", 0.50, 0.62),
        draws.uniform("sky saturation", 0.12, 0.42),
        draws.uniform("sky", 0.62, 0.93),
    )
    ground = hsv(
        draws.uniform("ground hue", 0.27, 0.5),
        draws.uniform("ground saturation", 0.15, 0.42),
        draws.uniform("ground", 0.26, 0.5),
    )
    softness = column(draws.uniform("horizon softness", 0.06, 0.25))
    below = np.clip(0.5 + (canvas.v - column(draws.uniform("horizon", -0.25, 0.5))) / softness, 0, 1)[:, None]
    haze = 1 + 0.12 * np.clip(canvas.v, -1, 1)[:, None]
    canvas.color[:] = (sky[:, :, None, None] * (1 - below) + ground[:, :, None, None] * below) * haze
    for i in range(NUM_LIGHTS):
        cu, cv, radius = (
            column(draws.uniform(f"light {i} {what}", *limits))
            for what, limits in (("u", (-1, 1)), ("v", (-0.9, 0.6)), ("radius", (0.10, 0.28)))
        )
        color = hsv(
            draws.uniform(f"light {i} hue"), draws.uniform(f"light {i} saturation", 0.1, 0.45), np.full(len(cu), 0.85)
        )
        canvas.paint(
            partial(ellipse, cu=cu, cv=cv, ru=radius, rv=radius),
            color, box=EVERYWHERE, softness=0.08, opacity=draws.uniform(f"light {i} opacity", 0.15, 0.55),
        )  # fmt: skip


def add_grain(canvas: Canvas, people: People) -> None:
    """Add the camera noise of domain B."""
    if people.domain == "B":
        noise = people.draws.uniform("grain", -GRAIN, GRAIN, count=canvas.size**2)
        canvas.color += noise.reshape(-1, 1, canvas.size, canvas.size)
