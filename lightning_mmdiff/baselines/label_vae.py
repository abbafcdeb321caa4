"""A conditional VAE (Sohn et al. 2015): encoder and decoder read the label (lecture, Bereyhi 2025, Ch. 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.baselines.label_networks import LabelDecoder, LabelEncoder, LabelModelConfig
from lightning_mmdiff.baselines.losses import standard_normal_divergence
from lightning_mmdiff.models.training import SupervisedModel, summed


@dataclass(frozen=True, kw_only=True)
class LabelVAEConfig(LabelModelConfig):
    """The spread of a pixel, beside both networks."""

    deviation: float = 0.3
    """Standard deviation of a pixel given z and label, for pixels in [-1, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("deviation")

    def build(self, *, seed: int) -> "LabelVAE":
        """Build both networks."""
        return LabelVAE(self, seed=seed)


class LabelVAE(SupervisedModel):
    """A VAE of images given their label; samples are the means of pixels for z ~ N(0, I)."""

    unsaved = ()

    def __init__(self, config: LabelVAEConfig, *, seed: int) -> None:
        super().__init__(config.optimizer, seed=seed)
        self.config, self.sampling_seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = LabelEncoder(config.network, 2 * config.network.latent_dim)
            self.decoder = LabelDecoder(config.network)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the negative evidence lower bound without its constant, the mean over images, a scalar."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return error of the pixels and divergence of the posterior, both the mean over images, and their sum."""
        image, labels = images.to_float(batch["image"]), batch["conditions"]["label"]
        mean, log_variance = self.encoder(image, labels).chunk(2, dim=1)
        z = mean + (0.5 * log_variance).exp() * seeding.randn(tuple(mean.shape), generator).to(mean)
        error = (self.decoder(z, labels) - image).square().sum() / (2 * self.config.deviation**2)
        divergence = standard_normal_divergence(mean, log_variance)
        return summed({"pixels": error / len(image), "divergence": divergence / len(image)})

    @torch.inference_mode()
    def predict_step(self, batch: Mapping[str, Any], batch_idx: int = 0) -> Tensor:
        """Decode one draw for each item, uint8 [B, 3, S, S]; image i depends on (sampling seed, i) alone."""
        generators = [seeding.image_generator(self.sampling_seed, int(i)) for i in batch["index"]]
        z = torch.stack([torch.randn(self.config.network.latent_dim, generator=g) for g in generators])
        labels = batch["conditions"]["label"].to(self.device)
        return images.to_uint8(self.decoder(z.to(self.device), labels)).cpu()
