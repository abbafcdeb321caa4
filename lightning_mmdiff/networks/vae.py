"""KL-regularized autoencoder (KL-f4): images to small latents and back (Collaborative Diffusion, supplement A.1).

It is diffusers' AutoencoderKL, which reproduces the released network exactly. A latent is scale * (a sample of the
posterior), where ``scale`` is 1 / std of the training latents. It is measured, stored with the weights, and never assumed:
the released 0.058 belongs only to the released weights (their latents have a standard deviation of 17).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError

LOG_VARIANCE_RANGE = (-30.0, 20.0)  # of the posterior, as latent diffusion clamps it


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Config):
    """Shape of the autoencoder. One latent position covers ``2 ** (levels - 1)`` pixels along each side."""

    image_size: int
    """Height and width in pixels."""
    channels: tuple[int, ...]
    """One width per level, finest first."""
    num_res_blocks: int = 2
    latent_channels: int = 3
    norm_groups: int = 32

    @property
    def factor(self) -> int:
        """Number of pixels per latent position, along each side."""
        return 2 ** (len(self.channels) - 1)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of a latent, [C, h, w]."""
        side = self.image_size // self.factor
        return (self.latent_channels, side, side)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("channels")
        self._at_least(1, "image_size", "channels", "num_res_blocks", "latent_channels", "norm_groups")
        if self.image_size % self.factor:
            raise UserError(f"image_size {self.image_size} must be a multiple of {self.factor}, the factor of the VAE.")
        if wrong := [width for width in self.channels if width % self.norm_groups]:
            raise UserError(f"channels {wrong} must be multiples of norm_groups {self.norm_groups}.")


def vae_256() -> VAEConfig:
    """Return the autoencoder from 256 pixels to 64 x 64 x 3; 55,312,063 parameters."""
    return VAEConfig(image_size=256, channels=(128, 256, 512))


def vae_512() -> VAEConfig:
    """Return the autoencoder from 512 pixels to 64 x 64 x 3; 83,639,999 parameters."""
    return VAEConfig(image_size=512, channels=(128, 256, 512, 512))


class VAE(nn.Module):
    """Encoder, decoder and the scale of the latents."""

    scale: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        levels = len(config.channels)
        self.network = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,  # type: ignore[arg-type]
            up_block_types=("UpDecoderBlock2D",) * levels,  # type: ignore[arg-type]
            block_out_channels=config.channels,  # type: ignore[arg-type]
            layers_per_block=config.num_res_blocks,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            sample_size=config.image_size,
        )
        self.register_buffer("scale", torch.tensor(float("nan")))

    def moments(self, image: Tensor) -> Tensor:
        """Return the mean, then the log variance, of the posterior: [B, 3, S, S] in [-1, 1] -> [B, 2C, h, w]."""
        if image.shape[1:] != (3, self.config.image_size, self.config.image_size):
            size = self.config.image_size
            raise UserError(f"The autoencoder got {list(image.shape)}; expected [B, 3, {size}, {size}].")
        mean, log_variance = self.network.quant_conv(self.network.encoder(image)).chunk(2, dim=1)
        return torch.cat([mean, log_variance.clamp(*LOG_VARIANCE_RANGE)], dim=1)

    def reconstruct(self, sample: Tensor) -> Tensor:
        """Decode unscaled samples of the posterior, [B, C, h, w], to images [B, 3, S, S] in about [-1, 1], not clamped."""
        return self.network.decode(sample, return_dict=False)[0]

    def encode(self, image: Tensor, noise: Tensor) -> Tensor:
        """Encode images to latents, scale * sample: [B, 3, S, S] in [-1, 1], noise [B, C, h, w] -> [B, C, h, w]."""
        return self.latent(self.moments(image), noise)

    def latent(self, moments: Tensor, noise: Tensor) -> Tensor:
        """Return latents [B, C, h, w], of std about 1, from ``moments`` [B, 2C, h, w] and noise [B, C, h, w]."""
        return self._measured_scale() * sample_posterior(moments, noise)

    def decode(self, latent: Tensor) -> Tensor:
        """Decode latents [B, C, h, w] to images [B, 3, S, S] in about [-1, 1]."""
        return self.reconstruct(latent / self._measured_scale())

    @torch.no_grad()
    def measure_scale(self, samples: Iterable[Tensor]) -> float:
        """Set the scale to 1 / std over all elements of ``samples``, posterior samples [B, C, h, w] of training images."""
        count, total, squares = 0, 0.0, 0.0
        for sample in samples:
            values = sample.double()
            count, total = count + values.numel(), total + values.sum().item()
            squares += values.square().sum().item()
        if count == 0 or not (variance := squares / count - (total / count) ** 2) > 0:
            raise UserError(f"The scale of the latents needs samples that vary; got {count} values.")
        self.scale.fill_(variance**-0.5)
        return self.scale.item()

    def _measured_scale(self) -> Tensor:
        if self.scale.isnan():
            raise UserError(
                "The scale of the latents was never measured: train the autoencoder, or call measure_scale."
            )
        return self.scale


def sample_posterior(moments: Tensor, noise: Tensor) -> Tensor:
    """Return mean + std * noise, [B, C, h, w], for ``moments`` [B, 2C, h, w]."""
    mean, log_variance = moments.chunk(2, dim=1)
    return mean + (0.5 * log_variance).exp() * noise


def kl_divergence(moments: Tensor) -> Tensor:
    """Return the KL of the posterior from N(0, I), [B]: 0.5 sum(mean^2 + variance - 1 - log variance) over each latent."""
    mean, log_variance = moments.chunk(2, dim=1)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=(1, 2, 3))
