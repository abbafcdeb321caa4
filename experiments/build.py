"""The one place where a config becomes objects: data modules, models, samplers, trainers."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer

from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.faces import FaceDataModule
from datamodules.ffhq import FFHQ
from datamodules.regimes import AlternatingData
from experiments.spec import DataConfig, SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff import checkpoints
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.contrastive import ContrastiveConfig, ContrastiveModel
from lightning_mmdiff.methods.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.methods.judges import AttributeClassifier, AttributeClassifierConfig, FaceParser, FaceParserConfig
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.sampling import SamplingModule

FOLDERS = {"celebamask_hq": "CelebAMask-HQ", "ffhq": "ffhq"}
"""Folder of each data set below the data root."""
WEIGHTS = "weights.safetensors"
"""File that marks a finished training."""


def data(
    config: DataConfig, root: Path, *, batch_size: int = 64, seed: int = 0, cache: Path | None = None
) -> FaceDataModule:
    """Data module of one data set below ``root``; packed data that is not beside its files already goes to ``cache``."""
    common: dict[str, Any] = {
        "root": root / FOLDERS[config.dataset],
        "image_size": config.image_size,
        "batch_size": batch_size,
        "conditions": config.conditions,
        "captions": config.captions,
        "split": config.split,
        "seed": seed,
    }
    module: FaceDataModule
    match config.dataset:
        case "celebamask_hq":
            module = CelebAMaskHQ(**common)
        case "ffhq":
            module = FFHQ(**common)
    if not module.folder.exists():
        module.cache = cache
    return module


def training_data(run: TrainRun, root: Path, cache: Path | None = None) -> LightningDataModule:
    """Data of a training run: one data set, or several that take turns."""
    modules = [data(c, root, batch_size=run.batch_size, seed=run.seed, cache=cache) for c in run.data]
    if len(modules) == 1:
        return modules[0]
    return AlternatingData(data=tuple(modules), regime=run.regime, switch_step=run.switch_step or 0)


def fingerprint(module: FaceDataModule) -> str:
    """Short name of the packed content of a data set: it tells whether two folders hold the same images and labels."""
    index = json.loads((module.folder / "index.json").read_text())
    return hashlib.sha256(json.dumps(index["fingerprint"], sort_keys=True).encode()).hexdigest()[:16]


def model(run: TrainRun, runs: Path) -> LightningModule:
    """Model of a training run with fresh weights; its frozen helpers are loaded from ``runs``."""
    match run.model:
        case DenoiserConfig(conditions=conditions) if conditions.embedding is not None:
            embedder = trained(run.needs[0], runs) if run.needs else _farl()
            return Denoiser(run.model, embedder=embedder, seed=run.seed)
        case DenoiserConfig():
            return Denoiser(run.model, seed=run.seed)
        case FaceParserConfig():
            return FaceParser(run.model, seed=run.seed)
        case AttributeClassifierConfig():
            return AttributeClassifier(run.model, seed=run.seed)
        case ContrastiveConfig():
            return ContrastiveModel(run.model, seed=run.seed)


def trained(run: TrainRun, runs: Path) -> Any:
    """Model of a finished training run, frozen, in evaluation mode."""
    module = model(run, runs)
    checkpoints.load_weights(module, runs / run.name / WEIGHTS)
    return module.requires_grad_(False).eval()


def sampling_module(run: SampleRun, runs: Path) -> SamplingModule:
    """The method of a sample run over its trained experts; experts of the same run share one model."""
    models = {use.run: trained(use.run, runs) for use in run.experts}
    experts = [
        Expert(denoiser=models[u.run], conditions=u.conditions, weight=u.weight, reliability=u.reliability)
        for u in run.experts
    ]
    match run.method:
        case "unite":
            return UniteAndConquer(experts, sampler=run.sampler, sampling_seed=run.seed)
        case "composable":
            return Composable(experts, sampler=run.sampler, sampling_seed=run.seed)
        case "real":
            raise ValueError(f"{run.name} stands for real images; there is nothing to sample.")


def trainer(config: TrainerConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer of a training run."""
    return Trainer(
        default_root_dir=folder, max_steps=config.max_steps, max_epochs=-1, precision=config.precision,
        devices=config.devices, num_nodes=config.num_nodes, gradient_clip_val=config.gradient_clip_val,
        callbacks=callbacks, **QUIET,
    )  # fmt: skip


def predictor(folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer that shares sampling out over the local devices (one on a CPU)."""
    return Trainer(default_root_dir=folder, devices="auto", callbacks=callbacks, **QUIET)


QUIET: dict[str, Any] = {
    "logger": False,  # callbacks.LossCurve keeps the curve
    "enable_progress_bar": False,  # callbacks.Progress knows the number of steps
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data modules split by rank themselves
}


def _farl() -> Any:
    from lightning_mmdiff.networks.farl import load_farl  # imports transformers, which takes seconds

    return load_farl()
