"""Body, head and hair of a face, and the beard."""

from functools import partial

import numpy as np

from datamodules.mini import people as who
from datamodules.mini.drawing import Array, arc, column, ellipse, rounded_box
from datamodules.mini.face import LABEL, Face


def paint_hair_behind(face: Face) -> None:
    """Paint the hair that falls behind the neck."""
    long = face.people.style >= who.CHIN_LENGTH
    dark = lambda u, v: face.strands(u, v) * 0.78  # noqa: E731
    face.canvas.paint(face.mane, dark, label=LABEL["hair"], where=long, box=(-0.75, 0.75, -0.9, 1.45))


def paint_body(face: Face) -> None:
    """Paint the neck, the clothes, the long hair that falls over them, and the necklace."""
    canvas, draws = face.canvas, face.people.draws
    neck_width = column(np.where(face.people.male, 0.25, 0.19)) + 0.3 * (face.width - 0.45)

    def neck_color(u: Array, v: Array) -> Array:
        dark = np.clip(1.0 - (v - 0.50) / 0.3, 0, 1)[:, None]  # the chin's shadow
        return face.skin[:, :, None, None] * (1 - 0.55 * dark) + face.shadow[:, :, None, None] * 0.55 * dark

    canvas.paint(
        lambda u, v: rounded_box(u, v, 0, 0.80, neck_width, 0.5, 0.05),
        neck_color, label=LABEL["neck"], box=(-0.4, 0.4, 0.25, 1.35),
    )  # fmt: skip
    depth, pointed = column(draws.uniform("neckline", 0.06, 0.2)), column(draws.chance("pointed", 0.5))

    def cloth(u: Array, v: Array) -> Array:
        shoulders = ellipse(u, v, 0, 1.28, 0.98, 0.62)
        round_neck = ellipse(u, v, 0, 0.70, neck_width + 0.04, 0.12 + depth)
        opening = np.where(pointed > 0, (np.abs(u) * 1.3 + v - 0.86 - depth) * 0.6, round_neck)
        return np.maximum(shoulders, -opening)

    folds = lambda u, v: face.cloth[:, :, None, None] * (1.02 - 0.2 * np.abs(u) + 0.05 * np.sin(9 * u + 5 * v))[:, None]  # noqa: E731
    canvas.paint(cloth, folds, label=LABEL["cloth"], box=(-1.4, 1.4, 0.6, 2.2))
    canvas.paint(
        lambda u, v: np.maximum(face.mane(u, v), np.maximum(face.width - 0.06 - np.abs(u), np.abs(v - 0.7) - 0.4)),
        face.strands, label=LABEL["hair"], where=face.people.style == who.LONG, box=(-0.75, 0.75, 0.2, 1.35),
    )  # fmt: skip
    canvas.paint(
        lambda u, v: arc(u, v, 0, 0.84, neck_width + 0.02, -0.12, 0.022),
        np.tile(np.array([[0.93, 0.78, 0.35]], np.float32), (len(face.hair), 1)),
        label=LABEL["neck_l"], where=face.people.necklace, box=(-0.4, 0.4, 0.6, 0.95),
    )  # fmt: skip


def paint_ears_and_head(face: Face) -> None:
    """Paint the ears and the head, with blush, a darker rim, and wrinkles for old people."""
    canvas = face.canvas
    for side, name in ((-1, "r_ear"), (1, "l_ear")):
        at = side * (face.width + 0.015) - 0.4 * face.yaw
        canvas.paint(
            partial(ellipse, cu=at, cv=0.03, ru=0.075, rv=0.13),
            face.skin * np.array([0.95, 0.86, 0.83], np.float32),
            label=LABEL[name], keep=(LABEL["hair"],), where=face.people.style <= who.SHORT,
            box=(side * 0.5 - 0.17, side * 0.5 + 0.17, -0.15, 0.2),
        )  # fmt: skip

    def face_color(u: Array, v: Array) -> Array:
        rim = np.clip(1 + face.head(u, v) / 0.20, 0, 1) ** 2 * 0.30
        blush = np.exp(-(((np.abs(u - face.yaw) - 0.25) / 0.12) ** 2) - ((v - 0.17) / 0.1) ** 2)
        rosy = face.skin * np.array([1.0, 0.80, 0.78], np.float32)
        base = face.skin[:, :, None, None] + (face.shadow - face.skin)[:, :, None, None] * rim[:, None]
        return base + (rosy - face.skin)[:, :, None, None] * (0.5 * blush)[:, None]

    canvas.paint(face.head, face_color, label=LABEL["skin"], box=(-0.56, 0.56, -0.68, 0.64))
    for side in (-1, 1):  # wrinkles
        fold = partial(arc, cu=face.yaw + side * 0.24, cv=0.26, half=0.05, bend=0.09, thick=0.012)
        canvas.paint(
            fold, face.shadow, where=face.people.age > who.OLD_ABOVE, opacity=0.55,
            box=(side * 0.24 - 0.22, side * 0.24 + 0.22, 0.2, 0.4),
        )  # fmt: skip


def paint_beard(face: Face) -> None:
    """Paint stubble, a goatee or a full beard; the class is skin, as in CelebAMask-HQ."""
    people, canvas = face.people, face.canvas
    color = face.hair * 0.8 + face.skin * 0.1

    def full(u: Array, v: Array) -> Array:
        cheek = ellipse(u, v, face.yaw, 0.02, face.width * 0.83, 0.40)
        return np.maximum(np.maximum(face.head(u, v), -cheek), 0.02 - v)

    def around_mouth(u: Array, v: Array) -> Array:
        return np.maximum(ellipse(u, v, face.yaw, 0.42, 0.19, 0.20), face.head(u, v))

    area = (-0.52, 0.52, 0.0, 0.64)
    canvas.paint(full, color, where=people.beard == who.FULL_BEARD, opacity=0.9, box=area, softness=0.05)
    canvas.paint(around_mouth, color, where=people.beard >= who.GOATEE, opacity=0.85, box=area, softness=0.04)
    stubble = people.beard == who.STUBBLE
    canvas.paint(full, face.shadow * 0.8, where=stubble, opacity=0.4, box=area, softness=0.1)
    canvas.paint(around_mouth, face.shadow * 0.8, where=stubble, opacity=0.3, box=area, softness=0.1)


def paint_hair_in_front(face: Face) -> None:
    """Paint the hair around the face, its shadow on the forehead, and bangs."""
    people, canvas = face.people, face.canvas
    shade = lambda u, v: np.broadcast_to(face.shadow[:, :, None, None] * 0.6, (len(u), 3, *u.shape[1:]))  # noqa: E731
    haired = people.style != who.BALD
    hairline = column(np.where(people.male, -0.40, -0.38) - 0.06 * (people.age > who.OLD_ABOVE))
    slimmer = column(np.where(people.style >= who.CHIN_LENGTH, 0.075, 0.02))

    def crown(u: Array, v: Array) -> Array:
        forehead = ellipse(u, v + face.parting * u, 0.3 * face.yaw, hairline + 0.56, face.width - slimmer, 0.56)
        cheeks = np.maximum(np.abs(u - 0.3 * face.yaw) - (face.width - slimmer), hairline + 0.56 - v)
        opening = np.minimum(forehead, cheeks)
        return np.maximum(np.maximum(face.mane(u, v), -opening), v - np.minimum(face.length, 0.75))

    def fringe(u: Array, v: Array) -> Array:
        edge = -0.25 + 0.10 * u * u + 0.02 * np.sin(26 * u) - 0.12 * face.parting * u
        return np.maximum(ellipse(u, v, 0, -0.14, face.width + 0.03, 0.58), v - edge)

    area = (-0.75, 0.75, -0.9, 0.85)
    canvas.paint(crown, shade, box=area, where=haired, opacity=0.3, softness=0.1)
    canvas.paint(crown, face.strands, label=LABEL["hair"], box=area, where=haired)
    canvas.paint(fringe, face.strands, label=LABEL["hair"], box=(-0.6, 0.6, -0.8, -0.1), where=people.bangs)
