"""Classifier of noisy images, p(y | z_t), for classifier guidance (ADM, Dhariwal & Nichol 2021, Sec. 4).

MT-Diffusion (ICLR 2024) uses it three times: for the guided rows of Table 3, as the head of MT-Diffusion-E, and, trained
alone, as the baseline of Fig. 6 (Sec. 4.2, App. E.3). Trained on clean images, it is an evaluator of objects.

Published training (ADM's README): 300,000 steps of 256 images, AdamW, learning rate 3e-4 decaying linearly to 0, weight
decay .05, random crops, noise of the diffusion model's schedule. ADM's README leaves the schedule at linear; the 64-pixel
model uses cosine, so its classifier must too. The classifier guides at any t, whatever its schedule (see
``classifier_guidance``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.evaluators import Degradation, degrade
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.networks.classifier import Classifier, ClassifierConfig
from lightning_mmdiff.networks.conditions import check_labels
from lightning_mmdiff.optimization import OptimizerConfig

PUBLISHED = OptimizerConfig(lr=3e-4, weight_decay=0.05, decay_steps=300_000)
"""ADM's optimizer, for 256 images per step."""


@dataclass(frozen=True, kw_only=True)
class NoisyClassifierConfig(ModelConfig):
    """Architecture and training of a classifier."""

    network: ClassifierConfig
    label: str = "label"
    """Name of the condition that holds the class, int64 [B]."""
    noised: bool = True
    """Whether to train on z_t at a random t; otherwise on clean images, all at t = 0."""
    schedule: schedules.ScheduleName = "cosine"
    """Noise schedule of z_t; used only if ``noised``."""
    degradation: Degradation | None = None
    """Random damage of clean images, which makes an evaluator robust to the artifacts of generated images."""
    optimizer: OptimizerConfig = PUBLISHED

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noised and self.degradation is not None:
            raise UserError("degradation damages clean images; a classifier of noised ones takes none.")

    @property
    def num_classes(self) -> int:
        """Number of classes that it tells apart."""
        return self.network.num_classes

    def build(self, *, seed: int) -> "NoisyClassifier":
        """Build the model."""
        return NoisyClassifier(self, seed=seed)


class NoisyClassifier(SupervisedModel):
    """Classifier of z_t or of clean images."""

    def __init__(self, config: NoisyClassifierConfig, *, seed: int = 0) -> None:
        """Build the network; ``seed`` determines its initial weights, timesteps and noise."""
        super().__init__(config.optimizer, seed=seed)
        self.config = config
        self.schedule = schedules.by_name(config.schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Classifier(config.network)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Return the logits, float32 [B, num_classes], for z_t [B, C, H, W] at t ([B] or a scalar)."""
        return self.network(z, t)

    @torch.no_grad()
    def predict(self, image: Tensor) -> Tensor:
        """Return class probabilities, float32 [B, num_classes], for clean images uint8 [B, 3, H, W], at t = 0.

        A classifier trained on noisy images saw one step of noise at t = 0, which is less than one gray level.
        """
        x = images.to_float(image.to(self.device))
        return self(x, torch.zeros(len(x), device=x.device)).softmax(dim=1)

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """Return the activations before pooling, averaged over positions, float32 [B, D], for clean images uint8 [B, 3, H, W]."""
        x = images.to_float(image.to(self.device))
        return self.network.features(x, torch.zeros(len(x), device=x.device)).float().mean(dim=(2, 3))

    def labels(self, conditions: Mapping[str, Any], batch_size: int) -> Tensor:
        """Return the classes, int64 [B], from a batch's conditions.

        Raises:
            UserError: if there is no label, or a class is out of range (including null, -1).
        """
        if self.config.label not in conditions:
            raise UserError(
                f"The classifier needs the condition {self.config.label!r} of each image, but the batch has "
                f"{sorted(conditions)}: request it from the data."
            )
        labels = conditions[self.config.label].to(self.device)
        check_labels(labels, batch_size, self.config.network.num_classes)
        return labels

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the class cross-entropy at a uniform t or for the clean image, a scalar; randomness comes from ``generator``."""
        x = images.to_float(batch["image"])
        labels = self.labels(batch.get("conditions", {}), len(x))
        t = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if self.config.noised:
            t = seeding.randint(len(self.schedule), len(x), generator).to(x.device)
            x = self.schedule.add_noise(x, seeding.randn(x.shape, generator).to(x.device), t)
        elif self.config.degradation is not None:
            x = degrade(x, self.config.degradation, generator)
        return F.cross_entropy(self(x, t), labels)
