"""Reading of faces, with checks and reduction to the requested size.

Images are reduced by Pillow's BOX filter (the mean of the covered area), label maps by NEAREST, and both are left as is
if they already have that size. Label maps of another size are also kept whole: reducing them twice reads other pixels.
Sketches are OpenCV's Canny edges of the reduced image (Unite and Conquer, Sec. 7.5).
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datamodules.faces.classes import NUM_CLASSES
from datamodules.faces.files import FaceFiles
from datamodules.storage.reading import read_image, require_no_enlarging, require_square
from lightning_mmdiff.errors import UserError


class FaceDecoder:
    """Reader of faces at ``size`` pixels that requires one image size and one label map size in the whole set."""

    def __init__(self, files: FaceFiles, size: int) -> None:
        self.files, self.size = files, size
        first = files.numbers[0]
        self.image_side = read_image(files.image(first)).width
        self.label_side = files.label_map(first).shape[1] if files.has_label_maps else 0

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        """Return the rows of the arrays: "images" [3, S, S], "sketches" [1, S, S] and, if there are any, "label_maps" [S, S].

        Label maps of another size L are also "original_label_maps" [L, L].
        """
        image = self._image(number)
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        face = {"images": image.transpose(2, 0, 1), "sketches": cv2.Canny(gray, 100, 200, L2gradient=True)[None]}
        if not self.files.has_label_maps:
            return face
        label_map = self._label_map(number)
        if label_map.shape[0] == self.size:
            return face | {"label_maps": label_map}
        reduced = Image.fromarray(label_map).resize((self.size, self.size), Image.Resampling.NEAREST)
        return face | {"label_maps": np.asarray(reduced), "original_label_maps": label_map}

    def _image(self, number: int) -> np.ndarray:
        path = self.files.image(number)
        image = read_image(path, "RGB")
        require_square(path, image.width, image.height)
        self._require(path, image.width, self.image_side, "images")
        require_no_enlarging(path, image.width, self.size)
        resized = image if image.width == self.size else image.resize((self.size, self.size), Image.Resampling.BOX)
        return np.asarray(resized)

    def _label_map(self, number: int) -> np.ndarray:
        label_map = self.files.label_map(number)
        what = self.files.label_place(number)
        require_square(what, *label_map.shape[::-1])
        self._require(what, label_map.shape[0], self.label_side, "label maps")
        if label_map.max() >= NUM_CLASSES:
            raise UserError(f"{what}: holds class {label_map.max()}, expected 0 to {NUM_CLASSES - 1}.")
        return label_map

    def _require(self, path: Path, side: int, expected: int, what: str) -> None:
        if side != expected:
            raise UserError(
                f"{path}: {side} pixels wide, but the first of the {what} has {expected}; all must be alike."
            )
