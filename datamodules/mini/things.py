"""The outlines of ten things as distances to their edges, each about 1.7 wide around (0, 0); see ``drawing``."""

import numpy as np

from datamodules.mini.drawing import Array, Shape, ellipse, rounded_box


def ball(u: Array, v: Array) -> Array:
    """Return the distance to a disc."""
    return np.hypot(u, v) - 0.82


def box(u: Array, v: Array) -> Array:
    """Return the distance to a square with soft corners."""
    return rounded_box(u, v, 0, 0, 0.72, 0.72, 0.1)


def cone(u: Array, v: Array) -> Array:
    """Return the distance to a triangle that stands on its base."""
    side = (1.55 * np.abs(u) - 0.85 * (v + 0.88)) / np.hypot(1.55, 0.85)
    return np.maximum(side, v - 0.67)


def ring(u: Array, v: Array) -> Array:
    """Return the distance to a thick circle."""
    return np.abs(np.hypot(u, v) - 0.62) - 0.21


def star(u: Array, v: Array) -> Array:
    """Return the distance to a five-pointed star with one point up."""
    outer, inner, half = 0.98, 0.42, np.pi / 5  # radii of tips and notches, angle between them
    angle = np.abs((np.arctan2(u, -v) + half) % (2 * half) - half)  # from the nearest tip
    radius = np.hypot(u, v)
    across, along = inner * np.sin(half), outer - inner * np.cos(half)  # normal of the edge from tip to notch
    return (across * (radius * np.cos(angle) - outer) + along * radius * np.sin(angle)) / np.hypot(across, along)


def cross(u: Array, v: Array) -> Array:
    """Return the distance to a plus sign."""
    arms = (rounded_box(u, v, 0, 0, 0.84, 0.27, 0.05), rounded_box(u, v, 0, 0, 0.27, 0.84, 0.05))
    return np.minimum(*arms)


def moon(u: Array, v: Array) -> Array:
    """Return the distance to a crescent."""
    return np.maximum(np.hypot(u + 0.1, v) - 0.85, 0.72 - np.hypot(u - 0.36, v + 0.08))


def heart(u: Array, v: Array) -> Array:
    """Return the distance to a heart: two discs above a triangle."""
    discs = np.hypot(np.abs(u) - 0.38, v + 0.28) - 0.47
    point = np.maximum(0.76 * np.abs(u) + 0.65 * (v - 0.86), -0.05 - v)
    return np.minimum(discs, point)


def fish(u: Array, v: Array) -> Array:
    """Return the distance to a body with a tail."""
    tail = np.maximum(u - 0.92, 0.8 * (np.abs(v) - 0.85 * (u - 0.22)))
    return np.minimum(ellipse(u, v, -0.2, 0, 0.7, 0.42), tail)


def mushroom(u: Array, v: Array) -> Array:
    """Return the distance to a cap on a stem."""
    cap = np.maximum(ellipse(u, v, 0, -0.02, 0.86, 0.78), v - 0.02)
    return np.minimum(cap, rounded_box(u, v, 0, 0.36, 0.24, 0.46, 0.08))


THINGS: dict[str, Shape] = {
    "ball": ball,
    "box": box,
    "cone": cone,
    "ring": ring,
    "star": star,
    "cross": cross,
    "moon": moon,
    "heart": heart,
    "fish": fish,
    "mushroom": mushroom,
}  # in the order of the labels
