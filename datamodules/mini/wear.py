"""Accessories of a face: glasses, earrings, a hat."""

from functools import partial

import numpy as np

from datamodules.mini.drawing import Array, arc, between, column, ellipse, rounded_box
from datamodules.mini.face import CLOTH_RGB, LABEL, Face

EYES_AND_BROWS = tuple(LABEL[name] for name in ("l_eye", "r_eye", "l_brow", "r_brow"))


def paint_glasses(face: Face) -> None:
    """Paint frames and lenses; class eye_g covers both, except where eyes and brows are visible."""
    people, canvas, draws = face.people, face.canvas, face.people.draws
    square = column(draws.chance("square glasses", 0.5))
    frames = np.array([[0.08, 0.08, 0.1], [0.35, 0.2, 0.1], [0.5, 0.5, 0.55]], np.float32)
    frame = frames[draws.choose("frame", np.array([3, 1.5, 1]))]
    for side in (-1, 1):
        _paint_lens(face, side, frame, square)
    canvas.paint(
        lambda u, v: arc(u, v, face.yaw * 1.1, -0.075, 0.06, 0.02, 0.022), frame,
        label=LABEL["eye_g"], where=people.glasses, box=(-0.3, 0.3, -0.15, 0.05),
    )  # fmt: skip


def _paint_lens(face: Face, side: int, frame: Array, square: Array) -> None:
    """Paint one lens with its rim and its arm; ``frame`` [B, 3] is the color, ``square`` [B, 1, 1] the shape."""
    at = face.yaw * 1.1 + side * face.eye_gap
    thick = column(face.people.draws.uniform("frame width", 0.016, 0.024))
    pale = np.tile(np.array([[0.9, 0.95, 1.0]], np.float32), (len(frame), 1))

    def lens(u: Array, v: Array) -> Array:
        rectangle = rounded_box(u, v, at, -0.045, 0.15, 0.105, 0.05)
        return np.where(square > 0, rectangle, ellipse(u, v, at, -0.045, 0.145, 0.13))

    def arm(u: Array, v: Array) -> Array:
        inner, outer = 0.145 + face.eye_gap - (u - 1.1 * face.yaw) * side, u * side - face.width
        return np.maximum(np.abs(v + 0.07) - 0.016, np.maximum(inner, outer))

    paint = partial(
        face.canvas.paint,
        box=(side * 0.4 - 0.45, side * 0.4 + 0.45, -0.22, 0.14), where=face.people.glasses, keep=EYES_AND_BROWS,
    )  # fmt: skip
    paint(lens, pale, opacity=0.13, label=LABEL["eye_g"])
    paint(lambda u, v: np.abs(lens(u, v)) - thick, frame, label=LABEL["eye_g"])
    paint(arm, frame)


def paint_earrings(face: Face) -> None:
    """Paint an earring below each ear."""
    gold = np.tile(np.array([[0.95, 0.80, 0.38]], np.float32), (len(face.hair), 1))
    for side in (-1, 1):
        at = side * (face.width + 0.02) - 0.4 * face.yaw
        face.canvas.paint(
            partial(ellipse, cu=at, cv=0.25, ru=0.042, rv=0.065),
            gold, label=LABEL["ear_r"], where=face.people.earrings, box=(side * 0.5 - 0.2, side * 0.5 + 0.2, 0.1, 0.4),
        )  # fmt: skip


def paint_hat(face: Face) -> None:
    """Paint a beanie or a cap over the upper hair."""
    people, canvas, draws = face.people, face.canvas, face.people.draws
    color = CLOTH_RGB[draws.choose("hat colour", np.ones(len(CLOTH_RGB)))] * 0.95
    cap = draws.chance("cap", 0.5)

    def ribs(u: Array, v: Array) -> Array:
        return (
            color[:, :, None, None] * (1 + 0.05 * np.sin(u * 42) + 0.12 * np.exp(-(((v + 0.7) / 0.15) ** 2)))[:, None]
        )

    def dome(u: Array, v: Array) -> Array:
        top = ellipse(u, v, 0, face.brim, face.width + 0.10 + face.volume, 0.50)
        return np.maximum(top, v - face.brim + 0.06 * u * u)

    def band(u: Array, v: Array) -> Array:
        edge = face.brim - 0.06 * u * u
        return np.maximum(between(v, edge - 0.10, edge + 0.02), np.abs(u) - face.width - 0.11 - face.volume)

    side = column(np.where(draws.chance("peak side", 0.5), 0.12, -0.12))
    area = (-0.75, 0.75, -1.0, -0.2)
    canvas.paint(dome, ribs, label=LABEL["hat"], box=area, where=people.hat)
    canvas.paint(band, color * 0.78, label=LABEL["hat"], box=area, where=people.hat & ~cap)
    canvas.paint(
        lambda u, v: ellipse(u, v, side, face.brim, face.width + 0.08, 0.075),
        color * 0.7, label=LABEL["hat"], box=area, where=people.hat & cap,
    )  # fmt: skip
