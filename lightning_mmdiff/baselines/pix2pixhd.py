"""Pix2PixHD (Wang et al., CVPR 2018): a residual generator, discriminators at two sizes, least squares, matched features."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_mmdiff.baselines.adversarial import (
    AdversarialConfig,
    AdversarialModel,
    Example,
    Noise,
    frozen_call,
    halves,
)
from lightning_mmdiff.baselines.labels import LabelMaps, num_classes, one_hot
from lightning_mmdiff.baselines.losses import feature_matching, least_squares
from lightning_mmdiff.baselines.patches import MultiScaleDiscriminator
from lightning_mmdiff.baselines.perceptual import Perceptual, PerceptualNetwork
from lightning_mmdiff.baselines.resnet_generator import ResnetGenerator
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class Pix2PixHDConfig(AdversarialConfig):
    """Architecture and losses; the defaults are the published "global" generator and the released options."""

    step_work: ClassVar[float] = 2.0
    labels: LabelMaps
    """The maps whose channels are the classes."""
    width: int = 64
    num_downs: int = 4
    num_blocks: int = 9
    discriminator_width: int = 64
    perceptual: PerceptualNetwork | None = "vgg19"
    """Network of the perceptual loss; None omits it."""
    perceptual_enlargement: int = 1
    """Factor by which images are enlarged for that network; without it, it hardly sees a pattern of two pixels."""
    feature_weight: float = 10.0
    perceptual_weight: float = 10.0
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "width", "num_downs", "num_blocks", "discriminator_width", "perceptual_enlargement")
        self._at_least(0, "feature_weight", "perceptual_weight")

    def build(self, *, seed: int) -> "Pix2PixHD":
        """Build both networks."""
        return Pix2PixHD(self, seed=seed)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Name of the perceptual network's file."""
        return ("vgg19",) if self.perceptual == "vgg19" else ()


class Pix2PixHD(AdversarialModel):
    """Pix2PixHD without instance maps: the label map alone decides the image."""

    config: Pix2PixHDConfig
    unsaved = ("perceptual",)

    def build_networks(self) -> None:
        """Set generator, discriminator and perceptual loss."""
        config = self.config
        classes = num_classes(config.labels)
        self.generator = ResnetGenerator(classes, config.width, config.num_downs, config.num_blocks)
        self.discriminator = MultiScaleDiscriminator(classes + 3, config.discriminator_width, "instance")
        self.perceptual: nn.Module | None = None
        if config.perceptual:
            self.perceptual = Perceptual(config.perceptual, enlargement=config.perceptual_enlargement)
        self._fake: Tensor | None = None

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the one-hot label map, [B, K, S, S]."""
        return one_hot(conditions, self.config.labels, like)

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for one-hot label maps [B, K, S, S]; there is no noise."""
        return self.generator(condition)

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the sum over scales of the least squares, 10 x matched features and 10 x the perceptual loss, as released."""
        fake, config = self.generator(example.condition), self.config
        self._fake = fake.detach()
        pairs = torch.cat([torch.cat([example.condition, image], dim=1) for image in (fake, example.image)])
        fakes, reals = halves(frozen_call(self.discriminator, pairs))
        loss = torch.stack([least_squares(scale[-1], True) for scale in fakes]).sum()
        matched = torch.stack([feature_matching(a[:-1], b[:-1]) for a, b in zip(fakes, reals)])
        loss = loss + config.feature_weight * matched.mean()
        if self.perceptual is not None:
            loss = loss + config.perceptual_weight * self.perceptual(fake, example.image)
        return loss

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return half the least squares on real images and on those of the generator's turn, summed over scales."""
        assert self._fake is not None, "the generator's turn comes first"
        real = self.discriminator(torch.cat([example.condition, example.image], dim=1))
        fake = self.discriminator(torch.cat([example.condition, self._fake], dim=1))
        losses = [least_squares(a[-1], False) + least_squares(b[-1], True) for a, b in zip(fake, real)]
        return 0.5 * torch.stack(losses).sum()
