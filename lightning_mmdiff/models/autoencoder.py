"""Training of latent diffusion's autoencoder (Collaborative Diffusion, CVPR 2023, supplement A.1, Eq. 8, as released).

Eq. 8 has L1, a VGG perceptual term and 1e-6 KL. The released code adds a patch discriminator (hinge loss, adaptive weight)
from step 50,001 on, and its reductions matter: see ``reconstruction_loss``. The perceptual term is LPIPS with the VGG16
trunk from disk; without that file, ``perceptual_weight`` must be 0, and the loss is L1 and KL alone.

Deviation: the released code updates the autoencoder first, and the discriminator sees the next reconstruction; here both
are updated at once, from the same reconstruction.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lpips
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from lightning_mmdiff import images, seeding, weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.networks.patch_discriminator import SMALLEST_IMAGE, PatchDiscriminator
from lightning_mmdiff.networks.vae import VAE, VAEConfig, kl_divergence, sample_posterior
from lightning_mmdiff.optimization import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(ModelConfig):
    """Architecture and loss; the defaults are the released values."""

    vae: VAEConfig
    kl_weight: float = 1e-6
    perceptual_weight: float = 1.0
    """Weight of LPIPS; 0 omits it and needs no weights on disk."""
    adversarial_weight: float = 0.5
    """Weight of the adversarial loss, multiplied by the adaptive weight; 0 omits the discriminator."""
    adversarial_start: int = 50_001
    """Training step from which the discriminator is used."""
    scale_batches: int = 16
    """Number of training batches used to measure the latents' scale after training."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=2.88e-4, betas=(0.5, 0.9))  # 4.5e-6 x 64 images per step

    def build(self, *, seed: int) -> "Autoencoder":
        """Build the model."""
        return Autoencoder(self, seed=seed)

    helper_prefix = "vae."

    def build_helper(self, *, seed: int, **helpers: Any) -> VAE:
        """Build the VAE alone, without the networks of its loss."""
        return VAE(self.vae)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Name of the perceptual network's weight file."""
        return ("vgg16",) if self.perceptual_weight else ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "kl_weight", "perceptual_weight", "adversarial_weight", "adversarial_start")
        self._at_least(1, "scale_batches")
        if self.adversarial_weight and self.vae.image_size < SMALLEST_IMAGE:
            raise UserError(
                f"The discriminator needs images of at least {SMALLEST_IMAGE} pixels, these have {self.vae.image_size}: set "
                "adversarial_weight to 0."
            )


def reconstruction_loss(image: Tensor, reconstruction: Tensor, perceptual: Tensor | float) -> Tensor:
    """Return L_rec + L_vgg of Eq. 8 as released: summed over pixels and channels, averaged over images.

    Args:
        image: [B, 3, S, S], float [-1, 1].
        reconstruction: [B, 3, S, S].
        perceptual: weighted perceptual distance of each image, [B, 1, 1, 1], added to the error of every pixel.

    Returns:
        Scalar. Compared with a mean over pixels, all other terms count 3 S^2 times less.
    """
    return ((image - reconstruction).abs() + perceptual).sum(dim=(1, 2, 3)).mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's loss, a scalar, from its logits on real and reconstructed images (any shape)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """Return the ratio of two losses' gradient norms at the decoder's last weight, in [0, 1e4] (Esser et al. 2021, Eq. 7)."""
    ours, theirs = (
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0] for loss in (reconstruction, adversarial)
    )
    return (ours.norm() / (theirs.norm() + 1e-4)).clamp(0, 1e4).detach()


class Autoencoder(SupervisedModel):
    """A VAE with its training losses; latent diffusion uses ``vae``."""

    unsaved = ("perceptual",)

    def __init__(self, config: AutoencoderConfig, *, perceptual: nn.Module | None = None, seed: int = 0) -> None:
        """Build the networks.

        Args:
            config: architecture and loss.
            perceptual: frozen distance of image pairs in [-1, 1], [B, 3, S, S] twice -> [B, 1, 1, 1]; default LPIPS with VGG16
                from disk unless ``perceptual_weight`` is 0. Never stored in checkpoints.
            seed: seed of the initial weights and posterior noise.
        """
        super().__init__(config.optimizer, seed=seed)
        self.config = config
        if perceptual is None and config.perceptual_weight:
            perceptual = lpips_vgg()
        self.perceptual = None if perceptual is None else perceptual.requires_grad_(False).eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vae = VAE(config.vae)
            self.discriminator = PatchDiscriminator() if config.adversarial_weight else None

    def train(self, mode: bool = True) -> "Autoencoder":
        """Set the training mode; the perceptual network stays in evaluation mode."""
        super().train(mode)
        if self.perceptual is not None:
            self.perceptual.eval()
        return self

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the loss of Eq. 8, plus the discriminator's two losses from ``adversarial_start`` on, as a scalar."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``loss`` and its terms as they stand in it, with their weights and summed over pixels, as scalars."""
        config, x = self.config, images.to_float(batch["image"])
        moments = self.vae.moments(x)
        noise = seeding.randn((len(x), *config.vae.latent_shape), generator).to(x.device)
        y = self.vae.reconstruct(sample_posterior(moments, noise))
        perceptual = config.perceptual_weight * self.perceptual(x, y) if self.perceptual is not None else x.new_zeros(1)
        reconstruction = reconstruction_loss(x, y, perceptual)
        kl = config.kl_weight * kl_divergence(moments).mean()
        loss, of_perceptual = reconstruction + kl, x[0].numel() * perceptual.detach().mean()  # Eq. 8
        parts = {"reconstruction": reconstruction.detach() - of_perceptual, "perceptual": of_perceptual, "kl": kl}
        if self.discriminator is None:
            return {"loss": loss, **parts}
        if self._adversarial_now:
            fool, judged = self._adversarial(self.discriminator, x, y, reconstruction)
            loss = loss + (fool + judged)
        else:  # zero gradients, but no unused parameters
            fool = judged = x.new_zeros(())
            loss = loss + 0 * sum(p.sum() for p in self.discriminator.parameters())
        return {"loss": loss, **parts, "generator": fool, "discriminator": judged}

    def held_out(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``losses``; the adaptive weight is a ratio of gradients, which are taken but not kept."""
        with torch.set_grad_enabled(self._adversarial_now):
            return super().held_out(batch, generator)

    @property
    def _adversarial_now(self) -> bool:
        return self.discriminator is not None and self.step >= self.config.adversarial_start

    def _adversarial(
        self, discriminator: nn.Module, x: Tensor, y: Tensor, reconstruction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted loss of the autoencoder as generator, and that of the discriminator."""
        frozen = {name: p.detach() for name, p in discriminator.named_parameters()}
        fool = -functional_call(discriminator, frozen, y).mean()  # trains the autoencoder only
        ratio = adaptive_weight(reconstruction, fool, self.vae.network.decoder.conv_out.weight)
        judged = hinge_loss(discriminator(x), discriminator(y.detach()))  # trains the discriminator only
        return self.config.adversarial_weight * ratio * fool, judged

    def on_fit_end(self) -> None:
        """Measure the latents' scale on training images with the current weights (no average)."""
        loader: Any = self.trainer.train_dataloader
        self.vae.measure_scale(self.posterior_samples(islice(iter(loader), self.config.scale_batches)))

    @torch.no_grad()
    def posterior_samples(self, batches: Iterator[Mapping[str, Any]]) -> Iterator[Tensor]:
        """Yield unscaled posterior samples [B, C, h, w] of each batch; batch k draws only from (seed, k)."""
        for number, batch in enumerate(batches):
            moments = self.vae.moments(images.to_float(batch["image"].to(self.device)))
            generator = seeding.generator("scale", self.seed, number)
            noise = torch.randn((len(moments), *self.config.vae.latent_shape), generator=generator)
            yield sample_posterior(moments, noise.to(moments))


def lpips_vgg(trunk: Path | None = None) -> nn.Module:
    """Load LPIPS v0.1 with the VGG16 ``trunk`` (a torchvision state dict; default ``weights.require("vgg16")``)."""
    path = trunk or weights.require("vgg16")
    with warnings.catch_warnings():  # lpips uses a deprecated torchvision argument
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="vgg", version="0.1", pnet_rand=True, verbose=False)
    state = torch.load(path, map_location="cpu", weights_only=True)
    names = {name: "features." + name.split(".", 1)[1] for name in network.net.state_dict()}
    if missing := [old for old in names.values() if old not in state]:
        raise UserError(f"{path} is not torchvision's VGG16: it has no {missing[0]}, found {list(state)[:3]}.")
    network.net.load_state_dict({name: state[old] for name, old in names.items()}, strict=True)
    return network
