"""Objects built from configs: models with their helpers, methods, trainers."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from experiments.runs import Precision, SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.processes import environment_number
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.steps import StopAfter
from lightning_mmdiff.source import ModelSource

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Device of networks that no trainer moves: those of scoring, editing and caching."""


def model(run: TrainRun, runs: Path | None) -> LightningModule:
    """Return the model of a training run, with fresh or fine-tuning weights, on its frozen helpers below ``runs``.

    If ``runs`` is None, read nothing: build only the architecture.
    """
    module = run.model.build(seed=run.seed, **_helpers(run, runs))
    if runs is not None and isinstance(run.initial, Released):
        _initialize(module, run.initial)
    elif runs is not None and isinstance(run.initial, TrainRun):
        checkpoints.load_weights(module, RunFolder(runs / run.initial.name).weights)
    return module


def trained(source: ModelSource, runs: Path | None) -> Any:
    """Return the model of a finished training run, or a released one, frozen and in evaluation mode."""
    if isinstance(source, Released):
        return helper(source, runs)
    assert isinstance(source, TrainRun)
    module = source.model.build(seed=source.seed, **_helpers(source, runs))
    if runs is not None:
        checkpoints.load_weights(module, RunFolder(runs / source.name).weights)
    return module.requires_grad_(False).eval()


def helper(source: ModelSource, runs: Path | None) -> Any:
    """Return the part of a trained or released model that others use, frozen; for an autoencoder, its VAE without losses."""
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
    """Return the method of a sample run with its trained models; each model is loaded once."""
    return run.method.build(cache(partial(trained, runs=runs)), sampler=run.sampler, seed=run.seed)  # type: ignore[arg-type]


def _helpers(run: TrainRun, runs: Path | None) -> dict[str, Any]:
    """Return the frozen models of each role."""
    return {
        role: [helper(s, runs) for s in source] if isinstance(source, tuple) else helper(source, runs)
        for role, source in run.helpers.items()
    }


def _initialize(module: LightningModule, source: Released) -> None:
    if source.entry.initialize is None:
        raise UserError(f"{source.name} is nothing that a training can start from.")
    source.entry.initialize(module)


def trainer(config: TrainerConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Return the Lightning trainer of a training run; ``StopAfter`` ends it."""
    together = config.devices * config.num_nodes > 1
    return Trainer(
        default_root_dir=folder, max_epochs=-1, precision=config.precision,
        devices=config.devices, num_nodes=config.num_nodes, gradient_clip_val=config.gradient_clip_val,
        sync_batchnorm=together and torch.cuda.is_available(),  # norms see the whole batch; PyTorch has it for GPUs alone
        callbacks=[*callbacks, StopAfter(config.max_steps)], **QUIET,
    )  # fmt: skip


def predictor(folder: Path, callbacks: list[Callback], precision: Precision = "32-true") -> Trainer:
    """Return a Lightning trainer that samples on one device, or as one of the processes that SLURM started together."""
    together = environment_number("SLURM_NTASKS", 1) > 1
    devices = environment_number("SLURM_NTASKS_PER_NODE", 1) if together else 1
    return Trainer(default_root_dir=folder, devices=devices, precision=precision, callbacks=callbacks, **QUIET)


QUIET: dict[str, Any] = {
    "logger": False,  # callbacks.LossCurve records the curve
    "enable_progress_bar": False,  # callbacks.RunProgress knows the number of steps
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data modules split by rank themselves
}
