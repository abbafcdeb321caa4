"""MT-Diffusion on latents (ICLR 2024, App. E.1 and E.4): translated pictures, and images with their CLIP embedding.

As published, both diffuse latents of a released autoencoder: translation with its own network, embeddings by training
Stable Diffusion 2 further. The numbers are in ``settings/mt_latents.py``.
"""

from dataclasses import replace
from typing import Any, Literal

from datamodules.config import DataConfig
from experiments.recipes.evaluators import object_captions
from experiments.recipes.settings.mt_latents import of
from experiments.recipes.settings.training import AutoencoderTraining
from experiments.runs import TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.modalities import PairedImage
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.source import ModelSource

LATENTS = (
    "Latents are those of kl-f8, with the noise schedule of latent diffusion (betas linear in the root, .00085 to .012) and its "
    "sampler (DDIM, 50 steps, eta 1): the paper names neither.",
)
REPRESENTATION = (
    *LATENTS,
    "Stable Diffusion 2 is trained on by FFHQ at 768 pixels without captions, for 100,000 steps; the paper uses LAION with "
    "captions and gives no number of steps.",
)


def translation(profile: Profile, seed: int, dataset: str, *, multi_task: bool) -> TrainRun:
    """Return the translation of one picture into another (App. E.1); the network reads the source.

    The single task on latents is a conditional diffusion: the same model without aggregation and with lambda 0.

    Args:
        profile: profile of the run.
        seed: training seed.
        dataset: name of the data set.
        multi_task: whether the source is also aggregated and predicted.
    """
    settings = of(profile).translation
    shared: dict[str, Any] = {
        "network": settings.network, "image_size": settings.image_size, "optimizer": settings.training.optimizer,
        **vars(settings.loss),
    }  # fmt: skip
    model: DenoiserConfig | MTDiffusionConfig
    if settings.autoencoder or multi_task:
        photo = PairedImage(concatenate=True)
        photo = photo if multi_task else replace(photo, aggregation="none", weight=0.0)
        model = MTDiffusionConfig(modalities=(photo,), **shared)
    else:
        model = DenoiserConfig(conditions=ConditionConfig(spatial=(("photo", 3),)), **shared)
    data = DataConfig(dataset=dataset, image_size=settings.image_size, conditions=("photo",))
    return TrainRun(
        name=seeded(f"{dataset}-{'mt' if multi_task else 'single-task'}", seed),
        model=model,
        data=(data,),
        batch_size=settings.training.batch_size,
        trainer=settings.training.trainer,
        autoencoder=settings.autoencoder,
        seed=seed,
    )


def image_embedding(
    profile: Profile, seed: int, name: str, *, tasks: tuple[str, ...] | None = None,
    encoder: Literal["network", "projection"] = "network", aggregation: Aggregation = "consistent",
) -> TrainRun:  # fmt: skip
    """Return the training run of an image and its embedding (App. E.4); two layers read the embedding off the middle block.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: name of the run.
        tasks: tasks to learn; None is both.
        encoder: the shared U-Net, which reads the embedding by cross-attention (mini: adaptive group norm), or a projection.
        aggregation: how modalities are aggregated.
    """
    settings = of(profile).representation
    model = MTDiffusionConfig(
        network=settings.network,
        image_size=settings.image_size,
        modalities=(replace(settings.embedding, encoder=encoder),),
        tasks=tasks,
        aggregation=aggregation,
        optimizer=settings.training.optimizer,
        **vars(settings.loss),
    )
    data = DataConfig(dataset=settings.dataset, image_size=settings.image_size)
    autoencoder: ModelSource | None = settings.released_autoencoder
    if settings.trained_autoencoder:
        autoencoder = _autoencoder(settings.trained_autoencoder, data)
    return TrainRun(
        name=seeded(name, seed),
        model=model,
        data=(data,),
        batch_size=settings.training.batch_size,
        trainer=settings.training.trainer,
        embedder=settings.embedder or object_captions(profile),
        autoencoder=autoencoder,
        initial=settings.initial,
        seed=seed,
    )


def _autoencoder(training: AutoencoderTraining, data: DataConfig) -> TrainRun:
    """Return the autoencoder of rendered objects."""
    return TrainRun(
        name="object-autoencoder", model=training.model, data=(data,), batch_size=training.batch_size,
        trainer=training.trainer,
    )  # fmt: skip
