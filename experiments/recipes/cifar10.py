"""MT-Diffusion on CIFAR-10 (ICLR 2024, App. E.5), small real photographs; the paper prints no setting and no number.

Published here means Improved DDPM's CIFAR-10 (Nichol & Dhariwal 2021, App. B): 128 channels, 3 blocks, attention at 16 and
8 pixels, 4 heads, dropout .3, batch 128, 1e-4, 500,000 steps. mini and smoke are those of the other tables.
"""

from dataclasses import replace

from datamodules.batches.masking import MaskConfig
from datamodules.config import DataConfig
from experiments.recipes.mt_diffusion import adm, masked_image, restoration_alone, train_run
from experiments.spec import Profile, TrainRun
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.unet import UNetConfig

PATCH = {"paper": 8, "mini": 8, "smoke": 4}
"""Side of a hidden patch in pixels: a quarter of the image, as 16 of 64."""
DEVIATIONS = (
    "The paper gives no setting for CIFAR-10: the published one here is Improved DDPM's, with patches of 8 of 32 pixels.",
)


def single_task(profile: Profile, seed: int) -> TrainRun:
    """The image alone."""
    return _on_photographs(profile, "adm", adm(profile, seed, label=False))


def joint(profile: Profile, seed: int, *, aggregation: Aggregation = "consistent") -> TrainRun:
    """Image and masked image (-X)."""
    name = "mt-x" if aggregation == "consistent" else f"mt-x-{aggregation}"
    return _on_photographs(profile, name, masked_image(profile, seed, aggregation=aggregation))


def conditional(profile: Profile, seed: int) -> TrainRun:
    """The image given the masked image, which is never given back."""
    return _on_photographs(profile, "restoration-alone", restoration_alone(profile, seed))


def photographs(profile: Profile, *, patches: int | None = None) -> DataConfig:
    """Test images; with ``patches`` hidden, if a number is given."""
    masks = None if patches is None else MaskConfig(low=patches, high=patches, patch=PATCH[profile])
    conditions = () if patches is None else ("masked_image",)
    return DataConfig(dataset="cifar10", image_size=_size(profile), conditions=conditions, masks=masks)


def improved_ddpm(in_channels: int) -> UNetConfig:
    """Network of Improved DDPM for CIFAR-10, with a learned variance."""
    return UNetConfig(
        in_channels=in_channels, out_channels=6, channels=128, channel_mult=(1, 2, 2, 2), num_res_blocks=3,
        attention_levels=(1, 2), num_heads=4, dropout=0.3, resblock_updown=False,
    )  # fmt: skip


def _on_photographs(profile: Profile, name: str, run: TrainRun) -> TrainRun:
    """``run`` of Tables 5 and 6, on CIFAR-10."""
    (data,) = run.data
    masks = data.masks and replace(data.masks, patch=PATCH[profile])
    data = replace(data, dataset="cifar10", image_size=_size(profile), masks=masks)
    assert isinstance(run.model, DenoiserConfig | MTDiffusionConfig)
    model, name = replace(run.model, image_size=_size(profile)), f"cifar10-{name}-{_size(profile)}"
    if profile != "paper":
        return train_run(profile, run.seed, name, model, data)
    optimizer = replace(model.optimizer, lr=1e-4)
    model = replace(model, network=improved_ddpm(model.network.in_channels), optimizer=optimizer)
    run = train_run(profile, run.seed, name, model, data)
    return replace(run, batch_size=128, trainer=replace(run.trainer, max_steps=500_000, devices=1))


def _size(profile: Profile) -> int:
    return {"paper": 32, "mini": 32, "smoke": 16}[profile]
