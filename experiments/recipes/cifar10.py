"""MT-Diffusion on CIFAR-10 (ICLR 2024, App. E.5), small real photographs; the paper prints no settings and no numbers.

The settings are those of Improved DDPM (``photographs`` in ``settings/mt_diffusion.py``).
"""

from dataclasses import replace

from datamodules.batches.masking import MaskConfig
from datamodules.config import DataConfig
from experiments.recipes.mt_diffusion import adm, masked_image, restoration_alone
from experiments.recipes.settings.mt_diffusion import of
from experiments.runs import TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig

DEVIATIONS = (
    "The paper gives no setting for CIFAR-10: the published one here is Improved DDPM's, with patches of 8 of 32 pixels, and "
    "with T = 1,000 steps, the paper's number if it states none, where Improved DDPM has 4,000.",
)


def single_task(profile: Profile, seed: int) -> TrainRun:
    """Return the training run on the image alone."""
    return _on_photographs(profile, "adm", adm(profile, seed, label=False))


def joint(profile: Profile, seed: int, *, aggregation: Aggregation = "consistent") -> TrainRun:
    """Return the training run on image and masked image (-X)."""
    name = "mt-x" if aggregation == "consistent" else f"mt-x-{aggregation}"
    return _on_photographs(profile, name, masked_image(profile, seed, aggregation=aggregation))


def conditional(profile: Profile, seed: int) -> TrainRun:
    """Return the training run on the image given the masked image, which is only an input."""
    return _on_photographs(profile, "restoration-alone", restoration_alone(profile, seed))


def photographs(profile: Profile, *, patches: int | None = None) -> DataConfig:
    """Return the test images; if ``patches`` is given, with that many patches hidden."""
    settings = of(profile).photographs
    masks = None if patches is None else MaskConfig(low=patches, high=patches, patch=settings.patch)
    conditions = () if patches is None else ("masked_image",)
    return DataConfig(dataset="cifar10", image_size=settings.image_size, conditions=conditions, masks=masks)


def _on_photographs(profile: Profile, name: str, run: TrainRun) -> TrainRun:
    """Return ``run`` of Tables 5 and 6, on CIFAR-10."""
    settings = of(profile).photographs
    (data,) = run.data
    masks = data.masks and replace(data.masks, patch=settings.patch)
    data = replace(data, dataset="cifar10", image_size=settings.image_size, masks=masks)
    assert isinstance(run.model, DenoiserConfig | MTDiffusionConfig)
    model = replace(
        run.model,
        network=replace(settings.network, in_channels=run.model.network.in_channels),
        image_size=settings.image_size,
        optimizer=settings.training.optimizer,
    )
    return TrainRun(
        name=seeded(f"cifar10-{name}-{settings.image_size}", run.seed),
        model=model,
        data=(data,),
        batch_size=settings.training.batch_size,
        trainer=settings.training.trainer,
        seed=run.seed,
    )
