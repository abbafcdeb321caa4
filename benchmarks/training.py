"""Speed of training in the mini profile: Lightning with averaged weights, loss curve and progress bar against a plain loop.

    python -m benchmarks.training

Both sides take the same batches through the same loss and the same optimizer, and must end with the same weights, which is
checked. They take turns inside one ``fit``: after each block of the Trainer's steps, its clock stops for a block of the
plain loop. The cost of checkpoints is measured separately, because it depends on how often they are written.
"""

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import tyro
from lightning import Callback, LightningModule, Trainer

from benchmarks.paired import BenchmarkFlags, Comparison, report
from datamodules.batches.steps import StepLoader
from datamodules.mini.layouts import write_celebamask_hq
from experiments.core import build
from experiments.core.workspace import training_data
from experiments.recipes.unite_and_conquer import hair_expert
from experiments.runs import TrainRun
from experiments.spec import Profile
from lightning_mmdiff import seeding
from lightning_mmdiff.callbacks.ema import EMA
from lightning_mmdiff.callbacks.loss_curve import LossCurve
from lightning_mmdiff.callbacks.progress import RunProgress
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(BenchmarkFlags):
    """Settings for the cost of Lightning, averaging and logging."""

    pairs: int = 8
    """Number of blocks of each side."""
    block: int = 25
    """Number of optimizer steps per block."""
    profile: Profile = "mini"
    """Profile of the hair-map expert trained (mini: 32 pixels, batch 32; smoke: 16 pixels, batch 4)."""
    faces: int = 400
    """Number of rendered faces to train on."""


class PlainLoop:
    """The same training without Lightning: no averaged weights, log or progress bar."""

    def __init__(self, module: Denoiser, loader: StepLoader, clip: float | None) -> None:
        self.module, self.clip, self.step = module.train(), clip, 0
        self.batches: Iterator[dict[str, Any]] = iter(loader)
        configured: Any = module.configure_optimizers()
        self.optimizer, self.scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]

    def run(self, steps: int) -> None:
        """Take ``steps`` optimizer steps."""
        for batch in islice(self.batches, steps):
            generator = seeding.step_generator(self.module.seed, self.step)
            self.optimizer.zero_grad()
            self.module.loss(batch, generator).backward()
            if self.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
            self.optimizer.step()
            self.scheduler.step()
            self.step += 1


class TakeTurns(Callback):
    """Callback that times the Trainer's steps in blocks, each followed by a block of the plain loop; the first pair warms up."""

    def __init__(self, loop: PlainLoop, flags: TrainingFlags) -> None:
        self.loop, self.block, self.now = loop, flags.block, flags.now
        self.seconds: list[tuple[float, float]] = []
        self.start = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop the clock between two blocks, run the plain block, restart the clock."""
        if trainer.global_step % self.block == 0:
            end = self.now()
            if trainer.global_step > 0:
                self.loop.run(self.block)
                self.seconds.append(((end - self.start) / self.block, (self.now() - end) / self.block))
            self.start = self.now()


def measure(flags: TrainingFlags, folder: Path) -> Comparison:
    """Train the hair expert both ways below ``folder``."""
    run = _run(flags)
    assert isinstance(run.model, DenoiserConfig)
    last = run.trainer.max_steps - 1  # the step at whose start the last block ends
    root = folder / run.data[0].data_set.folder
    write_celebamask_hq(root, count=flags.faces, image_size=run.data[0].image_size)
    data = run.data[0].open(folder, batch_size=run.batch_size, seed=run.seed)
    data.prepare_data()
    data.setup()
    loader = StepLoader(data.train_batches(), next_step=lambda: 0)
    loop = PlainLoop(Denoiser(run.model, seed=run.seed), loader, run.trainer.gradient_clip_val)
    turns, after = TakeTurns(loop, flags), _Weights(last)
    assert run.trainer.ema_decay is not None, "mini and smoke average the weights"
    progress = RunProgress(run.name, max_steps=run.trainer.max_steps)
    callbacks = [EMA(run.trainer.ema_decay), LossCurve(RunFolder(folder).loss_curve), progress, turns, after]
    module = build.model(run, folder)
    trainer = build.trainer(run.trainer, folder, callbacks)
    trainer.fit(module, training_data(run, folder))
    difference = max((a - b).abs().max().item() for a, b in zip(after.weights, loop.module.parameters()))
    pairs = tuple(turns.seconds[1:])
    overhead = [100 * (ours / plain - 1) for ours, plain in pairs]
    checkpoint, every = _checkpoint_seconds(trainer, folder / "benchmark.ckpt", flags), run.trainer.checkpoint_every
    per_step = 100 * checkpoint / every / statistics.median(plain for _, plain in pairs)
    return Comparison(
        title="Training: Lightning, averaged weights, loss curve and progress bar against a plain loop",
        ours="Trainer",
        reference="plain loop",
        unit="step",
        seconds=pairs,
        settings={
            "profile": flags.profile, "pixels": run.data[0].image_size, "batch": run.batch_size, "block": flags.block,
            "parameters": sum(p.numel() for p in module.parameters()),
        },
        notes=(
            f"OVERHEAD {statistics.median(overhead):.1f} % ({min(overhead):.1f} .. {max(overhead):.1f})",
            f"a checkpoint takes {1000 * checkpoint:.0f} ms, written every {every} steps: {per_step:.1f} % more",
            f"largest difference of a weight after {last} steps: {difference:.2g}",
        ),
    )  # fmt: skip


class _Weights(Callback):
    """Callback that copies the Trainer's weights at the start of one step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.weights: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.weights = [p.detach().clone() for p in pl_module.parameters()]


def _run(flags: TrainingFlags) -> TrainRun:
    """Return the hair expert with steps for one block of warm-up, the pairs, and one more that ends the last block."""
    published = hair_expert(flags.profile, 0)
    steps = flags.block * (flags.pairs + 1) + 1
    return replace(published, trainer=replace(published.trainer, max_steps=steps))


def _checkpoint_seconds(trainer: Trainer, path: Path, flags: TrainingFlags) -> float:
    times = []
    for _ in range(5):
        start = flags.now()
        trainer.save_checkpoint(path)
        times.append(flags.now() - start)
    return statistics.median(times)


def main(flags: TrainingFlags) -> None:
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory() as folder:
        report([measure(flags, Path(folder))], flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(TrainingFlags, description=__doc__))
