"""Where configs become objects: data modules, models over their helpers, methods, trainers."""

import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer

from datamodules.base import PackedDataModule
from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.cifar10 import CIFAR10
from datamodules.cityscapes import Cityscapes
from datamodules.digits import Digits
from datamodules.ffhq import FFHQ
from datamodules.imagenet import ImageNet
from datamodules.night2day import Night2Day
from datamodules.regimes import AlternatingData
from experiments.spec import DataConfig, SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.steps import StopAfter
from lightning_mmdiff.source import ModelSource

FOLDERS = {
    "celebamask_hq": "CelebAMask-HQ",
    "ffhq": "ffhq",
    "imagenet": "imagenet",
    "cifar10": "cifar10",
    "cityscapes": "cityscapes",
    "night2day": "night2day",
    "digits": "digits",
}
"""Folder of each data set below the data root."""


def data(
    config: DataConfig, root: Path, *, batch_size: int = 64, seed: int = 0, cache: Path | None = None
) -> PackedDataModule:
    """Data module of one data set below ``root``; packed data that is not beside its files already goes to ``cache``."""
    common: dict[str, Any] = {
        "root": root / FOLDERS[config.dataset],
        "image_size": config.image_size,
        "batch_size": batch_size,
        "conditions": config.conditions,
        "seed": seed,
    }
    module: PackedDataModule
    match config.dataset:
        case "celebamask_hq":
            module = CelebAMaskHQ(captions=config.captions, split=config.split, **common)
        case "ffhq":
            module = FFHQ(captions=config.captions, split=config.split, **common)
        case "imagenet":
            module = ImageNet(only_class=config.only_class, masks=config.masks, **common)
        case "cifar10":
            module = CIFAR10(only_class=config.only_class, masks=config.masks, **common)
        case "digits":
            module = Digits(only_class=config.only_class, masks=config.masks, **common)
        case "cityscapes":
            module = Cityscapes(**common)
        case "night2day":
            module = Night2Day(**common)
    if not module.folder.exists():
        module.cache = cache
    return module


def training_data(run: TrainRun, root: Path, cache: Path | None = None) -> LightningDataModule:
    """Data of a training run: one data set, or several that take turns."""
    modules = [data(c, root, batch_size=run.batch_size, seed=run.seed, cache=cache) for c in run.data]
    if len(modules) == 1:
        return modules[0]
    return AlternatingData(data=tuple(modules), regime=run.regime, switch_step=run.switch_step or 0)


def fingerprint(module: PackedDataModule) -> str:
    """Short name of the packed content of a data set: it tells whether two folders hold the same images and labels."""
    index = json.loads((module.folder / "index.json").read_text())
    return hashlib.sha256(json.dumps(index["fingerprint"], sort_keys=True).encode()).hexdigest()[:16]


def model(run: TrainRun, runs: Path | None) -> LightningModule:
    """Model of a training run: fresh weights, or those it is fine-tuned from, over its frozen helpers below ``runs``.

    With ``runs`` None nothing is read: the architecture alone.
    """
    module = run.model.build(seed=run.seed, **_helpers(run, runs))
    if runs is not None and isinstance(run.initial, Released):
        _initialize(module, run.initial)
    elif runs is not None and isinstance(run.initial, TrainRun):
        checkpoints.load_weights(module, RunFolder(runs / run.initial.name).weights)
    return module


def trained(source: ModelSource, runs: Path | None) -> Any:
    """Model of a finished training run, or a released one, frozen, in evaluation mode."""
    if isinstance(source, Released):
        return helper(source, runs)
    assert isinstance(source, TrainRun)
    module = source.model.build(seed=source.seed, **_helpers(source, runs))
    if runs is not None:
        checkpoints.load_weights(module, RunFolder(runs / source.name).weights)
    return module.requires_grad_(False).eval()


def helper(source: ModelSource, runs: Path | None) -> Any:
    """What others need of a trained or released model, frozen: of an autoencoder its VAE, without the networks of its loss."""
    if isinstance(source, Released):
        load = source.entry.load if runs is not None else source.entry.architecture
        if load is None:
            raise UserError(f"{source.name} is no helper of other models: name it as what a training starts from.")
        return load()
    assert isinstance(source, TrainRun)
    module = source.model.build_helper(seed=source.seed, **_helpers(source, runs))
    if runs is not None:
        weights = RunFolder(runs / source.name).weights
        checkpoints.load_weights(module, weights, prefix=source.model.helper_prefix)
    return module.requires_grad_(False).eval()


def method(run: SampleRun, runs: Path) -> LightningModule:
    """The method of a sample run over its trained models; each model is loaded once."""
    return run.method.build(cache(partial(trained, runs=runs)), sampler=run.sampler, seed=run.seed)  # type: ignore[arg-type]


def _helpers(run: TrainRun, runs: Path | None) -> dict[str, Any]:
    """The frozen models of each role."""
    return {
        role: [helper(s, runs) for s in source] if isinstance(source, tuple) else helper(source, runs)
        for role, source in run.helpers.items()
    }


def _initialize(module: LightningModule, source: Released) -> None:
    if source.entry.initialize is None:
        raise UserError(f"{source.name} is nothing that a training can start from.")
    source.entry.initialize(module)


def trainer(config: TrainerConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer of a training run; it ends by ``StopAfter``."""
    return Trainer(
        default_root_dir=folder, max_epochs=-1, precision=config.precision,
        devices=config.devices, num_nodes=config.num_nodes, gradient_clip_val=config.gradient_clip_val,
        callbacks=[*callbacks, StopAfter(config.max_steps)], **QUIET,
    )  # fmt: skip


def predictor(folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer that shares sampling out over the local devices (one on a CPU)."""
    return Trainer(default_root_dir=folder, devices="auto", callbacks=callbacks, **QUIET)


QUIET: dict[str, Any] = {
    "logger": False,  # callbacks.LossCurve keeps the curve
    "enable_progress_bar": False,  # callbacks.RunProgress knows the number of steps
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data modules split by rank themselves
}
