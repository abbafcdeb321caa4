"""INADE (Tan et al., CVPR 2021): class-level affine parameters, modulated by noise that each class of an image has of its own.

Here a class is one instance, as the released code makes faces. The released layer drops the last channel of its label map as
an edge map, so that a run without instances silently loses its last class; ours has no edge map and loses none.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.adversarial import Example, Noise
from lightning_mmdiff.baselines.inade_encoder import InstanceEncoder
from lightning_mmdiff.baselines.labels import num_classes
from lightning_mmdiff.baselines.losses import standard_normal_divergence
from lightning_mmdiff.baselines.spade import LabelsToImage, SpadeConfig
from lightning_mmdiff.baselines.spatially_adaptive import ResidualDecoder, xavier
from lightning_mmdiff.networks.whole_batch import BatchNorm


@dataclass(frozen=True, kw_only=True)
class InadeConfig(SpadeConfig):
    """SPADE's settings, and those of the noise; ``label_width`` is unused by this norm."""

    step_work: ClassVar[float] = 4.5
    latent_dim: int = 256
    """Width of the noise at the smallest size."""
    noise_dim: int = 64
    """Width of the noise of a class."""
    encoder_width: int = 64
    encoder_downs: int = 4
    """Steps down of the encoder, whose smallest map must have more than one pixel."""
    divergence_weight: float = 0.05

    def build(self, *, seed: int) -> "Inade":
        """Build all networks."""
        return Inade(self, seed=seed)


class InstanceAdaptiveNorm(nn.Module):
    """Batch norm without parameters; scale and shift of a pixel are W n + b, of its class (W, b) and its instance (n).

    Args:
        channels: number of channels of x.
        classes: number of classes.
        noise_dim: width of an instance's noise.
    """

    def __init__(self, channels: int, classes: int, noise_dim: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=False)
        self.weight = nn.Parameter(torch.rand(classes, channels, 2))
        self.bias = nn.Parameter(torch.zeros(classes, channels, 2))
        self.project = xavier(nn.Linear(noise_dim, channels))

    def forward(self, x: Tensor, condition: tuple[Tensor, Tensor]) -> Tensor:
        """Return the normalized x [B, C, h, w] under (label map [B, K, S, S], noise [B, K, 2, noise_dim])."""
        labels, noise = condition
        labels = F.interpolate(labels, x.shape[2:], mode="nearest")
        affine = self.weight * self.project(noise).transpose(2, 3) + self.bias  # [B, K, C, 2]
        scale, shift = torch.einsum("nkcp,nkhw->pnchw", affine, labels)
        return scale * self.norm(x) + shift


class InadeGenerator(nn.Module):
    """SPADE's blocks with the adaptive norm, from a vector of noise, and the encoder that training draws noise from."""

    def __init__(self, config: InadeConfig) -> None:
        super().__init__()
        classes = num_classes(config.labels)
        widths = [config.width * m for m in (config.multipliers[0], *config.multipliers)]
        self.shape = (widths[0], config.smallest, config.smallest)
        self.first = xavier(nn.Linear(config.latent_dim, widths[0] * config.smallest**2))
        self.decoder = ResidualDecoder(
            widths, config.upsampled, lambda c: InstanceAdaptiveNorm(c, classes, config.noise_dim)
        )

    def forward(self, labels: Tensor, z: Tensor, noise: Tensor) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1].

        Args:
            labels: one-hot, [B, K, S, S].
            z: noise of the image, [B, latent_dim].
            noise: noise of each class, for scale and shift, [B, K, 2, noise_dim].
        """
        return self.decoder(self.first(z).unflatten(1, self.shape), (labels, noise))


class Inade(LabelsToImage):
    """INADE: in training, the noise of each class is drawn from what the encoder makes of the real image."""

    config: InadeConfig
    generator: nn.ModuleDict
    first_matched = 3
    stage_weights = (0.0, 0.0, 0.0, 1 / 4, 1.0)

    def build_networks(self) -> None:
        """Set the generator with its encoder, the discriminator and the perceptual loss."""
        config = self.config
        decoder = InadeGenerator(config)
        encoder = InstanceEncoder(config.encoder_width, config.noise_dim, config.encoder_downs)
        self.generator = nn.ModuleDict({"decoder": decoder, "encoder": encoder})
        self.build_discriminator()

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for one-hot label maps [B, K, S, S], from N(0, I)."""
        z = noise(self.config.latent_dim)
        return self.generator["decoder"](condition, z, noise(condition.shape[1], 2, self.config.noise_dim))

    def training_fake(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return images with the noise that the encoder gives to the real images."""
        return self._encoded_fake(example, generator)[0]

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return SPADE's loss, and the divergence of the encoder's noise from N(0, I)."""
        fake, divergence = self._encoded_fake(example, generator)
        return self.adversarial_loss(example, fake) + self.config.divergence_weight * divergence

    def _encoded_fake(self, example: Example, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.generator["encoder"](example.image, example.condition)
        noise = self.noise(len(mean), generator)
        drawn = mean + (0.5 * log_variance).exp() * noise(*mean.shape[1:])
        fake = self.generator["decoder"](example.condition, noise(self.config.latent_dim), drawn)
        divergence = standard_normal_divergence(mean, log_variance) / 2
        return fake, seeding.processes(generator) * divergence  # a sum over the whole batch; processes take the mean
