"""A diffusion model with any conditions: DDPM's simple loss, eps, v or z_0 prediction, and Improved DDPM's hybrid loss.

Ho et al. 2020 (simple loss), Salimans and Ho 2022 (v), Nichol and Dhariwal 2021 (learned variance), Hang et al. 2023 (min-SNR).
This is Unite and Conquer's uni-modal expert (Sec. 3.2 and supplement 7.3) and the single-model row of its Table 4.
With a label it is ADM (Dhariwal & Nichol 2021), class-conditional, or unconditional if the label is absent or dropped:
the ADM rows of MT-Diffusion's Tables 2 and 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.diffusion import DiffusionModel, Encoded
from lightning_mmdiff.models.training import summed
from lightning_mmdiff.networks.conditions import ConditionConfig, ConditionEncoder, drop
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.prediction import denoising_losses, noise_from
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig(ModelConfig):
    """Architecture and loss of one diffusion model."""

    network: UNetConfig
    conditions: ConditionConfig
    image_size: int
    """Height and width in pixels."""
    image_channels: int = 3
    schedule: schedules.ScheduleName = "linear"
    prediction: Prediction = "eps"
    learned_variance: bool = False
    """Whether the network also outputs the interpolated log variance; this adds the variational bound to the loss."""
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is the simple loss (unit weight on the prediction error)."""
    subsets: tuple[tuple[tuple[str, ...], float], ...] = ()
    """Subsets of conditions to keep for a training image, with their probabilities (sum 1). Empty: keep all."""
    optimizer: OptimizerConfig

    def build(self, *, seed: int, embedder: nn.Module | None = None) -> "Denoiser":
        """Build the model; ``embedder`` is required if it is conditioned on an embedding."""
        return Denoiser(self, embedder=embedder, seed=seed)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "image_size", "image_channels")
        self._positive("min_snr")
        network, embedding, label = self.network, self.conditions.embedding, self.conditions.label
        if self.image_size % network.multiple:
            raise UserError(
                f"image_size {self.image_size} must be a multiple of {network.multiple}, as the network halves it."
            )
        if self.learned_variance and self.prediction != "eps":
            raise UserError(f"learned_variance needs prediction='eps', not {self.prediction!r}.")
        own = self.image_channels
        channels = (own + self.conditions.channels, (2 if self.learned_variance else 1) * own)
        if (network.in_channels, network.out_channels) != channels:
            raise UserError(
                f"The network has {network.in_channels} input and {network.out_channels} output channels; expected "
                f"{channels[0]}, {own} of the image and {self.conditions.channels} of the conditions, and {channels[1]} "
                f"(learned_variance={self.learned_variance})."
            )
        if network.embedding_dim != (embedding[1] if embedding else None):
            raise UserError(
                f"The network has embedding_dim={network.embedding_dim}, but the embedding of the conditions is {embedding}: "
                "give both the same width, or neither any."
            )
        if network.num_classes != (label[1] if label else None):
            raise UserError(
                f"The network has num_classes={network.num_classes}, but the label of the conditions is {label}: "
                "give both the same number of classes, or neither any."
            )
        self._check_subsets()

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the label."""
        return self.conditions.label[1] if self.conditions.label else None

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """The U-Net."""
        return (self.network,)

    @property
    def pixels(self) -> int:
        """Height and width of the training images."""
        return self.image_size

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that training batches must contain; they would be null otherwise. Embeddings are computed from the image."""
        label = self.conditions.label
        return (*(name for name, _ in self.conditions.spatial), *((label[0],) if label else ()))

    def _check_subsets(self) -> None:
        kept, shares = {name for names, _ in self.subsets for name in names}, [share for _, share in self.subsets]
        if unknown := sorted(kept - set(self.conditions.names)):
            raise UserError(f"subsets keep {unknown}; the conditions are {list(self.conditions.names)}.")
        if self.subsets and (min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
            raise UserError(
                f"The probabilities of subsets must be positive and sum to 1; {shares} sum to {sum(shares):g}."
            )


class Denoiser(DiffusionModel):
    """A diffusion model in pixel space, p(z | conditions)."""

    unsaved = ("embedder",)

    def __init__(
        self,
        config: DenoiserConfig,
        *,
        embedder: nn.Module | None = None,
        sampler: schedules.Sampler | None = None,
        seed: int = 0,
    ):
        """Build the network.

        Args:
            config: architecture and loss.
            embedder: frozen model with ``embed_images`` and ``embed_text`` (CLIP, FaRL). Sampling uses text embeddings; training
                uses them for batches with captions, and image embeddings otherwise (supplement 7.3). Never stored.
            sampler: sampler for ``predict_step``; default DDIM with 50 steps.
            seed: seed of the initial weights, timesteps, noise and dropped conditions.
        """
        super().__init__(
            sampler=sampler or schedules.Sampler(name="ddim", num_steps=50),
            schedule=schedules.by_name(config.schedule),
            shape=(config.image_channels, config.image_size, config.image_size),
            sampling_seed=seed,
        )
        self.config, self.seed, self.optimizer_config = config, seed, config.optimizer
        self.condition_names = config.conditions.names
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.condition_encoder = ConditionEncoder(config.conditions)
            self.network = config.network.build()
        self.embedder = embedder.requires_grad_(False).eval() if embedder is not None else None

    def embed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the conditions of a training batch; embeddings are of the caption, or of the image if there are no captions."""
        conditions = dict(self.encode_conditions(batch.get("conditions", {})))
        if self.config.conditions.embedding is not None and "caption" not in conditions:
            conditions[self.config.conditions.embedding[0]] = self._embedder().embed_images(batch["image"])  # Eq. 20
        return conditions

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Replace captions by their text embeddings, [B, D], if this model is conditioned on an embedding."""
        if self.config.conditions.embedding is None or "caption" not in conditions:
            return conditions
        name = self.config.conditions.embedding[0]
        return {
            **conditions,
            name: self._embedder().embed_text(conditions["caption"]),
        }  # supplement 7.3: text at sampling

    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        """Encode the conditions this model knows: maps to concatenate [B, Cc, H, W], embedding [B, D] and classes [B]."""
        known = {k: conditions[k] for k in self.config.conditions.names if k in conditions}
        channels, embedding = self.condition_encoder(known, batch_size, self.config.image_size, self.device)
        labels = self.condition_encoder.labels(known, batch_size, self.device)
        return Encoded(channels=channels, embedding=embedding, labels=labels)

    def forward(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        """Return the raw network output, [B, 3 or 6, H, W], for z_t [B, 3, H, W] at t [B]."""
        x = z if encoded.channels is None else torch.cat([z, encoded.channels.to(z.dtype)], dim=1)
        if encoded.labels is None:
            return self.network(x, t, encoded.embedding)
        return self.network(x, t, encoded.embedding, encoded.labels)

    def predict_eps(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        """Return the predicted noise eps_theta(z_t, x, t), [B, 3, H, W]."""
        output = self(z, t, encoded)[:, : z.shape[1]]
        return noise_from(self.schedule, self.config.prediction, output, z, t)

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise, conditionally and without guidance; with a learned variance [B, 6, H, W], for the scheduler."""
        if self.config.learned_variance and self.sampler.variance == "learned_range":
            return self(z, t.expand(len(z)), self.encode(conditions, len(z)))
        return super().predict_noise(z, t, conditions)

    def clean(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the images of a batch as pixels in [-1, 1], [B, 3, H, W]."""
        return images.to_float(batch["image"].to(self.device))

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the simple (or hybrid) loss of ``batch``, a scalar; all randomness comes from ``generator``."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``loss`` and, with a learned variance, its two terms."""
        z0 = self.clean(batch, generator)
        t = seeding.randint(len(self.schedule), len(z0), generator)
        eps = moved(seeding.randn(z0.shape, generator), z0.device)
        z = self.schedule.add_noise(z0, eps, t)
        conditions = self._drop(self.embed(batch), len(z0), generator)
        output = self(z, t, self.encode(conditions, len(z0)))
        parts = denoising_losses(
            self.schedule, output, z0, eps, z, t,
            prediction=self.config.prediction, min_snr=self.config.min_snr,
            learned_variance=self.config.learned_variance,
        )  # fmt: skip
        return summed(parts)

    def _drop(self, conditions: Conditions, batch_size: int, generator: torch.Generator) -> Conditions:
        """Keep a random subset of each image's conditions, drawn from ``config.subsets``; a batch may lack some of them."""
        if not self.config.subsets:
            return conditions
        probabilities = torch.tensor([p for _, p in self.config.subsets])
        keep = seeding.choice(probabilities, batch_size, generator)
        return drop(conditions, keep, [[n for n in names if n in conditions] for names, _ in self.config.subsets])

    def _embedder(self) -> Any:
        if self.embedder is None:
            raise UserError("This model is conditioned on an embedding: pass embedder= (a CLIP-like model).")
        return self.embedder
