"""The moving parts of a street: cars, trucks, buses, people, a cyclist; and the hood of the car with the camera."""

import numpy as np

from datamodules.mini.drawing import Array, ellipse, rounded_box
from datamodules.mini.street import Street, box_around

PAINTS = np.array(
    [[0.75, 0.75, 0.76], [0.12, 0.12, 0.14], [0.62, 0.12, 0.12], [0.14, 0.24, 0.50], [0.92, 0.92, 0.90],
     [0.36, 0.40, 0.42]],
    np.float32,
)  # fmt: skip
BUS_PAINT = np.array([[0.88, 0.72, 0.20]], np.float32)
CLOTHES = np.array([[0.16, 0.18, 0.26], [0.55, 0.18, 0.18], [0.78, 0.74, 0.66], [0.24, 0.36, 0.30]], np.float32)
SKIN = np.array([[0.80, 0.62, 0.50], [0.50, 0.36, 0.28]], np.float32)
TIRE, GLASS, FRAME = (np.full((1, 3), value, np.float32) for value in (0.07, 0.26, 0.17))
KINDS = (("car", 0.0, 0.78, 1.35), ("truck", 0.78, 0.89, 2.1), ("bus", 0.89, 1.0, 2.4))
# vehicles: class, share from and to, height as a multiple of half the width


def paint_traffic(street: Street) -> None:
    """Paint vehicles, then people."""
    with street.among(street.where("ahead", 0.5)) as part:
        _paint_vehicle(part, "ahead", 0.14, 0.34, 0.0)
    for side in (-1, 1):
        with street.among(street.where(f"parked {side}", 0.6)) as part:
            _paint_vehicle(part, f"parked {side}", 0.22, 0.62, 0.72 * side)
    with street.among(street.where("cyclist", 0.18)) as part:
        _paint_cyclist(part)
    for side in (-1, 1):
        for i in range(2):
            name = f"person {side} {i}"
            with street.among(street.where(name, 0.35)) as part:
                near = part.place(f"{name} nearness", 0.28, 0.85)
                at = part.curb(side, near, 0.6) + side * part.place(f"{name} step", -0.04, 0.04)
                _paint_figure(part, name, "person", at, part.ground(near), 0.12 + 0.62 * near)


def _paint_vehicle(street: Street, name: str, farthest: float, nearest: float, offset: float) -> None:
    """Paint a vehicle from behind; ``offset`` -1 is the left edge of the road, 1 the right one."""
    near = street.place(f"{name} nearness", farthest, nearest)
    side = 1 if offset > 0 else -1
    middle = street.vanishing + abs(offset) * (street.curb(side, near) - street.vanishing)
    foot, half = street.ground(near), 0.05 + 0.26 * near  # half the width
    kind = street.draws.uniform(f"{name} kind")
    for label, low, high, tall in KINDS:
        where = (kind >= low) & (kind < high)
        with street.among(where) as part:
            paint = part.plain(BUS_PAINT) if label == "bus" else part.colors(f"{name} paint", PAINTS)
            _paint_body(part, label, middle[where], foot[where], half[where], tall * half[where], paint)


def _paint_body(street: Street, label: str, middle: Array, foot: Array, half: Array, tall: Array, paint: Array) -> None:
    for way in (-1, 1):
        at = middle + way * 0.72 * half
        street.paint_slab(at, foot - 0.12 * half, 0.2 * half, 0.16 * half, street.plain(TIRE), label)

    def outline(u: Array, v: Array) -> Array:
        narrow = (0.78 if label == "car" else 0.98) * half
        lower = rounded_box(u, v, middle, foot - 0.5 * half, half, 0.38 * half, 0.02)
        upper = rounded_box(u, v, middle, foot - 0.5 * (tall + 0.3 * half), narrow, 0.5 * (tall - 0.3 * half), 0.03)
        return np.minimum(lower, upper)

    def ink(u: Array, v: Array) -> Array:  # darker below
        return paint[:, :, None, None] * np.clip(0.7 + 0.3 * (foot - v) / half, 0.6, 1.1)[:, None]

    street.paint(outline, ink, label, box_around(middle, foot - tall / 2, half, tall / 2))
    street.paint_slab(middle, foot - 0.8 * tall, 0.66 * half, 0.14 * tall, street.plain(GLASS), label)
    softness, opacity = (0.12, 0.9) if street.night else (0.02, 0.6)
    for way in (-1, 1):
        at, height = middle + way * 0.78 * half, foot - 0.6 * half
        street.shine(at, height, 0.16 * half, 0.12 * half, (0.95, 0.16, 0.12), softness=softness, opacity=opacity)


def _paint_figure(street: Street, name: str, label: str, at: Array, foot: Array, tall: Array) -> None:
    """Paint the legs, torso and head of a person of height ``tall`` who stands at ``foot``."""
    trousers, coat = street.colors(f"{name} trousers", CLOTHES) * 0.7, street.colors(f"{name} coat", CLOTHES)
    street.paint_slab(at, foot - 0.24 * tall, 0.10 * tall, 0.24 * tall, trousers, label)
    street.paint_oval(at, foot - 0.62 * tall, 0.16 * tall, 0.25 * tall, coat, label)
    street.paint_oval(at, foot - 0.91 * tall, 0.09 * tall, 0.10 * tall, street.colors(name, SKIN), label)


def _paint_cyclist(street: Street) -> None:
    near = street.place("cyclist nearness", 0.35, 0.7)
    at = street.vanishing + 0.45 * (street.curb(1, near) - street.vanishing)
    foot, tall = street.ground(near), 0.15 + 0.6 * near
    wheel = 0.2 * tall

    def bicycle(u: Array, v: Array) -> Array:
        rims = (np.abs(ellipse(u, v, at + way * 0.22 * tall, foot - wheel, wheel, wheel)) - 0.035 for way in (-1, 1))
        bar = rounded_box(u, v, at, foot - 1.5 * wheel, 0.22 * tall, 0.04 + 0 * tall, 0.01)
        return np.minimum(np.minimum(*rims), bar)

    street.paint(bicycle, street.plain(FRAME), "bicycle", box_around(at, foot - wheel, 0.45 * tall, 0.25 * tall))
    _paint_figure(street, "rider", "rider", at, foot - 0.15 * tall, 0.85 * tall)


def paint_bonnet(street: Street) -> None:
    """Paint the hood of the camera's own car, which is void, and by night its headlights on the road."""
    if street.night:
        one = np.ones_like(street.vanishing)
        street.shine(0 * one, 0.75 * one, 0.7 * one, 0.35 * one, (0.75, 0.72, 0.6), softness=0.5, opacity=0.35)
    level, color = street.place("bonnet", 0.84, 0.94), street.colors("bonnet colour", PAINTS[:4]) * 0.5
    street.paint(lambda u, v: level + 0.12 * u * u - v, color, "ego vehicle", (-9, 9, 0.8, 9))
