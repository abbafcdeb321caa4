"""What the rows of MT-Diffusion's tables share: images, network, training and sampling (ICLR 2024, Sec. 4 and App. E)."""

from dataclasses import replace

from datamodules.batches.masking import MaskConfig
from datamodules.config import DataConfig
from experiments.recipes.profiles import few_images
from experiments.recipes.settings.mt_diffusion import Size, of
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.single import Denoise, RealImages
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import released_sampler
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.schedules import Sampler


def images(profile: Profile, size: Size, *conditions: str, masks: MaskConfig | None = None) -> DataConfig:
    """Return ImageNet, or rendered objects in its layout."""
    image_size = of(profile).objects(size).image_size
    return DataConfig(dataset="imagenet", image_size=image_size, conditions=conditions, masks=masks)


def with_holes(profile: Profile, size: Size, patches: int, *conditions: str) -> DataConfig:
    """Return test images with a fixed number of holes."""
    masks = MaskConfig(low=patches, high=patches, patch=of(profile).patch)
    return images(profile, size, "masked_image", *conditions, masks=masks)


COMPLETE = 0.1
"""Share of training images that are hidden completely."""


def training_masks(profile: Profile, complete: float = COMPLETE) -> MaskConfig:
    """Return the holes of the training images: 0 to 10 patches (Sec. 4.1), and complete masks, from which -X generates."""
    return MaskConfig(low=0, high=10, patch=of(profile).patch, complete=complete)


def network_of(profile: Profile, size: Size, *, in_channels: int = 3, classes: int | None = None) -> UNetConfig:
    """Return ADM's network, or the one of mini.

    Args:
        profile: profile of the run.
        size: image size at paper, in pixels.
        in_channels: number of input channels; a masked image that the network reads adds three.
        classes: number of classes that the network is given; None gives it none.
    """
    return replace(of(profile).objects(size).network, in_channels=in_channels, num_classes=classes)


def loss_and_optimizer(profile: Profile, size: Size) -> dict:
    """Return the loss and optimizer that all rows share, as the paper requires ("exactly the same hyperparameters")."""
    settings = of(profile)
    return {**vars(settings.objects(size).loss), "optimizer": settings.training.optimizer}


def train_run(
    profile: Profile, seed: int, name: str, model: DenoiserConfig | MTDiffusionConfig, data: DataConfig
) -> TrainRun:
    """Return the training run of ``model`` with the training that all rows share.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: name of the run, before the image size.
        model: model to train.
        data: training data.
    """
    training = of(profile).training
    return TrainRun(
        name=seeded(f"{name}-{model.image_size}", seed), model=model, data=(data,), batch_size=training.batch_size,
        trainer=training.trainer, seed=seed,
    )  # fmt: skip


def sampled(
    profile: Profile, name: str, method: MethodConfig, data: DataConfig, *, num_images: int = 5000
) -> SampleRun:
    """Return the run that samples one method under the conditions in ``data``.

    Args:
        profile: profile of the run.
        name: name of the run.
        method: what is sampled.
        data: test images and their conditions.
        num_images: number of images at paper; smaller profiles sample fewer.
    """
    run = method.needs[0] if method.needs else None
    ancestral = Sampler(name="spaced-ddpm", num_steps=250, variance="learned_range")
    sampler = released_sampler() if run and run.is_latent else ancestral
    published = SampleRun(
        name=seeded(name, run.seed if run else 0),
        method=method,
        data=data,
        num_images=num_images,
        sampler=sampler if method.takes_sampler else None,
        seed=run.seed if run else 0,
    )
    return few_images(published, of(profile).samples)


def generated_or_real(run: TrainRun | None) -> MethodConfig:
    """Return the method that samples a model, or without one the real images."""
    return RealImages() if run is None else Denoise(model=run)
