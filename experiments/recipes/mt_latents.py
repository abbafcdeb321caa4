"""MT-Diffusion on latents (ICLR 2024, App. E.1 and E.4): translating pictures, and images with their CLIP embedding.

As published both diffuse latents of a released autoencoder: translation with a network of its own, embeddings by training
Stable Diffusion 2 further. mini diffuses pixels, too few for an autoencoder to compress; smoke learns embeddings on latents
of a tiny autoencoder, with the parts of the published network.
"""

from dataclasses import replace
from typing import Literal

from datamodules.config import DataConfig
from experiments.recipes.evaluators import object_captions
from experiments.recipes.mt_diffusion import GPUS, images, loss_and_optimizer, network_of, pixels, train_run
from experiments.spec import Profile, TrainerConfig, TrainRun
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, PairedImage
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.networks.shared import SharedConfig
from lightning_mmdiff.networks.stable_diffusion import latent_diffusion_320, stable_diffusion_2
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.catalogue import Released

LATENTS = (
    "Latents are those of kl-f8, with the noise schedule of latent diffusion (betas linear in the root, .00085 to .012) and its "
    "sampler (DDIM, 50 steps, eta 1): the paper names neither.",
)
REPRESENTATION = (
    *LATENTS,
    "Stable Diffusion 2 is trained on by FFHQ at 768 pixels without captions, for 100,000 steps; the paper uses LAION with "
    "captions and gives no number of steps.",
)
TINY_LATENTS = VAEConfig(image_size=16, channels=(8, 16), num_res_blocks=1, norm_groups=8)
"""The autoencoder of smoke."""


def translation(profile: Profile, seed: int, dataset: str, *, multi_task: bool) -> TrainRun:
    """PairedImage to picture (App. E.1); the network reads the source. Multi-task: it is also aggregated and given back."""
    name = f"{dataset}-{'mt' if multi_task else 'single-task'}"
    if profile == "paper":
        return _published_translation(seed, name, dataset, multi_task=multi_task)
    size = {"mini": 32, "smoke": 16}[profile]
    network, training = network_of(profile, 64, in_channels=6), loss_and_optimizer(profile, 64)
    model: DenoiserConfig | MTDiffusionConfig
    if multi_task:
        modalities = (PairedImage(concatenate=True),)
        model = MTDiffusionConfig(network=network, modalities=modalities, image_size=size, **training)
    else:
        conditions = ConditionConfig(spatial=(("photo", 3),))
        model = DenoiserConfig(network=network, conditions=conditions, image_size=size, **training)
    return train_run(profile, seed, name, model, _photos(dataset, size))


def _published_translation(seed: int, name: str, dataset: str, *, multi_task: bool) -> TrainRun:
    """App. E.1. The single task is the same without aggregation and with lambda 0: a conditional diffusion of latents."""
    photo = PairedImage(concatenate=True)
    model = MTDiffusionConfig(
        network=replace(latent_diffusion_320(), in_channels=8),
        modalities=(photo if multi_task else replace(photo, aggregation="none", weight=0.0),),
        image_size=256,
        schedule="stable_diffusion",
        optimizer=OptimizerConfig(lr=1e-4),
    )
    run = train_run("paper", seed, name, model, _photos(dataset, 256))
    return replace(run, batch_size=GPUS * 32, autoencoder=Released("kl_f8_256"))


def _photos(dataset: str, size: int) -> DataConfig:
    return DataConfig(dataset=dataset, image_size=size, conditions=("photo",))


def image_embedding(
    profile: Profile, seed: int, name: str, *, tasks: tuple[str, ...] | None = None,
    encoder: Literal["network", "projection"] = "network", aggregation: Aggregation = "consistent",
) -> TrainRun:  # fmt: skip
    """Image and its embedding (App. E.4); ``tasks`` are those that are learned, None is both.

    The embedding goes through the shared U-Net, by cross-attention (mini: by adaptive group norm), or through a learned
    ``encoder`` "projection"; it is read off the middle block by two layers.
    """
    embedding = Embedding(dim=64, width=256)
    if profile == "paper":
        embedding = Embedding(dim=1024, width=1024)
    embedding = replace(embedding, encoder=encoder)
    model = MTDiffusionConfig(
        network=_embedding_network(profile),
        modalities=(embedding,),
        tasks=tasks,
        aggregation=aggregation,
        **_embedding_training(profile),
    )
    if profile == "paper":
        trainer = TrainerConfig(
            max_steps=100_000, precision="16-mixed", devices=GPUS, num_nodes=32, ema_decay=0.9999, checkpoint_every=1000
        )
        data = DataConfig(dataset="ffhq", image_size=768)
        return replace(
            train_run(profile, seed, name, model, data), batch_size=2048, trainer=trainer, embedder=Released("clip_h"),
            autoencoder=Released("kl_f8_768"), initial=Released("stable_diffusion_2"),
        )  # fmt: skip
    autoencoder = tiny_autoencoder() if profile == "smoke" else None
    run = train_run(profile, seed, name, model, images(profile, 64))
    return replace(run, embedder=object_captions(profile), autoencoder=autoencoder)


def tiny_autoencoder() -> TrainRun:
    """Latents of rendered objects, at smoke."""
    config = AutoencoderConfig(
        vae=TINY_LATENTS,
        perceptual_weight=0.0,
        adversarial_weight=0.0,
        scale_batches=2,
        optimizer=OptimizerConfig(lr=1e-3),
    )
    trainer = TrainerConfig(max_steps=4, checkpoint_every=2)
    return TrainRun(
        name="object-autoencoder", model=config, data=(images("smoke", 64),), batch_size=4, trainer=trainer
    )  # fmt: skip


def _embedding_network(profile: Profile) -> SharedConfig:
    match profile:
        case "paper":
            return stable_diffusion_2()
        case "mini":
            return mini_unet(3, 3, embedding_dim=64)
        case "smoke":
            return CrossAttentionUNetConfig(
                in_channels=3, out_channels=3, channels=(16, 32), attention_levels=(1,), num_res_blocks=1, num_heads=4,
                context_dim=64, norm_groups=8,
            )  # fmt: skip


def _embedding_training(profile: Profile) -> dict:
    if profile != "paper":
        return {"image_size": pixels(profile, 64), **loss_and_optimizer(profile, 64)}
    return {
        "image_size": 768, "schedule": "stable_diffusion", "prediction": "v", "optimizer": OptimizerConfig(lr=1e-5),
    }  # fmt: skip
