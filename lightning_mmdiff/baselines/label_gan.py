"""A conditional GAN (Mirza & Osindero 2014): generator and discriminator read the label (lecture, Bereyhi 2025, Ch. 7)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.baselines.adversarial import AdversarialConfig, AdversarialModel, Example, Noise, frozen_call
from lightning_mmdiff.baselines.label_networks import LabelDecoder, LabelEncoder, LabelModelConfig
from lightning_mmdiff.baselines.losses import cross_entropy
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class LabelGANConfig(LabelModelConfig, AdversarialConfig):
    """Both networks; ``image_size`` is that of ``network``."""

    def build(self, *, seed: int) -> "LabelGAN":
        """Build both networks."""
        return LabelGAN(self, seed=seed)


class LabelGAN(AdversarialModel):
    """A GAN of images given their label, with the logistic loss that does not saturate."""

    config: LabelGANConfig

    def build_networks(self) -> None:
        """Set generator and discriminator."""
        self.generator = LabelDecoder(self.config.network)
        self.discriminator = LabelEncoder(self.config.network, 1)

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the classes, int64 [B]."""
        return conditions["label"].to(like.device)

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for classes, int64 [B]."""
        return self.generator(noise(self.config.network.latent_dim), condition)

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy of generated images taken for real ones of their label."""
        fake = self.generate(example.condition, self.noise(len(example.image), generator))
        return cross_entropy(frozen_call(self.discriminator, fake, example.condition), True)

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy on new images of the generator that has just stepped, and on real ones."""
        labels = example.condition
        with torch.no_grad():
            fake = self.generate(labels, self.noise(len(labels), generator))
        on_fake, on_real = self.discriminator(torch.cat([fake, example.image]), labels.repeat(2)).chunk(2)
        return cross_entropy(on_fake, False) + cross_entropy(on_real, True)
