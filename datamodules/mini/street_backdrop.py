"""The static parts of a street: sky, buildings, ground, road, walls, trees, poles."""

from functools import partial

import numpy as np

from datamodules.mini.drawing import Array, Box, column, ellipse, rounded_box
from datamodules.mini.street import Street, box_around

FACADES = np.array(
    [[0.62, 0.50, 0.42], [0.55, 0.55, 0.56], [0.70, 0.62, 0.50], [0.48, 0.36, 0.32], [0.40, 0.44, 0.48]], np.float32
)
LEAVES = np.array([[0.20, 0.36, 0.14], [0.28, 0.42, 0.18], [0.16, 0.30, 0.16]], np.float32)
BARK = np.array([[0.26, 0.20, 0.15]], np.float32)
STEEL = np.array([[0.45, 0.46, 0.47]], np.float32)
WINDOW = np.array([0.30, 0.35, 0.42], np.float32)
LIT_WINDOW = np.array([1.0, 0.82, 0.45], np.float32)
BELOW_HORIZON: Box = (-9, 9, -0.2, 9)  # in every scene


def paint_sky(street: Street) -> None:
    """Fill the canvas with the sky, paler toward the horizon."""
    high = street.colors("sky", np.array([[0.42, 0.62, 0.90], [0.66, 0.74, 0.82], [0.52, 0.66, 0.86]], np.float32))
    low = 0.45 * high + 0.55

    def sky(u: Array, v: Array) -> Array:
        share = np.clip((v + 1) / (street.horizon + 1), 0, 1)[:, None]
        return high[:, :, None, None] * (1 - share) + low[:, :, None, None] * share

    street.paint(lambda u, v: np.full_like(u, -1), sky, "sky")


def paint_buildings(street: Street) -> None:
    """Paint three buildings, far to near, on each side that has them, and trees along the horizon."""
    far = street.colors("far trees", LEAVES)
    crest = street.place("far height", 0.05, 0.16)
    street.paint(lambda u, v: street.horizon - crest * (1 + 0.3 * np.sin(9 * u)) - v, far, "vegetation")
    for side in (-1, 1):
        with street.among(street.where(f"built {side}", 0.85)) as built:
            for i, (edge, height) in enumerate(((0.10, 0.28), (0.34, 0.50), (0.66, 0.80))):
                _paint_building(built, side, f"building {side} {i}", edge, height)


def _paint_building(street: Street, side: int, name: str, edge: float, height: float) -> None:
    """Paint one building from its inner ``edge`` outward; nearer buildings cover the rest."""
    inner = edge + street.place(f"{name} edge", -0.05, 0.08)
    tall = height * street.place(f"{name} height", 0.7, 1.35)
    facade = street.colors(name, FACADES)
    cell = street.place(f"{name} cell", 0.13, 0.24) * (0.6 + edge)
    phase = np.floor(street.place(f"{name} phase", 0, 5))
    lit = LIT_WINDOW / street.light if street.night else np.broadcast_to(WINDOW, street.light.shape)

    def outline(u: Array, v: Array) -> Array:
        away = street.outward(side, u)
        return np.maximum(inner - away, street.horizon - tall - 0.25 * (away - inner) - v)

    def wall(u: Array, v: Array) -> Array:
        across, story = (street.outward(side, u) - inner) / cell, (v - street.horizon) / cell
        glass = ((across % 1) > 0.4) & ((story % 1) > 0.4) & (story < 0)
        bright = (np.floor(across) * 2 + np.floor(story) * 3 + phase) % 5 < 2
        pane = np.where(bright[:, None], lit[:, :, None, None], WINDOW[None, :, None, None])
        return np.where(glass[:, None], pane, facade[:, :, None, None])

    far = np.full_like(inner, 2)
    box = box_around(street.vanishing + side * (inner + far), 0 * inner, far, far)
    street.paint(outline, wall, "building", box)


def paint_ground(street: Street) -> None:
    """Paint the ground before the buildings, sidewalks, the road with its marks, and a wall or fence on some sides."""
    stone = street.colors("stone", np.array([[0.58, 0.54, 0.52], [0.66, 0.60, 0.56]], np.float32))
    tar = street.colors("tar", np.array([[0.34, 0.34, 0.36], [0.42, 0.41, 0.41]], np.float32))
    street.paint(lambda u, v: street.base(u) - v, stone, "sidewalk", BELOW_HORIZON)
    with street.among(street.where("grass", 0.45)) as green:
        grass = green.colors("grass", np.array([[0.36, 0.48, 0.20], [0.46, 0.50, 0.26]], np.float32))
        green.paint(lambda u, v: green.base(u) - v, grass, "terrain", BELOW_HORIZON)
    for side in (-1, 1):
        _paint_barrier(street, side)
    street.paint(partial(street.between_curbs, beyond=1.0), stone, "sidewalk", BELOW_HORIZON)

    def road(u: Array, v: Array) -> Array:
        return tar[:, :, None, None] * (0.9 + 0.2 * np.clip(street.nearness(v), 0, 1))[:, None]

    street.paint(street.between_curbs, road, "road", BELOW_HORIZON)
    offset, dashes = street.place("lane", -0.25, 0.25), street.place("dashes", 0, 1)

    def marks(u: Array, v: Array) -> Array:
        near = np.clip(street.nearness(v), 0, 1)
        across = np.abs(u - street.vanishing - offset * near) - 0.04 * near
        gap = 0.3 - ((3 / (near + 0.25) + dashes) % 1)  # dashes shorten with distance
        return np.maximum(across, np.maximum(gap * 0.2, street.horizon + 0.03 - v))

    street.paint(marks, np.full((len(tar), 3), 0.9, np.float32), None, (-0.7, 0.7, -0.2, 9))


def _paint_barrier(street: Street, side: int) -> None:
    """Paint a wall or a fence along the foot of the buildings."""
    kind = street.draws.uniform(f"barrier kind {side}")
    brick = np.array([[0.52, 0.40, 0.36], [0.60, 0.58, 0.54]], np.float32)
    rust = np.array([[0.40, 0.34, 0.28], [0.30, 0.34, 0.32]], np.float32)
    for name, palette, stripes, where in (("wall", brick, 0.0, kind < 0.15), ("fence", rust, 0.35, kind > 0.85)):
        with street.among(where) as part:
            bars = part.colors(f"{name} {side}", palette)

            def ink(u: Array, v: Array, bars: Array = bars, stripes: float = stripes) -> Array:
                return bars[:, :, None, None] * (1 + stripes * np.sign(np.sin(40 * u)))[:, None]

            part.paint(partial(_barrier, part, side, part.place(f"barrier {side}", 0.14, 0.26)), ink, name)


def _barrier(street: Street, side: int, tall: Array, u: Array, v: Array) -> Array:
    """Return the distance to a barrier that grows toward the viewer."""
    away = street.outward(side, u)
    return np.maximum(np.maximum(street.base(u) - tall * away - v, v - street.base(u) - 0.06 * away), 0.1 - away)


def paint_trees(street: Street) -> None:
    """Paint up to two trees on each side."""
    for side in (-1, 1):
        for i, (low, high) in enumerate(((0.2, 0.35), (0.45, 0.7))):
            name = f"tree {side} {i}"
            with street.among(street.where(name, 0.4)) as part:
                _paint_tree(part, side, name, low, high)


def _paint_tree(street: Street, side: int, name: str, low: float, high: float) -> None:
    near = street.place(f"{name} nearness", low, high)
    at, foot = street.curb(side, near, 1.3), street.ground(near)
    size = (0.25 + 0.5 * near) * street.place(f"{name} size", 0.8, 1.2)
    top, leaves = foot - 1.6 * size, street.colors(f"{name} leaves", LEAVES)

    def crown(u: Array, v: Array) -> Array:  # lighter above, ruffled
        ruffle = np.sin(23 * (u - at)) * np.sin(19 * (v - top))
        return leaves[:, :, None, None] * (1 - 0.7 * np.clip(v - top, -0.3, 0.3) + 0.18 * ruffle)[:, None]

    street.paint_slab(at, foot - 0.7 * size, 0.03 + 0.06 * size, 0.7 * size, street.plain(BARK), "vegetation")
    street.paint_oval(at, top, 0.7 * size, 0.8 * size, crown, "vegetation")


def paint_poles(street: Street) -> None:
    """Paint a pole on some sides, with a traffic sign, a traffic light or a lamp that shines by night."""
    for side in (-1, 1):
        with street.among(street.where(f"pole {side}", 0.6)) as part:
            near = part.place(f"pole nearness {side}", 0.3, 0.8)
            tall = 0.45 + 0.55 * near
            at, middle = part.curb(side, near, 0.35), part.ground(near) - tall / 2
            part.paint_slab(at, middle, 0.028 + 0.012 * near, tall / 2, part.plain(STEEL), "pole")
            kind = part.draws.uniform(f"pole kind {side}")
            for paint_head, where in ((_paint_sign, kind < 0.45), (_paint_lights, kind > 0.7)):
                with part.among(where) as some:
                    paint_head(some, side, at[where], (middle - tall / 2)[where], near[where])
            lamp = (kind >= 0.45) & (kind <= 0.7)
            if street.night:
                with part.among(lamp) as some:
                    wide = np.full_like(at[lamp], 0.14)
                    top = (middle - tall / 2)[lamp]
                    some.shine(at[lamp], top, wide, wide, (1.0, 0.86, 0.6), softness=0.22, opacity=0.95)


def _paint_sign(street: Street, side: int, at: Array, top: Array, near: Array) -> None:
    palette = np.array([[0.86, 0.14, 0.14], [0.15, 0.32, 0.80], [0.94, 0.78, 0.16]], np.float32)
    round_sign, size = column(street.where(f"round sign {side}", 0.5)), 0.09 + 0.07 * near

    def outline(u: Array, v: Array) -> Array:
        disc, plate = ellipse(u, v, at, top, size, size), rounded_box(u, v, at, top, 0.9 * size, 0.9 * size, 0.02)
        return np.where(round_sign > 0, disc, plate)

    street.paint(outline, street.colors(f"sign {side}", palette), "traffic sign", box_around(at, top, size, size))


def _paint_lights(street: Street, side: int, at: Array, top: Array, near: Array) -> None:
    size = 0.07 + 0.04 * near
    street.paint_slab(at, top, 0.8 * size, 1.6 * size, street.plain(np.full((1, 3), 0.1, np.float32)), "traffic light")
    red = street.where(f"red {side}", 0.5)
    for on, height, color in ((red, -0.7, (0.95, 0.2, 0.15)), (~red, 0.7, (0.2, 0.9, 0.4))):
        with street.among(on) as part:
            lamp, reach = (top + height * size)[on], 0.6 * size[on]
            part.shine(at[on], lamp, reach, reach, color, softness=0.05, opacity=1.0)
