"""Drawn faces with exact 19-class label maps: domain A imitates CelebA-HQ (studio, warm), B FFHQ (outdoors, cool).

images, label_maps = render(invent(seed, "A", np.arange(64)), 32)
"""

from datamodules.mini.backdrops import add_grain, paint_backdrop
from datamodules.mini.drawing import Array
from datamodules.mini.face import Face
from datamodules.mini.features import paint_eye, paint_mouth, paint_nose
from datamodules.mini.head import paint_beard, paint_body, paint_ears_and_head, paint_hair_behind, paint_hair_in_front
from datamodules.mini.people import People
from datamodules.mini.wear import paint_earrings, paint_glasses, paint_hat


def render(people: People, size: int) -> tuple[Array, Array]:
    """Paint back to front; return images uint8 [B, 3, S, S] and exact label maps uint8 [B, S, S]."""
    face = Face(people, size)
    paint_backdrop(face.canvas, people)
    paint_hair_behind(face)
    paint_body(face)
    paint_ears_and_head(face)
    paint_beard(face)
    paint_nose(face)
    paint_mouth(face)
    for side in (-1, 1):
        paint_eye(face, side)
    paint_hair_in_front(face)
    paint_glasses(face)
    paint_earrings(face)
    paint_hat(face)
    add_grain(face.canvas, people)
    return face.canvas.image(), face.canvas.label
