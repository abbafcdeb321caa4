"""The form of a source of published models: its files, our models in them, and where each of their tensors lies.

A source is one module of this package, whose ``FILES`` stand in ``catalogue.FILES``. Addresses, licenses, sizes and checksums
are in ``lightning_mmdiff.weights``. The order of queries, keys and values cannot be read off a file, and a wrong one raises
nothing: it is a fact of each source.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.models.config import ModelConfig

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Arrangement of a tensor in a file: a function from it to ours, and its inverse."""

    ours: Callable[[Tensor], Tensor]
    theirs: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Key:
    """Place of one of our tensors in a file."""

    name: str
    """Its name in the file."""
    layout: Layout


KeyMap = Callable[[Any, str, Shape], Key | None]
"""(our config, our name, our shape) -> place in the file; None for a tensor that it lacks because it is zero there."""

SAME = Layout(lambda value: value, lambda value: value)
POINTWISE = Layout(lambda value: value[:, :, 0, 0], lambda value: value[:, :, None, None])
"""A 1x1 convolution in the file is a linear layer of ours, [C, D, 1, 1] -> [C, D]."""


def reshaped(theirs: Shape, ours: Shape) -> Layout:
    """Return the layout of a tensor that has dimensions of size 1 more in the file, or fewer."""
    return Layout(lambda value: value.reshape(ours), lambda value: value.reshape(theirs))


def behind_no_class(value: Tensor) -> Tensor:
    """Return values of each class with zeros for our class 0, "no class", which masks of all classes never have."""
    return torch.cat([torch.zeros_like(value[:1]), value])


BEHIND_NO_CLASS = Layout(behind_no_class, lambda value: value[1:])
"""Rows of classes; the file has no row for our class 0."""
CHANNELS_BEHIND_NO_CLASS = Layout(
    lambda value: behind_no_class(value.transpose(0, 1)).transpose(0, 1), lambda value: value[:, 1:]
)
"""The same of columns, [C, classes, ...]."""


def head_by_head(heads: int, parts: int) -> Layout:
    """Return the layout whose rows are all parts (query, key, value) of one head after another; ours go part by part."""
    return Layout(
        lambda value: value.unflatten(0, (heads, parts, -1)).transpose(0, 1).flatten(0, 2),
        lambda value: value.unflatten(0, (parts, heads, -1)).transpose(0, 1).flatten(0, 2),
    )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One of our models whose weights a file holds."""

    name: str
    """Name by which runs refer to the model: ``Released(name)``."""
    config: ModelConfig
    keys: KeyMap
    inside: tuple[str, ...] = ("",)
    """Beginnings of the names of those tensors of the model that are in the file; another file has the others, or nobody needs
    them."""
    part: str = ""
    """Beginning of its names in the converted file, if that holds several models; models of one part share their tensors."""
    constants: tuple[tuple[str, float], ...] = ()
    """Values of buffers that no file holds, by our name."""
    helpers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Role (``ModelConfig.roles``) -> names of the released models that it is built on."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file as its authors published it."""

    weight: str
    """Its entry in ``weights.WEIGHTS``."""
    checkpoints: tuple[Checkpoint, ...]
    ignored: tuple[str, ...] = ()
    """Beginnings of names in the file that no model of ours has: layers that nothing reads, losses, schedules."""
    ignored_ends: tuple[str, ...] = ()
    """Ends of such names: constants, statistics that nothing reads."""
