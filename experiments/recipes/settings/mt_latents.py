"""Settings of MT-Diffusion on latents (ICLR 2024, App. E.1 and E.4): as published, and reduced.

As published, both diffuse latents of a released autoencoder. MINI diffuses pixels, too few for an autoencoder to compress.
SMOKE learns embeddings on latents of a tiny trained autoencoder, with the parts of the published network.
"""

from dataclasses import dataclass, replace

from experiments.recipes.settings import mt_diffusion
from experiments.recipes.settings.training import SHORT_LOSS, AutoencoderTraining, Loss, Training, short_training
from experiments.runs import TrainerConfig
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.networks.stable_diffusion import latent_diffusion_320, stable_diffusion_2
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.catalogue import Released


@dataclass(frozen=True, kw_only=True)
class Translation(Config):
    """Translation of pictures into pictures (App. E.1)."""

    image_size: int
    """Height and width in pixels."""
    network: NetworkConfig
    """Network that reads the source along with the noisy picture."""
    autoencoder: Released | None
    """Autoencoder whose latents are diffused; None diffuses pixels, and the single task uses a plain denoiser."""
    loss: Loss
    training: Training


@dataclass(frozen=True, kw_only=True)
class Representation(Config):
    """An image and its embedding (App. E.4)."""

    dataset: str
    image_size: int
    """Height and width in pixels."""
    network: NetworkConfig
    embedding: Embedding
    """Modality of the embedding, with its width."""
    embedder: Released | None
    """Model that embeds images. None: the image-text model of objects trained for this."""
    released_autoencoder: Released | None
    """Released autoencoder whose latents are diffused."""
    trained_autoencoder: AutoencoderTraining | None
    """Trained autoencoder whose latents are diffused. With neither, pixels are diffused."""
    initial: Released | None
    """Initial weights of the training."""
    loss: Loss
    training: Training


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Settings of both experiments."""

    translation: Translation
    representation: Representation


PAPER = Settings(
    translation=Translation(
        image_size=256,
        network=replace(latent_diffusion_320(), in_channels=8),
        autoencoder=Released("kl_f8_256"),
        loss=Loss(schedule="stable_diffusion", prediction="eps"),
        training=Training(
            batch_size=mt_diffusion.GPUS * 32, trainer=mt_diffusion.LONG, optimizer=OptimizerConfig(lr=1e-4)
        ),
    ),
    representation=Representation(
        dataset="ffhq",
        image_size=768,
        network=stable_diffusion_2(),
        embedding=Embedding(dim=1024, width=1024),
        embedder=Released("clip_h"),
        released_autoencoder=Released("kl_f8_768"),
        trained_autoencoder=None,
        initial=Released("stable_diffusion_2"),
        loss=Loss(schedule="stable_diffusion", prediction="v"),
        training=Training(
            batch_size=2048,
            trainer=replace(mt_diffusion.LONG, max_steps=100_000, num_nodes=32, checkpoint_every=1000),
            optimizer=OptimizerConfig(lr=1e-5),
        ),
    ),
)
MINI = Settings(
    translation=Translation(
        image_size=32,
        network=mini_unet(6, 3),
        autoencoder=None,
        loss=SHORT_LOSS,
        training=short_training(500),
    ),
    representation=Representation(
        dataset="imagenet",
        image_size=mt_diffusion.MINI.objects_64.image_size,
        network=mini_unet(3, 3, embedding_dim=64),
        embedding=Embedding(dim=64, width=256),
        embedder=None,
        released_autoencoder=None,
        trained_autoencoder=None,
        initial=None,
        loss=SHORT_LOSS,
        training=mt_diffusion.MINI.training,
    ),
)
SMOKE = Settings(
    translation=replace(MINI.translation, image_size=16, training=mt_diffusion.SMOKE_TRAINING),
    representation=replace(
        MINI.representation,
        network=CrossAttentionUNetConfig(
            in_channels=3, out_channels=3, channels=(16, 32), attention_levels=(1,), num_res_blocks=1, num_heads=4,
            context_dim=64, norm_groups=8,
        ),
        trained_autoencoder=AutoencoderTraining(
            model=AutoencoderConfig(
                vae=VAEConfig(image_size=16, channels=(8, 16), num_res_blocks=1, norm_groups=8),
                perceptual_weight=0.0, adversarial_weight=0.0, scale_batches=2, optimizer=OptimizerConfig(lr=1e-3),
            ),
            batch_size=4,
            trainer=TrainerConfig(max_steps=4, checkpoint_every=2),
        ),
        training=mt_diffusion.SMOKE_TRAINING,
    ),
)  # fmt: skip


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": PAPER, "mini": MINI, "smoke": SMOKE}[profile]
