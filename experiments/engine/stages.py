"""The stages of a run: train, sample, score. Each may be killed at any time and called again; it resumes from disk."""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.base import PackedDataModule
from datamodules.batches.steps import PredictBatches
from datamodules.config import DataConfig
from datamodules.regimes import CombinedDataModule
from experiments.core import build, edits
from experiments.core.costs import data_of
from experiments.core.provenance import recorded
from experiments.core.run_config import check_run_config
from experiments.core.workspace import Workspace, training_data
from experiments.engine.parent import followed
from experiments.engine.requeue import job_id
from experiments.protocols import samples as evaluation
from experiments.protocols import score as scoring
from experiments.protocols.needed_weights import origins
from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Table
from lightning_mmdiff.callbacks.checkpoints import Checkpoints
from lightning_mmdiff.callbacks.ema import EMA
from lightning_mmdiff.callbacks.experiment_log import ExperimentLog
from lightning_mmdiff.callbacks.loss_curve import LossCurve
from lightning_mmdiff.callbacks.ownership import StillOurs
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
from lightning_mmdiff.callbacks.validation import Validation
from lightning_mmdiff.models.latents import Moments, write_moments
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_array, stored_json
from lightning_mmdiff.source import ModelSource

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
warnings.filterwarnings("ignore", message=".*predict returned None.*")
warnings.filterwarnings("ignore", message=".*Couldn't infer the batch indices.*")  # a batch is one item of our data set
warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode.*")  # frozen experts are
warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # in Lightning's own code
if job_id() is None:  # users who did not ask for SLURM need not hear that it is installed
    warnings.filterwarnings("ignore", message=".*`srun` command is available on your system but is not used.*")


TRAINING = "train"
"""Name of the lock on a training."""


def is_done(workspace: Workspace, run: Run, tables: Sequence[Table]) -> bool:
    """Return whether nothing is left to do for ``run``; check that its folder was made with the same settings.

    Raises:
        UserError: if the run's folder holds results of other settings.
    """
    folder = RunFolder(workspace.runs / run.name)
    modules = {c.dataset: workspace.open(c) for c in data_of(run)}
    fingerprints = {name: module.fingerprint() for name, module in modules.items()}
    earlier = {name: module.earlier_fingerprint() for name, module in modules.items()}
    check_run_config(folder.path, run, fingerprints, earlier)
    if isinstance(run, TrainRun) and not folder.weights.exists():
        return False
    if isinstance(run, SampleRun) and folder.missing(_metrics(run, tables)):
        return False
    WorkLocks(folder.locks).clear()  # left by a process that was killed after its last result
    with suppress(OSError):  # a finished folder may be read-only
        folder.failure.unlink()  # of an earlier attempt, perhaps of a process that gave up while another went on
    return True


def train(workspace: Workspace, run: TrainRun) -> None:
    """Train to ``max_steps`` from the newest checkpoint and save the (averaged) weights."""
    folder, config = RunFolder(workspace.runs / run.name), run.trainer
    average = EMA(config.ema_decay) if config.ema_decay is not None else None
    data = training_data(run, workspace.data, workspace.cache)
    _expect(folder, zip(run.data, data.data if isinstance(data, CombinedDataModule) else [data]))
    validation = Validation(lambda: data.held_out(run.batch_size), every=config.validate_every, last=config.max_steps)
    locks = WorkLocks(folder.locks)
    still_ours = StillOurs(locks, TRAINING)
    log = _experiment_log(workspace, run, validation)
    also = log[0].write if log else lambda *_: None
    callbacks = [
        still_ours,
        *([average] if average else []),
        StepSeeds(run.seed),
        *log,  # before the curve, which writes to it
        LossCurve(folder.loss_curve, validation=validation, may_write=still_ours.is_ours, also=also),
        RunProgress(run.name, max_steps=config.max_steps),
        Checkpoints(folder.checkpoints, every=config.checkpoint_every),
    ]
    if (moments := _cached_latents(workspace, run)) is not None:
        assert isinstance(data, PackedDataModule), "latents of one data set are cached"
        data.cached["moments"] = moments
    module, trainer = build.model(run, workspace.runs), build.trainer(config, folder.path, callbacks)
    with recorded(folder.path, "train"), _interruptible(), followed():
        checkpoint = checkpoints.newest_checkpoint(folder.path)
        trainer.fit(module.train(), data, ckpt_path=checkpoint, weights_only=True)
    if trainer.is_global_zero:
        locks.require(TRAINING)
        checkpoints.save_weights(module, folder.weights, average.averaged(module) if average else {})
        for path in checkpoints.by_step(folder.checkpoints):
            path.unlink(missing_ok=True)  # only needed to resume
    trainer.strategy.barrier()  # no process continues without the weights


def _experiment_log(workspace: Workspace, run: TrainRun, validation: Validation) -> list[ExperimentLog]:
    """Return the callback of ``--logger``, if there is one: images five times in a training."""
    if workspace.logger == "csv":
        return []
    folder, every = workspace.runs / run.name, max(1, run.trainer.max_steps // 5)
    return [ExperimentLog(workspace.logger, folder, every=every, conditions=lambda: validation.batches()[0])]


def sample(workspace: Workspace, run: SampleRun, tables: Sequence[Table] = ()) -> None:
    """Sample the missing images, one shard per batch; return when all shards exist, no matter which process made them.

    If each image needs a training of its own, all images that ``tables`` make after the same training are made at once.
    """
    folder, method = RunFolder(workspace.runs / run.name), run.method
    data, locks = workspace.open(run.data), WorkLocks(folder.locks)
    if not method.makes_images:
        return  # the run's model itself is measured
    _expect(folder, [(run.data, data)])
    if method.preparation is not None:
        others = [row.sample for table in tables for row in table.rows if row.sample is not None]
        _edit(workspace, edits.alike(run, others), locked_shards(folder.samples, run.num_images, run.shard_size, locks))
        return

    def count() -> int:
        return run.num_images - sum(map(len, missing_shards(folder.samples, run.num_images, run.shard_size)))

    progress = RunProgress(run.name, num_images=run.num_images, count=count)
    trainer = build.predictor(folder.path, [ShardWriter(folder.samples, run.shard_size), progress], run.precision)
    if count() == run.num_images and trainer.world_size == 1:  # several processes must agree, so all of them look again
        return
    data.setup()
    batches = shards(run.num_images, run.shard_size)
    items = PredictBatches(data.train if method.is_real else data.test, batches)  # the ceiling uses training images
    mine = LockedShards(folder.samples, run.num_images, run.shard_size, locks)
    loader = DataLoader(items, sampler=mine, batch_size=None)
    with recorded(folder.path, "sample", checkpoints=partial(origins, run)), _interruptible():
        trainer.predict(build.method(run, workspace.runs), loader, return_predictions=False)
    trainer.strategy.barrier()  # no process leaves while the first still needs it


def score(workspace: Workspace, run: SampleRun, tables: Sequence[Table]) -> None:
    """Measure the metrics missing from the run's metrics.json; processes divide the metrics among themselves."""
    folder = workspace.runs / run.name
    trained = {evaluator.name: evaluator for t in tables for evaluator in t.evaluators}
    evaluators = scoring.Evaluators(trained, workspace.runs)
    with recorded(folder, "score"):
        data = workspace.open(run.data)
        _expect(RunFolder(folder), [(run.data, data)])
        scoring.score(folder, run, _metrics(run, tables), evaluators, data)


def _expect(folder: RunFolder, opened: Iterable[tuple[DataConfig, PackedDataModule]]) -> None:
    """Let data modules refuse, when they open their arrays, what the run was not begun on."""
    begun = stored_json(folder.config).get("fingerprints", {})
    for config, module in opened:
        module.expected = begun.get(config.dataset)


def _edit(workspace: Workspace, runs: Sequence[SampleRun], numbers: Iterator[list[int]]) -> None:
    """Edit the missing images of the first run; each takes two short trainings, so processes take a shard at a time."""
    run = runs[0]
    folder, data = RunFolder(workspace.runs / run.name), workspace.open(run.data)
    data.setup()
    with recorded(folder.path, "sample", checkpoints=partial(origins, run)), _interruptible():
        for shard, pictures in edits.edited(runs, workspace.runs, data, numbers):
            with atomic_path(shard_path(folder.samples, shard[0] // run.shard_size)) as temporary:
                np.save(temporary, pictures.numpy())


def _cached_latents(workspace: Workspace, run: TrainRun) -> Callable[[Tensor], Tensor] | None:
    """Return the posteriors of a latent model's training images, encoded once; later callers find the file."""
    source = _latent_source(run)
    if source is None:
        return None
    config, data = run.data[0], workspace.open(run.data[0])
    vae = build.helper(source, workspace.runs)
    name = f"moments-{config.dataset}-{config.split}-{config.captions}-{config.image_size}px.npy"
    path = RunFolder(workspace.runs / source.name).path / name
    with WorkLocks(RunFolder(path.parent).locks).acquire(path.name):
        if stored_array(path) is None:
            data.setup()
            count = len(data.train)
            batches = (data.train.batch(list(range(i, min(i + 32, count)))) for i in range(0, count, 32))
            bar = tqdm(batches, "  encoding images", -(-count // 32), unit="batch", leave=False)
            write_moments(vae.to(evaluation.DEVICE), bar, count, path)
    return Moments(path, vae.config.latent_shape)


def _latent_source(run: TrainRun) -> TrainRun | None:
    """Return the trained autoencoder whose cached latents the model, or the experts it combines, are trained on."""
    models: list[ModelSource] = [run, *run.experts[:1]]
    found = (m.autoencoder for m in models if isinstance(m, TrainRun) and m.model.caches_latents)
    return next((source for source in found if isinstance(source, TrainRun)), None)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning answers Ctrl-C with ``sys.exit``."""
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop


def _metrics(run: SampleRun, tables: Sequence[Table]) -> tuple[str, ...]:
    uses = [t for t in tables if any(row.sample == run for row in t.rows)]
    return tuple(dict.fromkeys(m.protocol for t in uses for m in t.metrics))
