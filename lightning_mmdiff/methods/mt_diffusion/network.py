"""The network shared by all tasks of MT-Diffusion, with its encoders, heads and config (ICLR 2024, Sec. 2.2.3, 2.2.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lightning_mmdiff import schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.modality import Modality, ModalityData, Shape
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.networks.conditions import NULL_CLASS, check_labels
from lightning_mmdiff.networks.heads import Features
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig

IMAGE = "image"
"""Name of the task of generating the image itself."""


@dataclass(frozen=True, kw_only=True)
class MTDiffusionConfig(ModelConfig):
    """Architecture and loss."""

    network: NetworkConfig
    """The shared U-Net; ``in_channels`` counts the image and each concatenated modality."""
    image_size: int
    """Height and width in pixels."""
    modalities: tuple[Modality, ...]
    aggregation: Aggregation = "consistent"
    """How encodings enter z_t, unless a modality sets its own way."""
    tasks: tuple[str, ...] | None = None
    """Tasks whose losses count: "image" and names of modalities; None is all. Other modalities are hidden. A single task is
    fine-tuning on it (the rows *, f): nothing is aggregated then, as a classifier would read E instead of the image."""
    schedule: schedules.ScheduleName = "cosine"
    prediction: Prediction = "eps"
    learned_variance: bool = False
    """Whether the network also outputs the interpolated log variance; this adds the variational bound, in which E cancels."""
    min_snr: float | None = None
    """gamma of min-SNR weighting of the image loss; None is the simple loss."""
    label_dropout: float | None = None
    """Fraction of training images for which the network is not given the class ("label" of the batch; class-conditional ADM
    otherwise). None: never given, although a ``Label`` modality may be encoded by the same classes."""
    optimizer: OptimizerConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "image_size")
        self._positive("min_snr")
        names = [IMAGE, *(m.name for m in self.modalities)]
        if len(set(names)) < len(names):
            raise UserError(f"Modalities need distinct names other than {IMAGE!r}; got {names[1:]}.")
        if self.tasks is not None and (not self.tasks or not set(self.tasks) <= set(names)):
            raise UserError(f"tasks are {self.tasks}; expected one or more of {names}, or None for all.")
        if self.learned_variance and self.prediction != "eps":
            raise UserError(f"learned_variance needs prediction='eps', not {self.prediction!r}.")
        if self.learned_variance and self.network.out_channels % 2:
            raise UserError(f"learned_variance needs an even number of channels; got {self.network.out_channels}.")
        wanted = self.channels * (1 + sum(m.concatenate for m in self.modalities))
        if self.network.in_channels != wanted:
            raise UserError(
                f"network.in_channels is {self.network.in_channels}; expected {wanted}: {self.channels} of the image and "
                f"as many for each of {[m.name for m in self.modalities if m.concatenate]} (concatenate=True)."
            )
        for modality in self.modalities:
            modality.check(self.network)
        classes = self.network.num_classes
        if self.label_dropout is not None and (classes is None or not 0 <= self.label_dropout <= 1):
            raise UserError(
                f"label_dropout is {self.label_dropout} and the network has {classes} classes; expected a "
                "share in [0, 1] and num_classes of the network."
            )
        if self.image_size % self.network.multiple:
            raise UserError(
                f"image_size {self.image_size} must be a multiple of {self.network.multiple}, as the network halves it."
            )

    @property
    def channels(self) -> int:
        """C, channels of the diffusion space."""
        return self.network.out_channels // (2 if self.learned_variance else 1)

    def build(
        self, *, seed: int, embedder: nn.Module | None = None, autoencoder: nn.Module | None = None
    ) -> LightningModule:
        """Build the model, of latents with an ``autoencoder``; ``embedder`` is for embedding modalities."""
        from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion  # which imports this file

        return MTDiffusion(self, embedder=embedder, autoencoder=autoencoder, seed=seed)

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """The U-Net."""
        return (self.network,)

    @property
    def frozen_calls(self) -> int:
        """One for each modality that the U-Net encodes without a backward pass; fewer with few classes, or in turn."""
        return sum(modality.asks_network and modality.name in self.aggregated for modality in self.modalities)

    @property
    def calls_per_step(self) -> int:
        """The prediction, and the encodings; in sampling, those of what is estimated."""
        return 1 + self.frozen_calls

    @property
    def pixels(self) -> int:
        """Height and width of the training images."""
        return self.image_size

    @property
    def num_classes(self) -> int | None:
        """Smallest number of classes of the network and of a modality that has any."""
        counts = (self.network.num_classes, *(getattr(modality, "num_classes", None) for modality in self.modalities))
        return min((count for count in counts if count is not None), default=None)

    @property
    def active(self) -> tuple[str, ...]:
        """The tasks whose losses count."""
        return (IMAGE, *(m.name for m in self.modalities)) if self.tasks is None else self.tasks

    @property
    def aggregated(self) -> tuple[str, ...]:
        """The modalities whose encodings enter z_t and the network."""
        return tuple(m.name for m in self.modalities if m.name in self.active and len(self.active) > 1)


def diffusion_space(config: MTDiffusionConfig, autoencoder: Any) -> Shape:
    """Return [C, H, W] of the diffused data: pixels, or the latents of ``autoencoder``.

    Raises:
        UserError: if this does not fit the network.
    """
    size = config.image_size
    shape = (config.channels, size, size) if autoencoder is None else autoencoder.config.latent_shape
    if shape[0] != config.channels:
        raise UserError(f"The network makes {config.channels} channels, latents of this kind have {shape[0]}.")
    if autoencoder is not None and autoencoder.config.image_size != size:
        raise UserError(
            f"The model has {size} pixels, its autoencoder {autoencoder.config.image_size}: make them equal."
        )
    if autoencoder is not None and config.learned_variance:
        raise UserError("learned_variance needs pixels, whose 8 bits the variational bound counts; these are latents.")
    if shape[1] % config.network.multiple:
        raise UserError(f"The network halves {shape[1]} positions; expected a multiple of {config.network.multiple}.")
    return shape


class MTNetwork(nn.Module):
    """A U-Net shared by all tasks, with an encoder and a head for each modality."""

    def __init__(self, config: MTDiffusionConfig, shape: Shape) -> None:
        """Build the U-Net, encoders and heads; ``shape`` is [C, H, W] of the diffusion space."""
        super().__init__()
        self.config, self.shape = config, shape
        self.unet = config.network.build()
        self.encoders = nn.ModuleDict({m.name: m.build_encoder(config.network, shape) for m in config.modalities})
        self.heads = nn.ModuleDict({m.name: m.build_head(config.network, shape) for m in config.modalities})
        for m in config.modalities:  # distributed training must know which parts are untrained
            self.heads[m.name].requires_grad_(m.name in config.active)
            self.encoders[m.name].requires_grad_(m.name in config.aggregated)
        if isinstance(self.unet, UNet) and self.unet.label is not None and config.label_dropout is None:
            self.unet.label.requires_grad_(False)  # only E(y) reads it, without gradient
        self.run = self.unet.forward_with_features
        if config.network.compile:
            self.run = torch.compile(self.run)

    def forward(self, z: Tensor, t: Tensor, encodings: Tensor, labels: Tensor | None = None) -> Features:
        """Run one pass of the U-Net.

        Args:
            z: z_t, [B, C, H, W].
            t: timesteps, [B].
            encodings: [B, N, C, H, W]; the network reads those of concatenated modalities (-X), not the others (-U).
            labels: classes, int64 [B], -1 for no class; None is no class for all.
        """
        seen = [encodings[:, i] for i, m in enumerate(self.config.modalities) if m.concatenate]
        if labels is None and self.config.network.num_classes is not None:
            labels = torch.full((len(z),), NULL_CLASS, device=z.device)
        raw, hidden, middle = self.run(torch.cat([z, *seen], dim=1), t, None, labels)
        return Features(raw=raw, output=raw[:, : self.config.channels], hidden=hidden, middle=middle, t=t)

    def predict(self, modality: Modality, features: Features) -> Tensor:
        """Return the prediction D_i of the head of ``modality``."""
        return self.heads[modality.name](features)

    def encode_data(self, modality: Modality, x: Tensor) -> Tensor:
        """Return E_i(x_i), [B, C, H, W]."""
        return self.encoders[modality.name](x, self.unet)

    def encode(
        self, data: Mapping[str, ModalityData], batch_size: int, keep: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Return the encodings E_i(x_i), [B, N, C, H, W], zeros where x_i is unknown, hidden, or inactive.

        Args:
            data: of the modalities.
            batch_size: B.
            keep: 0 for images whose modality is hidden, else 1, [B, 1, 1, 1].
        """
        encodings = next(self.unet.parameters()).new_zeros(batch_size, len(self.config.modalities), *self.shape)
        parts = list(encodings.unbind(1))
        for i, m in enumerate(self.config.modalities):
            if m.name in data and m.name in self.config.aggregated:
                encoding, expected = self.encode_data(m, data[m.name].x), [batch_size, *self.shape]
                if list(encoding.shape) != expected:
                    raise UserError(f"{m.name} becomes {list(encoding.shape)}; this batch and model need {expected}.")
                parts[i] = data[m.name].known * (keep or {}).get(m.name, 1) * encoding
        return torch.stack(parts, dim=1) if parts else encodings

    def class_labels(
        self, conditions: Mapping[str, Any], batch_size: int, generator: torch.Generator | None = None
    ) -> Tensor | None:
        """Return the classes given to the network, int64 [B], -1 for none; randomly dropped if there is a ``generator``."""
        classes, dropout = self.config.network.num_classes, self.config.label_dropout
        if dropout is None or classes is None or "label" not in conditions:
            return None
        labels = conditions["label"].to(next(self.unet.parameters()).device)
        check_labels(labels, batch_size, classes, null=True)
        if generator is None:
            return labels
        dropped = seeding.rand((batch_size,), generator) < dropout
        return labels.masked_fill(dropped.to(labels.device), NULL_CLASS)
