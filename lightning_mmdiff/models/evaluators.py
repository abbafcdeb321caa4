"""Evaluators of generated faces in the mini profile: a face parser and an attribute classifier.

An evaluator is independent of the conditioning models: it shares no weights with a denoiser or its text and image embedder,
and is trained only on real (rendered) images. Metric names include the evaluator's name; the papers' parser is in
``metrics.lapa_parser``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.configs import Config
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.networks.image_text import ImageEncoder
from lightning_mmdiff.networks.segmenter import Segmenter
from lightning_mmdiff.optimization import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Degradation(Config):
    """Random damage during training that makes an evaluator robust to the noise and tint of generated images.

    All amounts are on the scale of an image in [-1, 1]; each image draws its own amounts uniformly.
    """

    noise: float = 0.2
    """Largest standard deviation of Gaussian noise (0.2 is a tenth of the full range)."""
    brightness: float = 0.15
    """Largest shift of all channels."""
    color: float = 0.1
    """Largest shift of one channel."""
    contrast: float = 0.15
    """Largest relative change in the distance from mid-gray."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "noise", "brightness", "color")
        self._shares("contrast")  # above 1, some images would become negatives


@dataclass(frozen=True, kw_only=True)
class FaceParserConfig(ModelConfig):
    """Architecture and training of the mask evaluator."""

    num_classes: int = 19
    channels: tuple[int, int] = (48, 96)
    """Channels at S/2, and at S/4 and S/8; multiples of 8."""
    degradation: Degradation = Degradation()
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3, betas=(0.9, 0.99), warmup_steps=50, decay_steps=500)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(lambda number: 1 <= number <= 256, "1 to 256 classes (a label map is uint8)", "num_classes")
        self._multiples(8, "channels")

    def build(self, *, seed: int) -> "FaceParser":
        """Build the model."""
        return FaceParser(self, seed=seed)


@dataclass(frozen=True, kw_only=True)
class AttributeClassifierConfig(ModelConfig):
    """Architecture and training of the attribute evaluator."""

    attributes: tuple[int, ...]
    """Columns of ``batch["conditions"]["attributes"]`` to predict from the image, in output order."""
    channels: tuple[int, int, int] = (32, 64, 96)
    """Channels at S/2, S/4 and S/8; multiples of 8."""
    degradation: Degradation = Degradation()
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3, weight_decay=0.01, warmup_steps=50, decay_steps=600)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("attributes")
        self._at_least(0, "attributes")
        self._multiples(8, "channels")

    def build(self, *, seed: int) -> "AttributeClassifier":
        """Build the model."""
        return AttributeClassifier(self, seed=seed)


def degrade(x: Tensor, amount: Degradation, generator: torch.Generator) -> Tensor:
    """Damage images at random, each by its own amount.

    Args:
        x: images, float [-1, 1], [B, 3, H, W].
        amount: the largest damage.
        generator: a CPU generator.

    Returns:
        float [-1, 1], [B, 3, H, W].
    """

    def uniform(*shape: int) -> Tensor:
        return (2 * seeding.rand(shape, generator) - 1).to(x.device)  # [-1, 1)

    size = len(x)
    shift = amount.brightness * uniform(size, 1, 1, 1) + amount.color * uniform(size, 3, 1, 1)
    x = x * (1 + amount.contrast * uniform(size, 1, 1, 1)) + shift
    sigma = amount.noise * uniform(size, 1, 1, 1).abs()
    return (x + sigma * seeding.randn(x.shape, generator).to(x.device)).clamp(-1, 1)


class FaceParser(SupervisedModel):
    """Evaluator of masks: predicts the class of every pixel."""

    def __init__(self, config: FaceParserConfig, *, seed: int = 0) -> None:
        super().__init__(config.optimizer, seed=seed)
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Segmenter(config.num_classes, config.channels)

    @torch.no_grad()
    def parse(self, image: Tensor) -> Tensor:
        """Return the class of every pixel, uint8 [B, S, S], for images uint8 [B, 3, S, S], S a multiple of 8."""
        return self.network(images.to_float(image)).argmax(dim=1).to(torch.uint8)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the cross-entropy of ``batch["label_map"]`` given the damaged ``batch["image"]``."""
        x = degrade(images.to_float(batch["image"]), self.config.degradation, generator)
        return F.cross_entropy(self.network(x), batch["label_map"].long())


class AttributeClassifier(SupervisedModel):
    """Evaluator of text and attributes: predicts the probability of each attribute."""

    def __init__(self, config: AttributeClassifierConfig, *, seed: int = 0) -> None:
        super().__init__(config.optimizer, seed=seed)
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = ImageEncoder(len(config.attributes), config.channels)

    def target(self, attributes: Tensor) -> Tensor:
        """Select this evaluator's attributes, float [B, K] of 0 and 1, from all attributes, int8 [B, 40]."""
        return attributes[:, list(self.config.attributes)].float()

    @torch.no_grad()
    def predict(self, image: Tensor) -> Tensor:
        """Return the probability of each attribute, float [B, K], for images uint8 [B, 3, S, S]."""
        return self.network(images.to_float(image)).sigmoid()

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the binary cross-entropy of the attributes given the damaged ``batch["image"]``."""
        x = degrade(images.to_float(batch["image"]), self.config.degradation, generator)
        return F.binary_cross_entropy_with_logits(self.network(x), self.target(batch["conditions"]["attributes"]))
