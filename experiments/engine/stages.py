"""What a run does: train, sample, score. Each may be killed at any moment and called again; it goes on from what is on disk."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.base import PackedDataModule
from experiments.core import build, edits
from experiments.core.costs import data_of
from experiments.core.provenance import is_first_process, recorded
from experiments.core.workspace import Workspace, training_data
from experiments.engine.requeue import job_id
from experiments.protocols import samples as evaluation
from experiments.protocols import score as scoring
from experiments.spec import Run, SampleRun, Table, TrainRun, check_run_config
from lightning_mmdiff.callbacks.checkpoints import Checkpoints
from lightning_mmdiff.callbacks.ema import EMA
from lightning_mmdiff.callbacks.loss_curve import LossCurve
from lightning_mmdiff.callbacks.progress import RunProgress
from lightning_mmdiff.callbacks.shards import (
    LockedShards,
    ShardWriter,
    locked_shards,
    missing_shards,
    shard_path,
    shards,
)
from lightning_mmdiff.callbacks.step_seeds import StepSeeds
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.models.latents import write_moments
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import atomic_path, remove_stale
from lightning_mmdiff.runtime.locks import WorkLocks

LOCKS = ".locks"
"""Folder of a run that says which process is doing what."""

TRAINING = "train"
"""Name of the lock on a training."""

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
warnings.filterwarnings("ignore", message=".*predict returned None.*")
warnings.filterwarnings("ignore", message=".*Couldn't infer the batch indices.*")  # a batch is one item of our data set
warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode.*")  # frozen experts are
warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # in Lightning's own code
if job_id() is None:  # whoever did not ask for SLURM need not hear that it is installed
    warnings.filterwarnings("ignore", message=".*`srun` command is available on your system but is not used.*")


def is_done(workspace: Workspace, run: Run, tables: Sequence[Table]) -> bool:
    """Whether nothing is left to do for ``run``; checks that its folder was made with the same settings.

    Raises:
        ValueError: if the folder of the run holds results of other settings.
    """
    folder = workspace.runs / run.name
    fingerprints = {c.dataset: workspace.open(c).fingerprint() for c in data_of(run)}
    check_run_config(folder, run, fingerprints)
    if isinstance(run, TrainRun) and not (folder / build.WEIGHTS).exists():
        return False
    if isinstance(run, SampleRun) and scoring.missing(folder, _metrics(run, tables)):
        return False
    WorkLocks(folder / LOCKS).clear()  # what a process left that was killed after its last result
    return True


def trainer_of(workspace: Workspace, run: Run) -> str | None:
    """Which process that is not of this job trains ``run`` now, for people; None if nobody does."""
    if isinstance(run, SampleRun) or not is_first_process():
        return None
    return WorkLocks(workspace.runs / run.name / LOCKS).holder(TRAINING)


def do(workspace: Workspace, run: Run, tables: Sequence[Table]) -> bool:
    """Finish ``run``; return False at once if another process trains it. Samples are shared with whoever is at them.

    On an error the reason is left for the report.
    """
    folder = workspace.runs / run.name
    failure = folder / "failed.txt"
    failure.unlink(missing_ok=True)
    remove_stale(folder)
    try:
        if isinstance(run, TrainRun):
            if not train(workspace, run):
                return False
        else:
            sample(workspace, run)
            score(workspace, run, tables)
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide the first error
            failure.write_text(f"{type(error).__name__}: {error}\n")
        raise
    WorkLocks(folder / LOCKS).clear()
    return True


def train(workspace: Workspace, run: TrainRun) -> bool:
    """Train to ``max_steps`` from the newest checkpoint and store the (averaged) weights; False if another job is at it."""
    if not is_first_process():  # the first process of a parallel training holds the lock for all
        _fit(workspace, run)
        return True
    folder = workspace.runs / run.name
    with WorkLocks(folder / LOCKS).try_acquire(TRAINING) as mine:
        if mine and not (folder / build.WEIGHTS).exists():  # they may have come since we looked
            _fit(workspace, run)
    return mine


def sample(workspace: Workspace, run: SampleRun) -> None:
    """Sample the images that are missing, one shard per batch; end when all shards are there, whoever made them."""
    folder = workspace.runs / run.name / "samples"
    locks = WorkLocks(folder.parent / LOCKS)
    data = workspace.open(run.data)
    if run.method == "real":  # training images stand in for samples; what is paired is scored on the test images
        data.setup()
        for numbers in locked_shards(folder, run.num_images, run.shard_size, locks):
            with atomic_path(shard_path(folder, numbers[0] // run.shard_size)) as temporary:
                np.save(temporary, data.train.batch([i % len(data.train) for i in numbers])["image"].numpy())
        return
    if run.method in ("classify", "count"):
        return  # nothing to sample: the run's model itself is judged
    if run.method == "edit":
        _edit(workspace, run, data, locked_shards(folder, run.num_images, run.shard_size, locks))
        return

    def count() -> int:
        return run.num_images - sum(map(len, missing_shards(folder, run.num_images, run.shard_size)))

    callbacks = [ShardWriter(folder, run.shard_size), RunProgress(run.name, run.num_images, count)]
    trainer = build.predictor(folder.parent, callbacks)
    if count() == run.num_images and trainer.world_size == 1:  # several processes must agree, so they all look again
        return
    data.setup()
    data.predict_batches = shards(run.num_images, run.shard_size)
    mine = LockedShards(folder, run.num_images, run.shard_size, locks)
    loader = DataLoader(data.predict_share(rank=0, world_size=1).dataset, sampler=mine, batch_size=None)
    with recorded(folder.parent, "sample"), _interruptible():
        trainer.predict(build.sampling_module(run, workspace.runs), loader, return_predictions=False)
    trainer.strategy.barrier()  # no process leaves while the first still needs it


def _edit(workspace: Workspace, run: SampleRun, data: PackedDataModule, numbers: Iterator[list[int]]) -> None:
    """Edit the images that are missing; two short trainings an image, so they are shared out one shard at a time."""
    folder = workspace.runs / run.name
    data.setup()
    with recorded(folder, "sample"), _interruptible():
        for shard, pictures in edits.edited(run, workspace.runs, data, numbers):
            with atomic_path(shard_path(folder / "samples", shard[0] // run.shard_size)) as temporary:
                np.save(temporary, pictures.numpy())


def score(workspace: Workspace, run: SampleRun, tables: Sequence[Table]) -> None:
    """Measure what is missing in the run's metrics.json; processes share the metrics out."""
    folder = workspace.runs / run.name
    evaluators = scoring.Evaluators(
        {evaluator.name: evaluator for t in tables for evaluator in t.evaluators}, workspace.runs
    )
    with recorded(folder, "score"):
        scoring.score(folder, run, _metrics(run, tables), evaluators, workspace.open(run.data))


def _fit(workspace: Workspace, run: TrainRun) -> None:
    folder, config = workspace.runs / run.name, run.trainer
    average = EMA(config.ema_decay) if config.ema_decay is not None else None
    callbacks = [
        *([average] if average else []),
        StepSeeds(run.seed),
        LossCurve(folder / "loss.csv"),
        RunProgress(run.name),
        Checkpoints(folder / "checkpoints", every=config.checkpoint_every),
    ]
    if isinstance(run.model, LatentDenoiserConfig):
        _cache_latents(workspace, run)
    module, trainer = build.model(run, workspace.runs), build.trainer(config, folder, callbacks)
    with recorded(folder, "train"), _interruptible():
        trainer.fit(
            module.train(), training_data(run, workspace.data, workspace.cache),
            ckpt_path=checkpoints.newest_checkpoint(folder), weights_only=True,
        )  # fmt: skip
    if trainer.is_global_zero:
        checkpoints.save_weights(module, folder / build.WEIGHTS, average.averaged(module) if average else {})
        for checkpoint in (folder / "checkpoints").glob("*.ckpt"):
            checkpoint.unlink()  # only needed to resume
    trainer.strategy.barrier()  # no process goes on without the weights


def _cache_latents(workspace: Workspace, run: TrainRun) -> None:
    """Encode every training image once; whoever comes second waits and finds the file."""
    path, data = build.moments_path(run, workspace.runs), workspace.open(run.data[0])
    with WorkLocks(path.parent / LOCKS).acquire(path.name):
        if path.exists():
            return
        data.setup()
        count = len(data.train)
        batches = (data.train.batch(list(range(i, min(i + 32, count)))) for i in range(0, count, 32))
        vae = build.autoencoder(run, workspace.runs).to(evaluation.DEVICE)
        write_moments(vae, tqdm(batches, "  encoding images", -(-count // 32), unit="batch", leave=False), count, path)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C with ``sys.exit``; hand it on as what it was."""
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop


def _metrics(run: SampleRun, tables: Sequence[Table]) -> tuple[str, ...]:
    uses = [t for t in tables if any(row.sample == run for row in t.rows)]
    return tuple(dict.fromkeys(m.protocol for t in uses for m in t.metrics))
