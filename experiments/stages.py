"""What a run does: train, sample, score. Each may be killed at any moment and called again; it goes on from what is on disk."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.faces import FaceDataModule
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from experiments import build, scoring
from experiments.provenance import recorded
from experiments.spec import DataConfig, Profile, Run, SampleRun, Table, TrainRun, claim_folder
from lightning_mmdiff import checkpoints
from lightning_mmdiff.callbacks.ema import EMA
from lightning_mmdiff.callbacks.loss_curve import LossCurve
from lightning_mmdiff.callbacks.progress import Progress
from lightning_mmdiff.callbacks.shards import ShardWriter, missing_shards, shard_path
from lightning_mmdiff.files import atomic_path

RENDERED = {"smoke": (48, 16), "mini": (4000, 32)}
"""Faces per domain and their size in pixels, where the data is rendered."""

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
warnings.filterwarnings("ignore", message=".*predict returned None.*")
warnings.filterwarnings("ignore", message=".*Couldn't infer the batch indices.*")  # a batch is one item of our data set
warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # in Lightning's own code


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where things are."""

    profile: Profile
    runs: Path
    """One folder per run."""
    data: Path
    """Root of the data sets."""
    rendered: bool
    """Whether the data sets are rendered by us when they are missing."""
    cache: Path | None
    """Where data sets are packed; None packs them beside their files."""

    @classmethod
    def make(cls, profile: Profile, out: Path, data: Path | None) -> "Workspace":
        """Workspace of the command line's flags."""
        rendered = data is None and profile != "paper"
        root = Path("data") / profile if rendered else data or Path("data")
        cache = out / "packed" if data is not None else None  # a folder that was given may be read-only, or not ours
        return cls(profile=profile, runs=out / profile, data=root, rendered=rendered, cache=cache)

    def open(self, config: DataConfig) -> FaceDataModule:
        """Data module of one data set."""
        return build.data(config, self.data, cache=self.cache)


def prepare_data(workspace: Workspace, runs: Sequence[Run]) -> None:
    """Render the mini data where it is missing; verify and pack every data set that the runs read."""
    configs = dict.fromkeys(c for run in runs for c in _data_of(run))
    if workspace.rendered:
        count, size = RENDERED[workspace.profile]
        for dataset in dict.fromkeys(c.dataset for c in configs):
            write = write_celebamask_hq if dataset == "celebamask_hq" else write_ffhq
            write(workspace.data / build.FOLDERS[dataset], count=count, image_size=size, seed=0)
    for config in configs:
        workspace.open(config).prepare_data()


def is_done(workspace: Workspace, run: Run, tables: Sequence[Table]) -> bool:
    """Whether nothing is left to do for ``run``; checks that its folder was made with the same settings.

    Raises:
        ValueError: if the folder of the run holds results of other settings.
    """
    folder = workspace.runs / run.name
    fingerprints = {c.dataset: build.fingerprint(workspace.open(c)) for c in _data_of(run)}
    claim_folder(folder, run, fingerprints)
    if isinstance(run, TrainRun):
        return (folder / build.WEIGHTS).exists()
    return not scoring.missing(folder, _metrics(run, tables))


def do(workspace: Workspace, run: Run, tables: Sequence[Table]) -> None:
    """Finish ``run``; on an error the reason is left in its folder for the report."""
    failure = workspace.runs / run.name / "failed.txt"
    failure.unlink(missing_ok=True)
    try:
        if isinstance(run, TrainRun):
            train(workspace, run)
        else:
            sample(workspace, run)
            score(workspace, run, tables)
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide the first error
            failure.write_text(f"{type(error).__name__}: {error}\n")
        raise


def train(workspace: Workspace, run: TrainRun) -> None:
    """Train to ``max_steps`` from the newest checkpoint and store the (averaged) weights."""
    folder, config = workspace.runs / run.name, run.trainer
    saver = ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="{step}", every_n_train_steps=config.checkpoint_every,
        monitor="step", mode="max", save_top_k=2, enable_version_counter=False,
    )  # fmt: skip
    average = EMA(config.ema_decay) if config.ema_decay is not None else None
    extras = [LossCurve(folder / "loss.csv"), Progress(run.name)]
    callbacks = [*([average] if average else []), *extras, saver]
    module, trainer = build.model(run, workspace.runs), build.trainer(config, folder, callbacks)
    with recorded(folder, "train"), _interruptible():
        trainer.fit(
            module.train(), build.training_data(run, workspace.data, workspace.cache),
            ckpt_path=checkpoints.newest_checkpoint(folder), weights_only=True,
        )  # fmt: skip
    if trainer.is_global_zero:
        checkpoints.save_weights(module, folder / build.WEIGHTS, average.averaged(module) if average else {})
        for checkpoint in (folder / "checkpoints").glob("*.ckpt"):
            checkpoint.unlink()  # only needed to resume
    trainer.strategy.barrier()  # no process goes on without the weights


def sample(workspace: Workspace, run: SampleRun) -> None:
    """Sample the images that are missing, one shard per batch."""
    folder = workspace.runs / run.name / "samples"
    batches = missing_shards(folder, run.num_images, run.shard_size)
    data = workspace.open(run.data)
    if run.method == "real":  # training images stand in for samples; what is paired is scored on the test images
        data.setup()
        for numbers in batches:
            with atomic_path(shard_path(folder, numbers[0] // run.shard_size)) as temporary:
                np.save(temporary, data.train.batch([i % len(data.train) for i in numbers])["image"].numpy())
    if run.method == "real" or not batches:
        return
    data.predict_batches = batches
    callbacks = [ShardWriter(folder, run.shard_size), Progress(run.name, sum(map(len, batches)))]
    trainer = build.predictor(folder.parent, callbacks)
    with recorded(folder.parent, "sample"), _interruptible():
        trainer.predict(build.sampling_module(run, workspace.runs), data, return_predictions=False)
    trainer.strategy.barrier()  # no process scores before every shard is there


def score(workspace: Workspace, run: SampleRun, tables: Sequence[Table]) -> None:
    """Measure what is missing in the run's metrics.json."""
    folder = workspace.runs / run.name
    judges = scoring.Judges({judge.name: judge for t in tables for judge in t.judges}, workspace.runs)
    with recorded(folder, "score"):
        scoring.score(folder, run, _metrics(run, tables), judges, workspace.open(run.data))


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


def _data_of(run: Run) -> tuple:
    return run.data if isinstance(run, TrainRun) else (run.data,)
