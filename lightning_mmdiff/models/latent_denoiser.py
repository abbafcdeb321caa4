"""Uni-modal latent diffusion (Collaborative Diffusion, CVPR 2023, Sec. 3.1 and supplement A.1; Rombach et al. 2022).

One condition enters as tokens by cross-attention; its encoder is trained with the U-Net, the autoencoder is not.
The interface is that of ``Denoiser``, so every method that combines experts accepts this model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.diffusion import DiffusionModel, Encoded
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.tokens import TokensConfig
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.prediction import denoising_losses, noise_from
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class LatentDenoiserConfig(ModelConfig):
    """Architecture and loss of one latent diffusion model; the defaults are the published values."""

    network: CrossAttentionUNetConfig
    conditions: TokensConfig
    schedule: schedules.ScheduleName = "scaled_linear"
    prediction: Prediction = "eps"
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is the simple loss."""
    drop_probability: float = 0.0
    """Fraction of training images whose tokens are set to zero (null). The paper's models always see their condition, so they
    allow no guidance; Eq. 10 of Unite and Conquer needs it."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=6.4e-5, weight_decay=0.01)  # base rate 2e-6 x 32 images per step
    caches_latents = True

    def build(self, *, seed: int, autoencoder: VAE) -> "LatentDenoiser":
        """Build the model over a trained autoencoder."""
        return LatentDenoiser(self, autoencoder=autoencoder, seed=seed)

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """The U-Net."""
        return (self.network,)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the text tokenizer's files, if it is the published one."""
        return self.conditions.weight_files

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that training batches must contain; they would be null otherwise."""
        return (self.conditions.source,)

    @property
    def condition_sizes(self) -> dict[str, int]:
        """Height and width of the mask that the tokens are made from."""
        size = self.conditions.source_size
        return {} if size is None else {self.conditions.source: size}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("drop_probability")
        self._positive("min_snr")
        network = self.network
        if network.out_channels != network.in_channels:
            raise UserError(
                f"The network reads {network.in_channels} channels and makes {network.out_channels}; latents need as many."
            )
        if network.context_dim != self.conditions.width:
            raise UserError(
                f"The network takes tokens of width {network.context_dim}; the condition gives {self.conditions.width}."
            )


class LatentDenoiser(DiffusionModel):
    """A diffusion model p(latent | condition)."""

    unsaved = ("autoencoder",)

    def __init__(
        self,
        config: LatentDenoiserConfig,
        *,
        autoencoder: VAE,
        sampler: schedules.Sampler | None = None,
        seed: int = 0,
    ) -> None:
        """Build the network.

        Args:
            config: architecture and loss.
            autoencoder: trained, with a measured scale; frozen, and never stored in checkpoints.
            sampler: default DDIM as released: 50 steps, eta 1, timesteps 981, 961, ..., 1, no clipping.
            seed: seed of the initial weights, timesteps, noise and dropped conditions.

        Raises:
            UserError: if the sampler clips, or the network does not fit the latents.
        """
        super().__init__(
            sampler=sampler or released_sampler(),
            schedule=schedules.by_name(config.schedule),
            shape=autoencoder.config.latent_shape,
            sampling_seed=seed,
            latent=True,
        )
        if config.network.in_channels != self.shape[0]:
            raise UserError(
                f"The network takes latents of {config.network.in_channels} channels; the autoencoder gives {self.shape[0]}."
            )
        self.config, self.seed, self.optimizer_config = config, seed, config.optimizer
        self.condition_names, self.own_tokens = (config.conditions.name,), config.conditions.name
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.condition_encoder = config.conditions.build()
            self.network = CrossAttentionUNet(config.network)
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Add this model's condition tokens [B, L, D] if the batch contains their source."""
        tokens = self.config.conditions
        if tokens.source not in conditions or tokens.name in conditions:
            return conditions
        value = conditions[tokens.source]
        return {
            **conditions,
            tokens.name: self.condition_encoder(value.to(self.device) if isinstance(value, Tensor) else value),
        }

    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        """Return the tokens [B, L, D] from ``encode_conditions``, or zeros (null)."""
        tokens = self.config.conditions
        if tokens.name in conditions:
            return Encoded(embedding=conditions[tokens.name])
        return Encoded(embedding=torch.zeros(batch_size, tokens.length, tokens.width, device=self.device))

    def predict_eps(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        """Return the predicted noise eps_theta(x_t, t, c), [B, C, h, w]."""
        return noise_from(self.schedule, self.config.prediction, self.network(z, t, encoded.embedding), z, t)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode the latent to an image."""
        return self.autoencoder.decode(z)

    @property
    def space(self) -> VAE:
        """The autoencoder."""
        return self.autoencoder

    def encode_image(self, image: Tensor) -> Tensor:
        """Return the mean latent of an image."""
        return self.autoencoder.encode(image, image.new_zeros(len(image), *self.shape))

    @torch.no_grad()
    def clean(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the latents z_0 [B, C, h, w] of a batch: a sample of the posterior, not its mean, as released.

        The posterior is ``batch["moments"]`` [B, 2C, h, w] if cached, and that of the encoded image otherwise.
        """
        noise = moved(seeding.randn((len(batch["image"]), *self.shape), generator), self.device)
        if "moments" in batch:
            return self.autoencoder.latent(batch["moments"].to(self.device), noise)
        return self.autoencoder.encode(images.to_float(batch["image"].to(self.device)), noise)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the loss of Eq. 3 on latents, a scalar; all randomness comes from ``generator``."""
        z0 = self.clean(batch, generator)
        t = seeding.randint(len(self.schedule), len(z0), generator)
        eps = moved(seeding.randn(z0.shape, generator), z0.device)
        z = self.schedule.add_noise(z0, eps, t)
        tokens = self.encode(self.encode_conditions(batch.get("conditions", {})), len(z0)).embedding
        assert tokens is not None
        keep = seeding.rand((len(z0),), generator) >= self.config.drop_probability
        prediction = self.network(z, t, tokens * moved(keep, tokens.device, tokens.dtype).view(-1, 1, 1))
        parts = denoising_losses(
            self.schedule, prediction, z0, eps, z, t,
            prediction=self.config.prediction, min_snr=self.config.min_snr, learned_variance=False,
        )  # fmt: skip
        return parts["simple"]


def released_sampler() -> schedules.Sampler:
    """Return the released code's sampler: its last step still adds noise of standard deviation 0.027.

    With a number of steps that does not divide 1,000 the released code would take more: 31 for 30.
    """
    return schedules.Sampler(name="ddim", num_steps=50, eta=1.0, clip=False, spacing="leading")
