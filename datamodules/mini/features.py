"""Nose, mouth and eyes of a face."""

import numpy as np

from datamodules.mini.drawing import Array, arc, between, column, ellipse
from datamodules.mini.face import LABEL, Face

IRIS_RGB = np.array([[0.25, 0.15, 0.08], [0.35, 0.24, 0.12], [0.25, 0.42, 0.58], [0.30, 0.45, 0.28]], np.float32)


def paint_nose(face: Face) -> None:
    """Paint the nose: a ridge that widens, its shadow, and a highlight."""
    canvas, length = face.canvas, column(face.people.draws.uniform("nose", 0.17, 0.23))
    area = (-0.35, 0.35, -0.2, 0.32)

    def outline(u: Array, v: Array) -> Array:
        down = np.clip((v + 0.05) / (length + 0.05), 0, 1)
        return np.maximum(np.abs(u - 1.3 * face.yaw) - (0.035 + 0.055 * down**2), np.maximum(-0.06 - v, v - length))

    canvas.paint(outline, face.skin * 0.94, label=LABEL["nose"], box=area, opacity=0.7)
    canvas.paint(
        lambda u, v: arc(u, v, 1.3 * face.yaw, length, 0.085, -0.02, 0.022), face.shadow * 0.85, box=area, opacity=0.75
    )
    canvas.paint(
        lambda u, v: ellipse(u, v, 1.3 * face.yaw, length - 0.06, 0.03, 0.04),
        np.clip(face.skin * 1.15, 0, 1), box=area, opacity=0.6, softness=0.06,
    )  # fmt: skip


def paint_mouth(face: Face) -> None:
    """Paint two lips around a gap (or a line), with teeth if it is open."""
    people, canvas, draws = face.people, face.canvas, face.people.draws
    half = column(draws.uniform("mouth", 0.15, 0.18) + 0.05 * people.smile)
    curve, gap = column(0.075 * people.smile - 0.012), column(people.mouth_open * draws.uniform("gap", 0.06, 0.10))
    plump = column(np.where(people.male, 0.032, 0.042))
    natural = face.skin * np.array([0.86, 0.60, 0.58], np.float32)
    red = draws.uniform("lip shade", 0.75, 1)[:, None] * np.array([[0.78, 0.16, 0.22]], np.float32)
    lips = np.where(people.lipstick[:, None], red, natural).astype(np.float32)
    area = (-0.45, 0.45, 0.2, 0.56)

    def region(top: float, bottom: float, above: float, below: float, u: Array, v: Array) -> Array:
        x = (u - face.yaw) / half
        belly = np.maximum(1 - x * x, 0)
        line = 0.37 - curve * (x * x - 0.3)
        edges = line + (top * gap - above * plump) * belly, line + (bottom * gap + below * plump) * belly
        return np.maximum(between(v, *edges), (np.abs(x) - 1) * half)

    canvas.paint(lambda u, v: region(-0.3, -0.3, 1.3, 0, u, v), lips * 0.9, label=LABEL["u_lip"], box=area)
    canvas.paint(lambda u, v: region(0.7, 0.7, 0, 1.6, u, v), lips, label=LABEL["l_lip"], box=area)
    closed = ~people.mouth_open
    canvas.paint(lambda u, v: region(0, 0, 0.25, 0.25, u, v), lips * 0.5, box=area, where=closed, opacity=0.8)
    dark = np.tile(np.array([[0.25, 0.07, 0.08]], np.float32), (len(lips), 1))
    teeth = np.tile(np.array([[0.96, 0.94, 0.91]], np.float32), (len(lips), 1))
    opened = people.mouth_open
    canvas.paint(lambda u, v: region(-0.3, 0.7, 0, 0, u, v), dark, label=LABEL["mouth"], box=area, where=opened)
    canvas.paint(lambda u, v: region(-0.3, 0.45, 0, 0, u, v), teeth, box=area, where=opened)


def paint_eye(face: Face, side: int) -> None:
    """Paint the eye and the brow on one side of the image: -1 left, 1 right."""
    people, canvas, draws = face.people, face.canvas, face.people.draws
    eye, brow = ("l_eye", "l_brow") if side > 0 else ("r_eye", "r_brow")
    at = face.yaw * 1.1 + side * face.eye_gap
    tall = column(draws.uniform("eye", 0.052, 0.068) - 0.008 * people.smile)
    look = at + column(draws.uniform("gaze", -0.02, 0.02))
    area = (side * 0.2 - 0.33, side * 0.2 + 0.33, -0.34, 0.12)
    count = len(people.age)
    white = np.tile(np.array([[0.95, 0.94, 0.92]], np.float32), (count, 1))
    black = np.full((count, 3), 0.06, np.float32)
    iris = IRIS_RGB[np.where(people.skin >= 2, 0, draws.choose("iris", np.ones(len(IRIS_RGB))))]
    opening = lambda u, v: ellipse(u, v, at, -0.06, 0.105, tall)  # noqa: E731
    canvas.paint(lambda u, v: ellipse(u, v, at, -0.07, 0.13, 0.09), face.shadow, box=area, opacity=0.35, softness=0.06)
    canvas.paint(opening, white, label=LABEL[eye], box=area)
    canvas.paint(lambda u, v: np.maximum(ellipse(u, v, look, -0.06, 0.054, 0.054), opening(u, v)), iris, box=area)
    canvas.paint(lambda u, v: ellipse(u, v, look, -0.06, 0.025, 0.027), black, box=area)
    canvas.paint(lambda u, v: ellipse(u, v, look + 0.018, -0.078, 0.012, 0.012), white, box=area, opacity=0.9)
    lid = np.where(people.male, 0.012, 0.02)
    canvas.paint(
        lambda u, v: arc(u, v, at, -0.062 - tall, 0.108, 0.05, column(lid)), face.shadow * 0.35, box=area, opacity=0.85
    )
    thick, lift = column(np.where(people.male, 0.03, 0.02)), column(draws.uniform("brow", -0.025, 0.02))
    hairs = np.minimum(face.hair, 0.6) * 0.6
    canvas.paint(
        lambda u, v: arc(u, v, at + side * 0.01, -0.205 + lift, 0.125, 0.035, thick),
        hairs, label=LABEL[brow], box=area, opacity=0.9,
    )  # fmt: skip
