"""Hard label maps of the baselines: one-hot classes made from the maps that a batch has; a missing map has no pixel."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError

LabelMaps = tuple[tuple[str, int], ...]
"""Name and number of channels of each map; every channel is a class, and background is class 0."""


def num_classes(maps: LabelMaps) -> int:
    """Return the number of classes, background included."""
    return 1 + sum(channels for _, channels in maps)


def one_hot(conditions: Mapping[str, Any], maps: LabelMaps, image: Tensor) -> Tensor:
    """Return the label map [B, classes, S, S], 0 or 1, with one class a pixel.

    A pixel belongs to the channel with the largest value if that is above one half, else to background. The papers'
    maps are probabilities (Unite and Conquer, facer), ours are 0 or 255: both become hard labels.

    Args:
        conditions: name -> map, uint8 [B, C, S, S]; those in ``maps`` that are missing are empty.
        maps: the maps, in the order of their classes.
        image: float tensor [B, C, S, S] that gives size, device and dtype.

    Raises:
        UserError: if a map has another shape.
    """
    size = (image.shape[0], image.shape[-2], image.shape[-1])
    channels = []
    for name, count in maps:
        expected = (size[0], count, *size[1:])
        value = conditions.get(name)
        if value is not None and tuple(value.shape) != expected:
            raise UserError(f"The map {name!r} is {list(value.shape)}; expected {list(expected)}.")
        channels.append(torch.zeros(expected, device=image.device) if value is None else value.to(image.device).float())
    values = torch.cat([torch.full((size[0], 1, *size[1:]), 127.5, device=image.device), *channels], dim=1)
    return torch.zeros_like(values, dtype=image.dtype).scatter_(1, values.argmax(dim=1, keepdim=True), 1.0)
