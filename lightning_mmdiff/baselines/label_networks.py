"""Small networks between a vector and an image that read a label (lecture, Bereyhi 2025, Ch. 7): by embedding or by FiLM."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.networks.blocks import GroupNorm
from lightning_mmdiff.networks.class_layers import ClassTokens, FiLM

LabelLayers = Literal["embedding", "film"]
GROUPS = 8
"""Number of groups of a norm."""


@dataclass(frozen=True, kw_only=True)
class LabelNetworkConfig(Config):
    """Both networks: the one from noise to images, and the one that reads images."""

    image_size: int
    """Height and width in pixels, a multiple of 4."""
    num_classes: int
    label_layers: LabelLayers
    """Embedding: the label's vector is a part of the input. FiLM: it scales and shifts the features of every layer."""
    channels: int = 48
    """Channels at full size; twice as many at half of it and below."""
    latent_dim: int = 16
    """Width of the noise."""
    label_dim: int = 32
    """Width of a label's vector."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._multiples(4, "image_size")
        self._multiples(GROUPS, "channels")
        self._at_least(1, "num_classes", "latent_dim", "label_dim")


@dataclass(frozen=True, kw_only=True)
class LabelModelConfig(ModelConfig):
    """Base of the configs of models with both networks."""

    network: LabelNetworkConfig

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """The label."""
        return ("label",)

    @property
    def num_classes(self) -> int:
        """Number of classes of the label."""
        return self.network.num_classes

    @property
    def pixels(self) -> int:
        """Height and width of the training images."""
        return self.network.image_size


class LabelLayer(nn.Module):
    """Convolution, group norm, FiLM if the label acts by it, and SiLU.

    Args:
        config: the networks.
        width_in: number of input channels.
        width_out: number of output channels.
        stride: 2 halves the image.
    """

    def __init__(self, config: LabelNetworkConfig, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width_in, width_out, 3, stride, padding=1)
        self.norm = GroupNorm(GROUPS, width_out)
        self.film = FiLM(width_out, config.label_dim) if config.label_layers == "film" else None

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Return [B, width_out, h, w] for x [B, width_in, ...] and label vectors [B, 1, D]."""
        x = self.norm(self.convolution(x))
        return F.silu(x if self.film is None else self.film(x, label))


class LabelDecoder(nn.Module):
    """From noise and label to an image."""

    def __init__(self, config: LabelNetworkConfig) -> None:
        super().__init__()
        self.config, wide = config, 2 * config.channels
        self.labels = ClassTokens(config.num_classes, 1, config.label_dim)
        self.smallest = config.image_size // 4
        reads = config.label_dim if config.label_layers == "embedding" else 0
        self.first = nn.Linear(config.latent_dim + reads, wide * self.smallest**2)
        widths = (wide, wide, config.channels)
        self.layers = nn.ModuleList(LabelLayer(config, wide, width) for width in widths)
        self.to_image = nn.Conv2d(config.channels, 3, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for noise [B, latent_dim] and classes, int64 [B]."""
        label = self.labels(labels)
        z = torch.cat([z, label[:, 0]], dim=1) if self.config.label_layers == "embedding" else z
        x = self.first(z).unflatten(1, (-1, self.smallest, self.smallest))
        for i, layer in enumerate(self.layers):
            x = layer(F.interpolate(x, scale_factor=2, mode="nearest") if i else x, label)
        return self.to_image(x).tanh()


class LabelEncoder(nn.Module):
    """From image and label to ``outputs`` numbers."""

    def __init__(self, config: LabelNetworkConfig, outputs: int) -> None:
        super().__init__()
        self.config, wide = config, 2 * config.channels
        self.labels = ClassTokens(config.num_classes, 1, config.label_dim)
        reads = config.label_dim if config.label_layers == "embedding" else 0
        self.layers = nn.ModuleList(
            [
                LabelLayer(config, 3 + reads, config.channels),
                LabelLayer(config, config.channels, wide, 2),
                LabelLayer(config, wide, wide, 2),
            ]
        )
        self.last = nn.Linear(wide * (config.image_size // 4) ** 2, outputs)

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Return [B, outputs] for images [B, 3, S, S] and classes, int64 [B]."""
        label, x = self.labels(labels), image
        if self.config.label_layers == "embedding":
            x = torch.cat([x, label[:, 0, :, None, None].expand(-1, -1, *image.shape[2:])], dim=1)
        for layer in self.layers:
            x = layer(x, label)
        return self.last(x.flatten(1))
