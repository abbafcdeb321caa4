"""The modalities of MT-Diffusion's experiments (ICLR 2024, Sec. 4 and App. E), one small class each.

The method itself is independent of the modality; a new one is a new class here. Its loss is the KL term of Eq. 6: mean
squared error or cross-entropy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff import images
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.modality import FrozenHelpers, Modality, ModalityData, Shape
from lightning_mmdiff.networks import heads
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.networks.conditions import check_labels
from lightning_mmdiff.networks.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class PairedImage(Modality):
    """An image of the same scene: the photo for a label map, day for night (App. E.1). Encoder: identity, or the autoencoder.

    A batch may mark a part of the image as known: ``<name>_known``, uint8 [B, 1, S, S], 255 = known; the rest is estimated.
    """

    name: str = "photo"

    def read(self, conditions: Mapping[str, Any], image: Tensor | None, frozen: FrozenHelpers) -> ModalityData | None:
        """Return the paired image in the diffusion space, from uint8 [B, 3, S, S]."""
        if self.name not in conditions:
            return None
        picture = images.to_float(conditions[self.name])
        part = conditions.get(f"{self.name}_known")
        if part is None:
            return ModalityData(x=frozen.to_space(picture), known=picture.new_ones(len(picture), 1, 1, 1))
        if frozen.autoencoder is not None:
            raise UserError(f"{self.name} is known in part, which needs pixels; this model diffuses latents.")
        return ModalityData(x=picture, known=part / 255)

    def build_encoder(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build the identity."""
        return heads.Identity()

    def build_head(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build a copy of an output block."""
        return heads.OutputBlock(network, shape[0])

    def loss(self, prediction: Tensor, data: ModalityData) -> Tensor:
        """Return the mean squared error, [B]; unknown pixels contribute no error."""
        return ((prediction.float() - data.x).square() * data.known).mean(dim=(1, 2, 3))


@dataclass(frozen=True, kw_only=True)
class MaskedImage(PairedImage):
    """The image with random holes (Sec. 4.1, App. E.2). Hidden pixels are 0 in [-1, 1] (gray); the holes count as known."""

    name: str = "masked_image"

    def read(self, conditions: Mapping[str, Any], image: Tensor | None, frozen: FrozenHelpers) -> ModalityData | None:
        """Map uint8 [B, 3, S, S] and its "mask", uint8 [B, 1, S, S], 255 = visible, to a masked image in the diffusion space."""
        if self.name not in conditions:
            return None
        if "mask" not in conditions:
            raise UserError(f'{self.name} comes without its "mask": the batch has {sorted(conditions)}; request both.')
        picture, mask = conditions[self.name], conditions["mask"]
        expected = [len(picture), 1, *picture.shape[2:]]
        if mask.dtype != torch.uint8 or list(mask.shape) != expected:
            raise UserError(
                f'"mask" is {mask.dtype} {list(mask.shape)}; expected torch.uint8 {expected}, 255 = visible.'
            )
        visible = mask / 255
        masked = images.to_float(picture) * visible
        known = masked.new_ones(len(masked), 1, 1, 1)
        return ModalityData(
            x=frozen.to_space(masked), known=known, visible=visible if frozen.autoencoder is None else None
        )


@dataclass(frozen=True, kw_only=True)
class Label(Modality):
    """The class of the image, as probabilities (Sec. 4.2, App. E.3)."""

    name: str = "label"
    num_classes: int
    head: Literal["middle", "output"] = "middle"
    """-M: one linear layer on the middle block. -E: a classifier on the U-Net's output."""
    encoder: Literal["network", "table"] = "network"
    """The shared U-Net conditioned on the class, as in the paper; or a learned low-resolution picture of each class."""
    renew_every: int | None = None
    """Training steps between encodings by the shared U-Net, each of as many classes as there are images, in turn. None encodes
    all classes of the batch in each step, as in the paper, at up to a third of a step's cost."""
    classifier: ClassifierConfig | None = None
    """Classifier of the -E head."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_classes")
        if self.renew_every is not None and (self.encoder != "network" or self.renew_every < 1):
            raise UserError(
                f"{self.name} has renew_every={self.renew_every} and encoder={self.encoder!r}; expected at least 1 step and "
                "encoder='network', or None."
            )
        if (self.head == "output") != (self.classifier is not None):
            raise UserError(
                f'{self.name} has head={self.head!r} and classifier={self.classifier}: "output" alone takes one.'
            )
        if self.classifier is not None and self.classifier.num_classes != self.num_classes:
            raise UserError(
                f"{self.name} has {self.num_classes} classes, its classifier {self.classifier.num_classes}: make them equal."
            )

    @property
    def asks_network(self) -> bool:
        """Whether E_i is an output of the shared U-Net."""
        return self.encoder == "network"

    def read(self, conditions: Mapping[str, Any], image: Tensor | None, frozen: FrozenHelpers) -> ModalityData | None:
        """Return probabilities [B, num_classes] from int64 [B]; -1 is unknown."""
        if self.name not in conditions:
            return None
        labels = conditions[self.name]
        check_labels(labels, len(labels), self.num_classes, null=True)
        known = labels >= 0
        x = F.one_hot(labels.clamp(min=0), self.num_classes).float() * known[:, None]
        return ModalityData(x=x, known=known.float().view(-1, 1, 1, 1))

    def build_encoder(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build an encoder from the shared U-Net or a table."""
        if self.encoder == "network":
            return heads.NetworkEncoder(shape, classes=self.num_classes, renew_every=self.renew_every)
        return heads.CoarseEncoder(self.num_classes, shape)

    def build_head(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build the head of -M or -E."""
        if self.head == "middle":
            return heads.MiddleLinear(network, self.num_classes)
        assert self.classifier is not None
        read = [self.classifier.in_channels, self.classifier.image_size, self.classifier.image_size]
        if read != list(shape):
            raise UserError(
                f"{self.name} has head='output': its classifier must read {list(shape)}, but it reads {read}."
            )
        return heads.OutputClassifier(self.classifier)

    def estimate(self, prediction: Tensor) -> Tensor:
        """Convert logits to probabilities."""
        return prediction.float().softmax(dim=1)

    def loss(self, prediction: Tensor, data: ModalityData) -> Tensor:
        """Return the cross-entropy, [B]; 0 for unknown classes, whose probabilities are zeros."""
        return F.cross_entropy(prediction.float(), data.x, reduction="none")

    def check(self, network: NetworkConfig) -> None:
        """Raise UserError if the network encodes the label but has a different number of classes."""
        if self.encoder == "network" and network.num_classes != self.num_classes:
            raise UserError(
                f"{self.name} has {self.num_classes} classes and is encoded by the network, which has "
                f"{network.num_classes}: set num_classes of the network, or encoder='table'."
            )


@dataclass(frozen=True, kw_only=True)
class Embedding(Modality):
    """A unit-length vector: CLIP's embedding of the image (App. E.4) or of a caption (App. E.5)."""

    name: str = "embedding"
    dim: int
    source: Literal["image", "text"] = "image"
    """What is embedded in training: the image, or the condition's captions. Vectors in the batch are used unchanged."""
    condition: str | None = None
    """Name of the condition in a batch, if different from ``name``."""
    shuffled: bool = False
    """Whether to use the vector of the batch's next image: a modality without information (random captions, App. E.5)."""
    encoder: Literal["network", "projection"] = "network"
    """The shared U-Net conditioned on the vector, as in the paper; or a learned low-resolution picture, linear in the vector."""
    width: int = 1024
    """Width of the head's hidden layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "dim", "width")

    @property
    def asks_network(self) -> bool:
        """Whether E_i is an output of the shared U-Net."""
        return self.encoder == "network"

    def read(self, conditions: Mapping[str, Any], image: Tensor | None, frozen: FrozenHelpers) -> ModalityData | None:
        """Return the vectors, [B, dim]."""
        given = conditions.get(self.condition or self.name)
        if given is None and (image is None or self.source == "text"):
            return None
        if not isinstance(given, Tensor):
            if frozen.embedder is None:
                raise UserError(f"{self.name} must be embedded: pass embedder= (a CLIP-like model), or give vectors.")
            given = frozen.embedder.embed_images(image) if given is None else frozen.embedder.embed_text(given)
        if given.ndim != 2 or given.shape[1] != self.dim:
            raise UserError(f"{self.name} is {list(given.shape)}; expected [B, {self.dim}].")
        if not given.isfinite().all():
            raise UserError(f"{self.name} has vectors that are not finite: check the embedder, or the vectors given.")
        x = given.float().roll(1, dims=0) if self.shuffled else given.float()
        return ModalityData(x=x, known=x.new_ones(len(x), 1, 1, 1))

    def build_encoder(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build an encoder from the shared U-Net or a projection."""
        if self.encoder == "network":
            return heads.NetworkEncoder(shape)
        return heads.CoarseEncoder(self.dim, shape)

    def build_head(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build two layers on the middle block."""
        return heads.MiddleMLP(network, self.width, self.dim)

    def loss(self, prediction: Tensor, data: ModalityData) -> Tensor:
        """Return the squared distance, [B]; the mean over ``dim`` would make a unit vector count ``dim`` times less."""
        return (prediction.float() - data.x).square().sum(dim=1)

    def check(self, network: NetworkConfig) -> None:
        """Raise UserError if the network encodes the vector but has a different embedding width."""
        if self.encoder == "network" and network.embedding_dim != self.dim:
            raise UserError(
                f"{self.name} has dim {self.dim} and is encoded by the network, whose embedding_dim is "
                f"{network.embedding_dim}: make them equal, or encoder='projection'."
            )
