"""The interface of MT-Diffusion's modalities (ICLR 2024, Sec. 2.2): data x_i, an encoder E_i, a head D_i and a loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.noise import NoiseSchedule

Shape = tuple[int, int, int]
"""[C, H, W] of the diffusion space."""


@dataclass(frozen=True, kw_only=True)
class ModalityData:
    """Data of one modality for a batch."""

    x: Tensor  # [B, ...] in the data space
    known: Tensor  # 1 where x is known, 0 where it is to be estimated: float [B, 1, 1, 1] or [B, 1, H, W]
    visible: Tensor | None = None  # 1 where x is a pixel of z_0 itself, [B, 1, H, W]; None: x shows no pixels


@dataclass(frozen=True, kw_only=True)
class KnownData:
    """Known data of a batch's modalities at sampling."""

    encodings: Tensor  # [B, N, C, H, W], zeros where unknown
    data: Mapping[str, ModalityData]  # of the modalities that are not missing
    complete: frozenset[str]  # modalities fully known for every image


@dataclass(frozen=True, kw_only=True)
class FrozenHelpers:
    """Frozen helpers that convert a batch to modality data."""

    embedder: Any = None  # embed_images(uint8 [B, 3, S, S]) and embed_text(captions) -> [B, D]
    autoencoder: Any = None  # encode(image, noise) and decode(latent), as networks.vae.VAE; None diffuses pixels

    @torch.no_grad()
    def to_space(self, image: Tensor) -> Tensor:
        """Map an image in [-1, 1], [B, 3, S, S], to the diffusion space, [B, C, H, W] (the autoencoder's mean latent)."""
        if self.autoencoder is None:
            return image
        noise = image.new_zeros(len(image), *self.autoencoder.config.latent_shape)
        return self.autoencoder.encode(image, noise)


@dataclass(frozen=True, kw_only=True)
class Modality(Config, ABC):
    """One modality x_i besides the image. ``name`` is its condition in a batch."""

    name: str
    weight: float = 0.1
    """lambda of Eq. 6."""
    aggregation: Aggregation | None = None
    """How E_i enters z_t; None is the model's default."""
    concatenate: bool = False
    """Whether the network also reads E_i, zeros where unknown (-X). Such a modality's estimates never enter its input or z_t."""
    hide_fraction: float = 0.0
    """Fraction of training images without E_i: for these, the head must read the image, not E_i."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight < 0 or not 0 <= self.hide_fraction <= 1:
            raise UserError(
                f"{self.name} has weight {self.weight} and hide_fraction {self.hide_fraction}; expected a weight of at least 0 "
                "and a share in [0, 1]."
            )

    @property
    def asks_network(self) -> bool:
        """Whether E_i is an output of the shared U-Net, so that each encoding takes one more call of it."""
        return False

    @abstractmethod
    def read(self, conditions: Mapping[str, Any], image: Tensor | None, frozen: FrozenHelpers) -> ModalityData | None:
        """Return the data of a batch, or None if missing.

        Args:
            conditions: of the batch.
            image: training image, uint8 [B, 3, S, S]; None at sampling.
            frozen: helpers.
        """

    @abstractmethod
    def build_encoder(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build E_i, a function of the data x and the shared U-Net that returns [B, C, H, W]."""

    @abstractmethod
    def build_head(self, network: NetworkConfig, shape: Shape) -> nn.Module:
        """Build D_i, a function of ``heads.Features`` that returns a prediction [B, ...]."""

    def estimate(self, prediction: Tensor) -> Tensor:
        """Convert a head's prediction to estimated data, the encoder's input."""
        return prediction

    @abstractmethod
    def loss(self, prediction: Tensor, datum: ModalityData) -> Tensor:
        """Return -log p(x_i | z_t) of each image up to constants, [B]; unknown data do not count."""

    def check(self, network: NetworkConfig) -> None:  # noqa: B027 (most have nothing to check)
        """Raise UserError if ``network`` does not fit this modality."""


def show_pixels(
    schedule: NoiseSchedule, noise: Tensor, y: Tensor, t: Tensor, data: Mapping[str, ModalityData]
) -> Tensor:
    """Return the noise, [B, C, H, W], that makes the predicted z_0 equal to the pixels shown by the modalities.

    Under DDIM this is plain replacement of the known pixels at every step, with one noise for all steps.

    Args:
        schedule: noise schedule.
        noise: predicted, [B, C, H, W].
        y: alpha_t z_0 + sigma_t eps, [B, C, H, W].
        t: timesteps, [B].
        data: of the modalities.
    """
    for datum in data.values():
        if datum.visible is not None:
            noise = torch.where(datum.visible > 0.5, schedule.eps_from_z0(datum.x, y, t), noise)
    return noise


def check_visible(data: Mapping[str, ModalityData]) -> None:
    """Raise UserError if no modality in ``data`` shows pixels of the image."""
    if all(datum.visible is None for datum in data.values()):
        raise UserError(
            f"keep_known keeps the pixels that a masked image shows, but the batch knows {sorted(data) or 'nothing'}: give "
            '"masked_image" and "mask", or sample without keep_known.'
        )
