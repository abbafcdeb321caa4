"""SPADE (Park et al., CVPR 2019): a label map becomes an image by spatially adaptive normalization."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
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
from lightning_mmdiff.baselines.losses import feature_matching, hinge_discriminator, hinge_generator
from lightning_mmdiff.baselines.patches import MultiScaleDiscriminator
from lightning_mmdiff.baselines.perceptual import WEIGHTS, Perceptual, PerceptualNetwork
from lightning_mmdiff.baselines.spatially_adaptive import (
    INIT_GAIN,
    ResidualDecoder,
    SpatiallyAdaptiveNorm,
    rescale,
    xavier,
)
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class SpadeConfig(AdversarialConfig):
    """Architecture and losses; the defaults are the published values (Sec. 4 and the released options)."""

    step_work: ClassVar[float] = 2.5
    labels: LabelMaps
    """The maps whose channels are the classes."""
    width: int = 64
    multipliers: tuple[int, ...] = (16, 16, 16, 8, 4, 2, 1)
    """Width of each block, in units of ``width``."""
    label_width: int = 128
    """Width of the small network in each norm."""
    discriminator_width: int = 64
    perceptual: PerceptualNetwork | None = "vgg19"
    """Network of the perceptual loss; None omits it."""
    feature_weight: float = 10.0
    perceptual_weight: float = 10.0
    initial_gain: float = INIT_GAIN
    """Gain of the initial weights under spectral norm. It changes no output, but how far a step of Adam turns the weights."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4, betas=(0.0, 0.9))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=4e-4, betas=(0.0, 0.9))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "width", "label_width", "discriminator_width")
        self._at_least(0, "feature_weight", "perceptual_weight")
        self._positive("initial_gain")

    def build(self, *, seed: int) -> "LabelsToImage":
        """Build both networks."""
        return Spade(self, seed=seed)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Name of the perceptual network's file."""
        return ("vgg19",) if self.perceptual == "vgg19" else ()

    @property
    def upsampled(self) -> tuple[bool, ...]:
        """For each block, whether the image doubles in size before it: all but the first and the third."""
        return tuple(i not in (0, 2) for i in range(len(self.multipliers)))

    @property
    def smallest(self) -> int:
        """Height and width of the first block's input."""
        return self.image_size // 2 ** sum(self.upsampled)


class SpadeGenerator(nn.Module):
    """The label map at the smallest size through a convolution, then residual blocks that read it in every norm."""

    def __init__(self, config: SpadeConfig) -> None:
        super().__init__()
        classes = num_classes(config.labels)
        widths = [config.width * m for m in (config.multipliers[0], *config.multipliers)]
        self.smallest = config.smallest
        self.first = xavier(nn.Conv2d(classes, widths[0], 3, padding=1))
        self.decoder = ResidualDecoder(
            widths, config.upsampled, lambda c: SpatiallyAdaptiveNorm(c, classes, config.label_width)
        )

    def forward(self, labels: Tensor) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for one-hot label maps [B, K, S, S]."""
        return self.decoder(self.first(F.interpolate(labels, (self.smallest,) * 2, mode="nearest")), labels)


class LabelsToImage(AdversarialModel):
    """Common training of SPADE and its descendants: hinge loss, feature matching and perceptual loss."""

    unsaved = ("perceptual",)
    perceptual: nn.Module | None
    config: SpadeConfig
    first_matched = 0
    """First layer of the discriminator whose features are matched."""
    stage_weights = WEIGHTS
    """Weights of the resolutions of the perceptual loss."""

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the one-hot label map, [B, K, S, S]."""
        return one_hot(conditions, self.config.labels, like)

    def build_discriminator(self) -> None:
        """Set the discriminator of label maps and images, and the perceptual loss; scale both networks' weights."""
        config = self.config
        channels = num_classes(config.labels) + 3
        self.discriminator = MultiScaleDiscriminator(channels, config.discriminator_width, "spectral-instance")
        self.perceptual = Perceptual(config.perceptual, self.stage_weights) if config.perceptual else None
        rescale(self, config.initial_gain)

    def compared(
        self, example: Example, fake: Tensor, *, frozen: bool
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Return the discriminator's outputs for generated and real images, both in one batch, by scale and layer."""
        pairs = torch.cat([torch.cat([example.condition, image], dim=1) for image in (fake, example.image)])
        return halves(frozen_call(self.discriminator, pairs) if frozen else self.discriminator(pairs))

    def adversarial_loss(self, example: Example, fake: Tensor) -> Tensor:
        """Return hinge loss, feature matching and perceptual loss of the generator, a scalar."""
        config = self.config
        fakes, reals = self.compared(example, fake, frozen=True)
        loss = torch.stack([hinge_generator(scale[-1]) for scale in fakes]).mean()
        matched = [
            feature_matching(a[self.first_matched : -1], b[self.first_matched : -1]) for a, b in zip(fakes, reals)
        ]
        loss = loss + config.feature_weight * torch.stack(matched).mean()
        if self.perceptual is not None:
            loss = loss + config.perceptual_weight * self.perceptual(fake, example.image)
        return loss

    def training_fake(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the generator's images for a training batch, [B, 3, S, S]."""
        return self.generate(example.condition, self.noise(len(example.image), generator))

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the generator's loss."""
        return self.adversarial_loss(example, self.training_fake(example, generator))

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the hinge loss on new images of the generator that has just stepped, as released."""
        with torch.no_grad():
            fake = self.training_fake(example, generator)
        fakes, reals = self.compared(example, fake, frozen=False)
        losses = [hinge_discriminator(a[-1], False) + hinge_discriminator(b[-1], True) for a, b in zip(fakes, reals)]
        return torch.stack(losses).mean()


class Spade(LabelsToImage):
    """SPADE without its image encoder: the label map alone decides the image."""

    def build_networks(self) -> None:
        """Set generator, discriminator and perceptual loss."""
        self.generator = SpadeGenerator(self.config)
        self.build_discriminator()

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for one-hot label maps [B, K, S, S]; there is no noise."""
        return self.generator(condition)
