"""pix2pix (Isola et al., CVPR 2017): a U-Net with dropout as its noise, an L1 loss, a conditional patch discriminator."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_mmdiff.baselines.adversarial import AdversarialConfig, AdversarialModel, Example, Noise, frozen_call
from lightning_mmdiff.baselines.losses import cross_entropy
from lightning_mmdiff.baselines.pix2pix_unet import Pix2PixUNet
from lightning_mmdiff.images import to_float
from lightning_mmdiff.networks.patch_discriminator import PatchDiscriminator
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(AdversarialConfig):
    """Architecture and losses; the defaults are the published values (Sec. 3.3 and App. 6)."""

    source: str
    """Condition that is translated, a picture uint8 [B, 3, S, S]."""
    width: int = 64
    num_downs: int = 8
    """Steps down to one pixel: 8 at 256 pixels."""
    discriminator_width: int = 64
    discriminator_layers: int = 3
    """Layers of the discriminator with stride 2; 3 need images of 24 pixels or more."""
    l1_weight: float = 100.0
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "width", "discriminator_width", "discriminator_layers")
        self._at_least(4, "num_downs")
        self._at_least(0, "l1_weight")

    def build(self, *, seed: int) -> "Pix2Pix":
        """Build both networks."""
        return Pix2Pix(self, seed=seed)

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """The picture that is translated."""
        return (self.source,)


class Pix2Pix(AdversarialModel):
    """pix2pix; the discriminator steps first, on the images of the generator's coming turn."""

    config: Pix2PixConfig
    discriminator_first = True

    def build_networks(self) -> None:
        """Set both networks."""
        config = self.config
        self.generator = Pix2PixUNet(config.width, config.num_downs)
        self.discriminator = PatchDiscriminator(config.discriminator_width, config.discriminator_layers, channels_in=6)
        self._fake: Tensor | None = None

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the picture to translate, [B, 3, S, S] in [-1, 1]."""
        return to_float(conditions[self.config.source]).to(like)

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return the translation, [B, 3, S, S] in [-1, 1], of pictures [B, 3, S, S]; dropout acts here too, as published."""
        return self.generator(condition, noise)

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return half the cross-entropy on real and generated pairs."""
        self._fake = self.generate(example.condition, self.noise(len(example.image), generator))
        fake = self.discriminator(torch.cat([example.condition, self._fake.detach()], dim=1))
        real = self.discriminator(torch.cat([example.condition, example.image], dim=1))
        return 0.5 * (cross_entropy(fake, False) + cross_entropy(real, True))

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy of the same images being taken for real, and 100 times their L1 error."""
        assert self._fake is not None, "the discriminator's turn comes first"
        fake, self._fake = self._fake, None
        logits = frozen_call(self.discriminator, torch.cat([example.condition, fake], dim=1))
        return cross_entropy(logits, True) + self.config.l1_weight * F.l1_loss(fake, example.image)
