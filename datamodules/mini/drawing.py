"""Soft-edged shapes painted back to front on many small images at once.

Coordinates are relative to a face: u points right, v down, both are 0 between the eyes and the mouth, and the image is
about [-1, 1] squared. A shape is a function from (u, v) to the distance to its edge, negative inside; [B, h, w].
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Shape: TypeAlias = Callable[[Array, Array], Array]
Box: TypeAlias = tuple[float, float, float, float]  # u from, u to, v from, v to: bounds of the shape in every face

EVERYWHERE: Box = (-9, 9, -9, 9)


class Canvas:
    """B square images under construction, with the class of each pixel.

    Args:
        size: height and width in pixels.
        tilt: rotation of each face in radians, [B].
        center: position of each face in the image, [B, 2].
        scale: size of each face, [B]; at 1 the image is 2 wide.
    """

    def __init__(self, size: int, tilt: Array, center: Array, scale: Array) -> None:
        self.size, self.scale = size, scale[:, None, None].astype(np.float32)
        self.cos, self.sin = np.cos(tilt)[:, None, None], np.sin(tilt)[:, None, None]
        self.center = center.astype(np.float32)[:, :, None, None]
        line = ((np.arange(size, dtype=np.float32) + 0.5) / size) * 2 - 1
        x, y = line[None, None, :] - self.center[:, 0], line[None, :, None] - self.center[:, 1]
        self.u = (self.cos * x + self.sin * y) / self.scale
        self.v = (self.cos * y - self.sin * x) / self.scale
        self.pixel = 2 / (size * self.scale)  # width of a pixel, [B, 1, 1]
        self.color = np.zeros((len(scale), 3, size, size), np.float32)
        self.label = np.zeros((len(scale), size, size), np.uint8)
        self.light: Array = np.ones((1, 1, 1, 1), np.float32)

    def paint(
        self,
        shape: Shape,
        color: Array | Callable[[Array, Array], Array],
        *,
        box: Box = EVERYWHERE,
        label: int | None = None,
        keep: tuple[int, ...] = (),
        where: Array | None = None,
        opacity: Array | float = 1.0,
        softness: float = 0.0,
    ) -> None:
        """Paint one shape on every image.

        Args:
            shape: distance to the edge of the shape.
            color: [B, 3], or a function from (u, v) to [B, 3, h, w]; 0 to 1.
            box: bounds of the shape; a smaller box is faster.
            label: class of the pixels that are at least half covered; None leaves the classes unchanged.
            keep: classes that ``label`` does not replace.
            where: images to paint on, bool [B].
            opacity: 0 to 1, a number or [B].
            softness: width of the edge if it is wider than a pixel.
        """
        if not len(self.color) or (where is not None and not where.any()):
            return
        rows, columns = self._window(box)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        u, v = self.u[:, rows, columns], self.v[:, rows, columns]
        width = np.maximum(self.pixel, softness) if softness else self.pixel
        cover = np.clip(0.5 - shape(u, v) / width, 0, 1)
        if where is not None:
            cover *= where[:, None, None]
        if label is not None:
            window = self.label[:, rows, columns]
            window[(cover > 0.5) & ~np.isin(window, keep)] = label
        cover = (cover * np.reshape(np.float32(opacity), (-1, 1, 1)))[:, None]
        ink = color(u, v) if callable(color) else color[:, :, None, None]
        lit = self.light if self.light.shape[-1] == 1 else self.light[:, :, rows, columns]
        target = self.color[:, :, rows, columns]
        target += cover * (ink * lit - target)

    def image(self) -> Array:
        """Return uint8 [B, 3, S, S]."""
        return np.rint(np.clip(self.color, 0, 1) * 255).astype(np.uint8)

    def _window(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns that ``box`` touches in any image."""
        if box is EVERYWHERE:
            return slice(0, self.size), slice(0, self.size)
        u, v = (np.array(corners, np.float32) for corners in ((box[0], box[1]) * 2, (box[2],) * 2 + (box[3],) * 2))
        x = self.center[:, 0] + self.scale * (self.cos * u - self.sin * v)
        y = self.center[:, 1] + self.scale * (self.sin * u + self.cos * v)
        return self._pixels(y), self._pixels(x)

    def _pixels(self, position: Array) -> slice:
        first, last = ((edge + 1) / 2 * self.size for edge in (float(position.min()), float(position.max())))
        return slice(min(max(int(first) - 2, 0), self.size), min(max(int(last) + 3, 0), self.size))


def column(values: Array) -> Array:
    """Return [B] as float32 [B, 1, 1], for use with [B, h, w]."""
    return np.asarray(values, np.float32)[:, None, None]


def ellipse(u: Array, v: Array, cu: Array | float, cv: Array | float, ru: Array | float, rv: Array | float) -> Array:
    """Return the distance to an ellipse (first order: value over gradient).

    Args:
        u: horizontal coordinates.
        v: vertical coordinates.
        cu: center in u.
        cv: center in v.
        ru: radius in u.
        rv: radius in v.
    """
    ku, kv = np.float32(1) / ru, np.float32(1) / rv
    x, y = (u - cu) * ku, (v - cv) * kv
    squared = x * x + y * y
    x *= ku
    y *= kv
    return (squared - np.sqrt(squared)) / (np.sqrt(x * x + y * y) + np.float32(1e-6))


def rounded_box(
    u: Array, v: Array, cu: Array | float, cv: Array | float, hu: Array | float, hv: Array | float, r: float
) -> Array:
    """Return the distance to a box with rounded corners.

    Args:
        u: horizontal coordinates.
        v: vertical coordinates.
        cu: center in u.
        cv: center in v.
        hu: half size in u.
        hv: half size in v.
        r: radius of the corners.
    """
    x, y = np.abs(u - cu) - (hu - r), np.abs(v - cv) - (hv - r)
    outside = np.sqrt(np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2)
    return outside + np.minimum(np.maximum(x, y), 0) - r


def arc(
    u: Array,
    v: Array,
    cu: Array | float,
    cv: Array | float,
    half: Array | float,
    bend: Array | float,
    thick: Array | float,
) -> Array:
    """Return the distance to a stroke along v = cv + bend x^2, x = (u - cu) / half in [-1, 1], thinner at its ends.

    Args:
        u: horizontal coordinates.
        v: vertical coordinates.
        cu: middle of the stroke in u.
        cv: middle of the stroke in v.
        half: half the width of the stroke.
        bend: offset in v of the ends from the middle.
        thick: distance from the curve to the edge in the middle.
    """
    x = (u - cu) / half
    across = np.abs(v - cv - bend * x * x) - thick * (1 - 0.4 * np.minimum(x * x, 1))
    return np.maximum(across, (np.abs(x) - 1) * half)


def between(v: Array, top: Array, bottom: Array) -> Array:
    """Return the distance to the region between two curves."""
    return np.maximum(top - v, v - bottom)
