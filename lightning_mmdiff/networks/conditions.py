"""Conditions of a diffusion model: maps concatenated to the image, an embedding for every block, a class; null values.

Unite and Conquer (CVPR 2023): the face network takes maps as channels and a CLIP-like embedding through adaptive norm
(supplement 7.3). ADM (Dhariwal & Nichol 2021): a class is an embedding added to the timestep's. A missing condition
becomes zeros (mid-gray for a map in [-1, 1], the zero vector for an embedding) or the null class: -1, which adds
nothing, or another for a network that was trained without one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.images import to_float

UNITE_AND_CONQUER_SUBSETS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("hair",), 0.25),
    (("skin",), 0.25),
    (("text",), 0.375),
    ((), 0.125),
)
"""Conditions that the released training code keeps for an image, with probabilities: one of them, or none."""
NULL_CLASS = -1
"""Label of an image of unknown class."""


@dataclass(frozen=True, kw_only=True)
class ConditionConfig(Config):
    """Conditions that a network accepts. The order of ``spatial`` is the order of the input channels."""

    spatial: tuple[tuple[str, int], ...] = ()  # name and channels of each map
    embedding: tuple[str, int] | None = None  # name and width, L2-normalized vectors
    embedding_scale: float = 1.0  # factor on the vectors; the root of their width gives components of unit size
    label: tuple[str, int] | None = None  # name and number of classes
    null_label: int = (
        NULL_CLASS  # class read for "no label"; ADM learned no null: Unite and Conquer's code feeds it class 0
    )
    projected_channels: int | None = None  # outputs of a 3x3 convolution of all maps (U&C's face network: 3)
    rgb: bool = False  # repeat one-channel maps to three channels, as in the released code of Unite and Conquer

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("embedding_scale")
        self._at_least(1, "projected_channels")
        names = self.names
        if len(set(names)) != len(names):
            raise UserError(f"conditions must have distinct names, got {names}.")
        sizes = dict((*self.spatial, *(pair for pair in (self.embedding, self.label) if pair)))
        if wrong := [name for name, size in sizes.items() if size < 1]:
            raise UserError(f"conditions {wrong} have no channels, width or classes; expected at least 1 in {sizes}.")
        classes = self.label[1] if self.label else 0
        if not NULL_CLASS <= self.null_label < classes:
            raise UserError(f"null_label is {self.null_label}; the network has {classes} classes: expected one, or -1.")
        if self.projected_channels is not None and not self.spatial:
            raise UserError("projected_channels needs at least one spatial condition to project.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions: maps, embedding, label."""
        single = [pair[0] for pair in (self.embedding, self.label) if pair]
        return (*(name for name, _ in self.spatial), *single)

    @property
    def map_channels(self) -> int:
        """Number of channels of all maps, before a projection."""
        return sum(3 if self.rgb and channels == 1 else channels for _, channels in self.spatial)

    @property
    def channels(self) -> int:
        """Number of channels concatenated to the image."""
        return self.map_channels if self.projected_channels is None else self.projected_channels


def face_conditions() -> ConditionConfig:
    """Return the conditions of Unite and Conquer's face network: two RGB maps projected to 3 channels, a FaRL vector.

    The released sampler puts the skin map first, the released data set class the hair map. We follow the sampler.
    """
    return ConditionConfig(spatial=(("skin", 1), ("hair", 1)), embedding=("text", 512), projected_channels=3, rgb=True)


class ConditionEncoder(nn.Module):
    """Encoder of a batch's conditions as channels, an embedding and classes; absent ones become their null values."""

    def __init__(self, config: ConditionConfig) -> None:
        super().__init__()
        self.config = config
        projected = config.projected_channels
        self.project = None if projected is None else nn.Conv2d(config.map_channels, projected, 3, padding=1)

    @property
    def channels(self) -> int:
        """Number of channels concatenated to the image."""
        return self.config.channels

    def forward(
        self,
        conditions: Mapping[str, Tensor],
        batch_size: int,
        image_size: int | tuple[int, int],
        device: torch.device | str,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Encode a batch.

        Args:
            conditions: name -> map, uint8 [B, C, H, W] in [0, 255] or float in [-1, 1], or embedding, float [B, D].
                They may include a label; see ``labels``.
            batch_size: B, needed when all conditions are absent.
            image_size: height and width in pixels.
            device: device of the result.

        Returns:
            Channels, float32 [B, channels, H, W], or None if the config has no maps; embedding, float32 [B, D], or None.

        Raises:
            UserError: if a name is unknown or a shape is not the expected one.
        """
        if unknown := sorted(conditions.keys() - set(self.config.names)):
            raise UserError(f"unknown conditions {unknown}; this network knows {list(self.config.names)}.")
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        maps = [self._map(conditions, name, (batch_size, c, *size), device) for name, c in self.config.spatial]
        embedding = None
        if self.config.embedding is not None:
            name, dim = self.config.embedding
            embedding = self.config.embedding_scale * _value(conditions, name, (batch_size, dim), device)
        return self._project(torch.cat(maps, dim=1)) if maps else None, embedding

    def labels(self, conditions: Mapping[str, Tensor], batch_size: int, device: torch.device | str) -> Tensor | None:
        """Return the classes of a batch, int64 [B], with ``null_label`` for absent ones; None if the config has no label.

        Args:
            conditions: name -> value; the label is int64 [B], -1 where it is absent in one row only.
            batch_size: B.
            device: device of the result.

        Raises:
            UserError: if the label is not int64 [B], or a class is out of range.
        """
        if self.config.label is None:
            return None
        name, num_classes = self.config.label
        if name not in conditions:
            return torch.full((batch_size,), self.config.null_label, device=device)
        check_labels(conditions[name], batch_size, num_classes, null=True)
        labels = conditions[name].to(device)
        return labels.masked_fill(labels == NULL_CLASS, self.config.null_label)

    def _map(
        self, conditions: Mapping[str, Tensor], name: str, shape: tuple[int, ...], device: torch.device | str
    ) -> Tensor:
        value = _value(conditions, name, shape, device)
        return value.expand(-1, 3, -1, -1) if self.config.rgb and shape[1] == 1 else value

    def _project(self, maps: Tensor) -> Tensor:
        """Project [B, map_channels, H, W] -> [B, channels, H, W], in float32 at any precision, as the released code does."""
        if self.project is None:
            return maps
        bias = None if self.project.bias is None else self.project.bias.float()
        with torch.autocast(maps.device.type, enabled=False):
            return F.conv2d(maps, self.project.weight.float(), bias, padding=1)


def _value(conditions: Mapping[str, Tensor], name: str, shape: tuple[int, ...], device: torch.device | str) -> Tensor:
    """Return condition ``name`` as float32 of ``shape``, or its null value."""
    if name not in conditions:
        return torch.zeros(shape, device=device)
    value = conditions[name]
    if tuple(value.shape) != shape:
        raise UserError(f"condition {name!r} is {list(value.shape)}; expected {list(shape)}.")
    return _as_float(value.to(device))


def _as_float(value: Tensor) -> Tensor:
    """Convert uint8 [0, 255] to float32 [-1, 1]; floats keep their range."""
    if not value.is_floating_point():
        return to_float(value)
    return value.float()


def check_labels(labels: Tensor, batch_size: int, num_classes: int, *, null: bool = False) -> None:
    """Check that ``labels`` are classes.

    Args:
        labels: int64 [B], from 0 to num_classes - 1.
        batch_size: B.
        num_classes: number of classes.
        null: whether -1, the null class, is allowed as well.

    Raises:
        UserError: if they are not.
    """
    if labels.dtype != torch.int64 or list(labels.shape) != [batch_size]:
        raise UserError(f"labels are {labels.dtype} {list(labels.shape)}; expected torch.int64 [{batch_size}].")
    low, high = (int(value) for value in labels.aminmax())
    least = NULL_CLASS if null else 0
    if low < least or high >= num_classes:
        raise UserError(
            f"labels run from {low} to {high}; the network has {num_classes} classes: "
            f"expected {least} to {num_classes - 1}."
        )


def drop(conditions: Mapping[str, Any], keep: Tensor, subsets: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """Keep a subset of the conditions of each image and set the others to null, to train one network for all subsets.

    Args:
        conditions: name -> uint8 or float [B, ...], or classes int64 [B]. A condition that no subset names is left out,
            hence null for all images.
        keep: index into ``subsets`` for each image, int64 [B].
        subsets: names of the conditions to keep, e.g. ``(("hair",), ("skin",), ())``.

    Returns:
        name -> float32 [B, ...], zeros in the rows that do not keep it; classes int64 [B], -1 in those rows.

    Raises:
        UserError: if a subset names a condition that the batch lacks.
        TypeError: if a condition to keep is not a tensor (captions are embedded first).
    """
    names = {name for subset in subsets for name in subset}
    if missing := sorted(names - conditions.keys()):
        raise UserError(f"subsets keep {missing}, but the batch has {sorted(conditions)}: request them from the data.")
    kept: dict[str, Tensor] = {}
    for name in sorted(names):
        value = conditions[name]
        if not isinstance(value, Tensor):
            raise TypeError(f"condition {name!r} is a {type(value).__name__}; embed it before dropping rows of it.")
        in_subset = torch.tensor([name in subset for subset in subsets], device=keep.device)
        mask = in_subset[keep].to(value.device).view(-1, *[1] * (value.ndim - 1))  # [B, 1, ...]
        is_class = value.dtype == torch.int64
        kept[name] = torch.where(mask, value if is_class else _as_float(value), NULL_CLASS if is_class else 0.0)
    return kept
