"""Conversion between image ranges, done only here: uint8 [0, 255] in storage, float [-1, 1] in models."""

import torch
from torch import Tensor


def to_float(image: Tensor) -> Tensor:
    """Convert uint8 [0, 255] to float32 [-1, 1], any shape.

    Raises:
        TypeError: if ``image`` is not uint8 (a float image would be scaled twice).
    """
    if image.dtype != torch.uint8:
        raise TypeError(f"to_float expects a uint8 image in [0, 255], got {image.dtype}.")
    return image.float() / 127.5 - 1


def to_uint8(image: Tensor) -> Tensor:
    """Convert float [-1, 1] to uint8 [0, 255], any shape: round to nearest and clamp."""
    return ((image.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
