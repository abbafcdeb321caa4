"""The shape, colors and pose of faces, shared by every part of the drawing.

Lengths are in units of half the image at scale 1; see ``drawing`` for the coordinates.
"""

import numpy as np

from datamodules.faces.classes import FACE_CLASSES
from datamodules.mini import people as who
from datamodules.mini.drawing import Array, Canvas, column, ellipse, rounded_box
from datamodules.mini.people import People

LABEL = {name: number for number, name in enumerate(FACE_CLASSES)}

HAIR_RGB = np.array(
    [
        [0.10, 0.08, 0.08],
        [0.27, 0.17, 0.11],
        [0.46, 0.30, 0.17],
        [0.86, 0.70, 0.40],
        [0.62, 0.26, 0.11],
        [0.70, 0.69, 0.68],
    ],
    np.float32,
)
SKIN_RGB = np.array(
    [[0.97, 0.84, 0.75], [0.92, 0.74, 0.61], [0.80, 0.59, 0.43], [0.60, 0.40, 0.27], [0.40, 0.26, 0.18]], np.float32
)
CLOTH_RGB = np.array(
    [[0.20, 0.25, 0.38], [0.55, 0.20, 0.22], [0.24, 0.40, 0.34], [0.86, 0.84, 0.80], [0.18, 0.18, 0.20],
     [0.47, 0.36, 0.52], [0.76, 0.58, 0.34], [0.42, 0.55, 0.68]],
    np.float32,
)  # fmt: skip


class Face:
    """B faces of ``people`` and the canvas on which they are painted."""

    def __init__(self, people: People, size: int) -> None:
        self.people, draws = people, people.draws
        outdoors = people.domain == "B"
        reach = 1.7 if outdoors else 1.0  # range of poses
        self.canvas = Canvas(
            size,
            tilt=draws.uniform("tilt", -0.12, 0.12) * reach,
            center=np.stack([draws.uniform("x", -0.06, 0.06), draws.uniform("y", 0.03, 0.11)], 1) * reach,
            scale=draws.uniform("scale", 0.98, 1.16) if outdoors else draws.uniform("scale", 1.08, 1.18),
        )
        self.yaw = column(draws.uniform("yaw", -0.07, 0.07) * reach)  # sideways shift of the features
        shade = draws.uniform("shade", 0.94, 1.06)[:, None]
        self.hair = np.clip(HAIR_RGB[people.hair] * shade, 0, 1)
        self.skin = np.clip(SKIN_RGB[people.skin] * shade, 0, 1)
        self.shadow = self.skin * np.array([0.70, 0.60, 0.56], np.float32)
        self.cloth = (
            CLOTH_RGB[draws.choose("cloth", np.ones(len(CLOTH_RGB)))] * draws.uniform("cloth shade", 0.85, 1.1)[:, None]
        )
        woman = (~people.male).astype(np.float32)
        self.width = column(draws.uniform("width", 0.43, 0.49) - 0.02 * woman)
        self.jaw = column(draws.uniform("jaw", 0.12, 0.3) + 0.12 * woman)
        self.eye_gap = column(draws.uniform("eye gap", 0.185, 0.215))
        self.volume = column(draws.uniform("volume", 0.0, 0.07) + 0.03 * (people.style >= who.CHIN_LENGTH))
        self.parting = column(np.where(draws.chance("part side", 0.5), 1, -1) * draws.uniform("parting", 0.05, 0.35))
        self.length = column(
            np.array([0, -0.02, 0.45, 1.2], np.float32)[people.style] + draws.uniform("length", -0.06, 0.1)
        )
        self.brim = column(draws.uniform("brim", -0.40, -0.34))
        self.set_light()

    def set_light(self) -> None:
        """Light the canvas: softly from the front in domain A, from one side in domain B."""
        canvas, draws = self.canvas, self.people.draws
        side = draws.uniform("light", -1, 1)
        strength = 0.26 if self.people.domain == "B" else 0.07
        falloff = 1.04 + strength * column(np.sign(side) * (0.4 + 0.6 * np.abs(side))) * np.clip(canvas.u, -1, 1)
        canvas.light = (falloff - 0.06 * np.clip(canvas.v, -1, 1))[:, None]

    def strands(self, u: Array, v: Array) -> Array:
        """Return the color of the hair [B, 3, h, w]: strands falling from the crown, with a gloss below it."""
        phase = column(self.people.draws.uniform("strands", 0, 6))
        fan = u / (np.abs(v + 0.95) + 0.35)
        strand = np.sin(fan * 23 + phase) * np.sin(fan * 11 + 1.7 * phase)
        gloss = np.exp(-(((v + 0.52 + 0.5 * u * u) / 0.09) ** 2))
        factor = 1 + 0.13 * strand + 0.30 * gloss - 0.12 * np.clip(v, 0, 1)
        return self.hair[:, :, None, None] * factor[:, None] + 0.03 * gloss[:, None]

    def mane(self, u: Array, v: Array) -> Array:
        """Return the outline of all hair: a dome with straight or wavy hair down to ``length``."""
        waves = 0.025 * np.sin(v * 17) * column(self.people.wavy)
        dome = ellipse(u, v, 0, -0.14, self.width + 0.09 + self.volume, 0.60 + self.volume)
        falls = rounded_box(
            u + np.sign(u) * waves, v, 0, self.length - 0.65, self.width + 0.10 + self.volume, 0.65, 0.12
        )
        return np.minimum(dome, np.maximum(falls, -0.14 - v))

    def head(self, u: Array, v: Array) -> Array:
        """Return the egg-shaped outline of the head without ears."""
        taper = 1 + self.jaw * np.clip(v, 0, 0.8) ** 2 / 0.36
        return ellipse(u * taper, v, 0, -0.02, self.width, 0.62)
