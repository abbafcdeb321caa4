"""OASIS (Schoenfeld et al., ICLR 2021): the discriminator is a segmentation network with one class more, "fake"."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.adversarial import AdversarialConfig, AdversarialModel, Example, Noise, frozen_call
from lightning_mmdiff.baselines.labels import LabelMaps, num_classes, one_hot
from lightning_mmdiff.baselines.oasis_discriminator import SegmentingDiscriminator
from lightning_mmdiff.baselines.spatially_adaptive import (
    INIT_GAIN,
    ResidualDecoder,
    SpatiallyAdaptiveNorm,
    rescale,
    xavier,
)
from lightning_mmdiff.networks.whole_batch import total
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class OasisConfig(AdversarialConfig):
    """Architecture and losses; the defaults are the published values (App. C and the released options)."""

    step_work: ClassVar[float] = 5.0
    labels: LabelMaps
    """The maps whose channels are the classes."""
    width: int = 64
    multipliers: tuple[int, ...] = (16, 16, 16, 8, 4, 2, 1)
    """Width before the first block and after each, in units of ``width``."""
    label_width: int = 128
    noise_channels: int = 64
    """Channels of the noise, the same at every pixel of an image."""
    discriminator_widths: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    """Channels after each step down of the discriminator."""
    last_width: int = 64
    """Channels after the discriminator's last step up."""
    mix_weight: float = 10.0
    """Weight of LabelMix."""
    initial_gain: float = INIT_GAIN
    """Gain of the initial weights under spectral norm. It changes no output, but how far a step of Adam turns the weights."""
    average_decay: float = 0.9999
    """Weight of the old average of the generator at each step; images are made by the average."""
    statistics_batches: int = 50
    """Number of training batches from which the average's batch norms take their statistics."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4, betas=(0.0, 0.999))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=4e-4, betas=(0.0, 0.999))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "width", "label_width", "noise_channels", "last_width", "statistics_batches")
        self._at_least(0, "mix_weight")
        self._positive("initial_gain")
        self._decays("average_decay")

    def build(self, *, seed: int) -> "Oasis":
        """Build both networks."""
        return Oasis(self, seed=seed)


class OasisGenerator(nn.Module):
    """SPADE's blocks; noise and label map are read in every norm, and first of all at the smallest size."""

    def __init__(self, config: OasisConfig) -> None:
        super().__init__()
        channels = num_classes(config.labels) + config.noise_channels
        widths = [config.width * m for m in config.multipliers]
        upsampled = [i > 0 for i in range(len(widths) - 1)]
        self.smallest = config.image_size // 2 ** sum(upsampled)
        self.first = xavier(nn.Conv2d(channels, widths[0], 3, padding=1))
        self.decoder = ResidualDecoder(
            widths, upsampled, lambda c: SpatiallyAdaptiveNorm(c, channels, config.label_width)
        )

    def forward(self, labels: Tensor, z: Tensor) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for one-hot label maps [B, K, S, S] and noise [B, noise_channels]."""
        noise = z[:, :, None, None].expand(-1, -1, *labels.shape[2:])
        both = torch.cat([noise, labels], dim=1)
        return self.decoder(self.first(F.interpolate(both, (self.smallest,) * 2, mode="nearest")), both)


def class_weights(counts: Tensor) -> Tensor:
    """Return the weight of each class, [K], inverse to its share of a batch's pixels (Eq. 2), ``counts`` [K]; 0 if absent.

    The weights of the classes present are pixels / (count x present), so that their sum over pixels is the pixel count.
    """
    present = counts > 0
    return torch.where(present, counts.sum() / (counts.clamp(min=1) * present.sum()), 0.0)


def segmentation_loss(logits: Tensor, labels: Tensor, *, weights: Tensor) -> Tensor:
    """Return the weighted cross-entropy of real classes (Eq. 1), the mean over pixels.

    Args:
        logits: [B, K + 1, S, S]; channel 0 is "fake".
        labels: one-hot, [B, K, S, S].
        weights: weight of each class, [K].
    """
    errors = F.cross_entropy(logits, labels.argmax(dim=1) + 1, reduction="none")
    return (errors * weights[labels.argmax(dim=1)]).mean()


def fake_loss(logits: Tensor) -> Tensor:
    """Return the cross-entropy of logits [B, K + 1, S, S] against "fake" at every pixel, a scalar."""
    return -logits.log_softmax(dim=1)[:, 0].mean()


def mix_mask(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return LabelMix's mask [B, 1, S, S], 0 or 1: all pixels of a class, in the whole batch, fall on the same side."""
    sides = torch.randint(2, (labels.shape[1],), generator=generator).to(labels)
    return torch.einsum("k,bkhw->bhw", sides, labels)[:, None]


class Oasis(AdversarialModel):
    """OASIS: no perceptual loss, no feature matching; a label map and 64 numbers of noise decide the image."""

    config: OasisConfig

    def build_networks(self) -> None:
        """Set the generator, its average and the discriminator."""
        config = self.config
        self.generator = OasisGenerator(config)
        self.discriminator = SegmentingDiscriminator(
            config.discriminator_widths, config.last_width, num_classes(config.labels) + 1
        )
        rescale(self, config.initial_gain)
        self.average = deepcopy(self.generator).requires_grad_(False)

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the one-hot label map, [B, K, S, S]."""
        return one_hot(conditions, self.config.labels, like)

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return the average generator's images, [B, 3, S, S] in [-1, 1]."""
        return self.average(condition, noise(self.config.noise_channels))

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the loss of the generator: its pixels should be taken for their classes."""
        z = self.noise(len(example.image), generator)(self.config.noise_channels)
        logits = frozen_call(self.discriminator, self.generator(example.condition, z))
        return segmentation_loss(logits, example.condition, weights=self._weights(example.condition, generator))

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the loss of Eq. 3 and LabelMix (Eq. 4), on new images of the generator that has just stepped."""
        labels, real = example.condition, example.image
        with torch.no_grad():
            fake = self.generator(labels, self.noise(len(real), generator)(self.config.noise_channels))
        mask = mix_mask(labels, generator)
        on_fake, on_real, on_mixed = self.discriminator(torch.cat([fake, real, mask * real + (1 - mask) * fake])).chunk(
            3
        )
        loss = fake_loss(on_fake) + segmentation_loss(on_real, labels, weights=self._weights(labels, generator))
        return loss + self.config.mix_weight * F.mse_loss(on_mixed, mask * on_real + (1 - mask) * on_fake)

    @staticmethod
    def _weights(labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights of classes in the batch that all processes have together."""
        counts = labels.sum(dim=(0, 2, 3))
        return class_weights(total(counts) if seeding.processes(generator) > 1 else counts)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:  # type: ignore[override]
        """Step with each network in turn, then move the average; a hook after the step would run after the checkpoint."""
        super().training_step(batch, batch_idx)
        self.move_average()

    @torch.no_grad()
    def move_average(self) -> None:
        """Move the average: parameters by its decay, everything else by copying."""
        new, decay = dict(self.generator.named_parameters()), self.config.average_decay
        torch._foreach_lerp_([p for _, p in self.average.named_parameters()], list(new.values()), 1 - decay)
        for old, current in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            old.copy_(current)

    def on_fit_end(self) -> None:
        """Measure the statistics of the average's batch norms on training batches, as released."""
        loader: Any = self.trainer.train_dataloader
        self.measure_statistics(islice(iter(loader), self.config.statistics_batches))

    @torch.no_grad()
    def measure_statistics(self, batches: Iterator[Any]) -> None:
        """Set the batch norms' means and variances to their averages over ``batches``."""
        norms: Any = [layer for layer in self.average.modules() if isinstance(layer, _BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
        self.average.train()
        for number, batch in enumerate(batches):
            labels = self.example({**batch, "image": batch["image"].to(self.device)}).condition
            draws = seeding.shared(torch.Generator().manual_seed(number), self.global_rank, self.processes)
            self.average(labels, self.noise(len(labels), draws)(self.config.noise_channels))
        self.average.eval()
