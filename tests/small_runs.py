"""One expert and its samples, a few seconds of work, for tests that stop a run and go on."""

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from lightning import Callback
from tiny import tiny_config

from datamodules.config import DataConfig
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from experiments.core import build
from experiments.core.workspace import Workspace, prepare_data
from experiments.engine import stages
from experiments.engine.work import Work
from experiments.protocols.catalogue import column
from experiments.runs import Run, SampleRun, TrainerConfig, TrainRun
from experiments.spec import Profile, Row, Table
from lightning_mmdiff.baselines.adversarial import Generate
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.runtime import locks, owners
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.steps import steps_done
from lightning_mmdiff.schedules import Sampler

HAIR = DataConfig(dataset="celebamask_hq", image_size=16, conditions=("hair",))
SKIN = DataConfig(dataset="ffhq", image_size=16, conditions=("skin",))
PROTOCOLS = ("SSIM", "PD-EffNetLite0", "FD-EffNetLite0", "KID-EffNetLite0")


def write_data(root: Path, image_size: int = 16) -> Path:
    """Write 40 faces of each domain; return the data root."""
    write_celebamask_hq(root / "CelebAMask-HQ", count=40, image_size=image_size, seed=0)
    write_ffhq(root / "ffhq", count=40, image_size=image_size, seed=0)
    return root


def workspace(data: Path, out: Path) -> Workspace:
    """Where things are, as the command line would say it."""
    return Workspace.make("smoke", out, data)


def do(workspace: Workspace, *runs: Run) -> None:
    """Train, or sample and score, as the command line does."""
    tables = [table_of(run) for run in runs if isinstance(run, SampleRun)]
    work = Work(workspace, runs, tables)
    for run in work.candidates():
        with work.doing(run) as mine:
            if mine and isinstance(run, TrainRun):
                stages.train(workspace, run)
            elif mine and isinstance(run, SampleRun):
                stages.sample(workspace, run, tables)
                stages.score(workspace, run, tables)


class Stop(Callback):
    """Raise an error after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_) -> None:
        if steps_done(trainer) == self.step:
            raise ZeroDivisionError


def train(run: TrainRun, data: Path, out: Path, *extra: Callback) -> RunFolder:
    """Train as the command line does, with more callbacks."""
    place, plain = workspace(data, out), build.trainer
    prepare_data(place, [run])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "trainer", lambda config, folder, c: plain(config, folder, [*extra, *c]))
        do(place, run)
    return RunFolder(place.runs / run.name)


def expert(
    *, steps: int, checkpoint_every: int = 10, data: tuple[DataConfig, ...] = (HAIR,), lr: float = 1e-3, **options
) -> TrainRun:
    """A tiny denoiser with everything that must survive a restart: dropout, warm-up and decay of the rate, average."""
    names = tuple(c for d in data for c in d.conditions)
    model = tiny_config(spatial=tuple((n, 1) for n in names), subsets=((names, 0.8), ((), 0.2)), image_size=16)
    optimizer = replace(model.optimizer, lr=lr, warmup_steps=5, decay_steps=steps)
    trainer = TrainerConfig(max_steps=steps, ema_decay=0.9, gradient_clip_val=1.0, checkpoint_every=checkpoint_every)
    model = replace(model, optimizer=optimizer, network=replace(model.network, dropout=0.1))
    return TrainRun(name="expert", model=model, data=data, batch_size=4, trainer=trainer, **options)


def samples(run: TrainRun, *, num_images: int = 32, num_steps: int = 20) -> SampleRun:
    """Shards of four images."""
    use = ExpertUse(run=run, conditions=("hair",))
    sampler = Sampler(name="ddim", num_steps=num_steps, eta=0.5)
    return SampleRun(
        name="samples", method=Unite(experts=(use,)), data=HAIR, num_images=num_images, shard_size=4, sampler=sampler,
        seed=run.seed,
    )  # fmt: skip


def gan(*, steps: int, checkpoint_every: int = 10, name: str = "expert", devices: int = 1) -> TrainRun:
    """A tiny adversarial model without batch norm, so that each image is trained on alone; two optimizers."""
    model = Pix2PixHDConfig(
        image_size=16, labels=(("hair", 1),), width=4, num_downs=2, num_blocks=1, discriminator_width=4, perceptual=None
    )
    trainer = TrainerConfig(max_steps=steps, checkpoint_every=checkpoint_every, devices=devices)
    return TrainRun(name=name, model=model, data=(HAIR,), batch_size=4, trainer=trainer)


def generated(run: TrainRun) -> SampleRun:
    """Shards of four images of an adversarial model."""
    return SampleRun(name="samples", method=Generate(model=run), data=HAIR, num_images=24, shard_size=4)


def table_of(run: SampleRun, protocols: tuple[str, ...] = PROTOCOLS) -> Table:
    """One measured row."""
    metrics = tuple(column(p) for p in protocols)
    return Table(name="small", title="Small", paper="None", metrics=metrics, rows=(Row(label="ours", sample=run),))


def long_table(profile: Profile, seed: int) -> Table:
    """Long enough that a process can be caught in the middle of each stage."""
    return table_of(samples(expert(steps=120), num_steps=40))


def brief_table(profile: Profile, seed: int) -> Table:
    """The same, a good second of work."""
    return table_of(samples(expert(steps=60), num_images=24, num_steps=10), ("SSIM", "FD-EffNetLite0"))


def adversarial_table(profile: Profile, seed: int) -> Table:
    """A training with two optimizers in place of the expert's."""
    return table_of(generated(gan(steps=80)), ("SSIM", "FD-EffNetLite0"))


def pair_table(profile: Profile, seed: int, steps: int = 60) -> Table:
    """Two experts that do not need each other, the samples of each, and an evaluator of none of the metrics."""
    experts = [replace(expert(steps=steps), name=f"{name}-expert") for name in ("first", "second")]
    evaluator = replace(expert(steps=steps), name="evaluator")
    rows = [replace(samples(e, num_images=8, num_steps=2), name=f"{e.name}-samples") for e in experts]
    table = table_of(rows[0], ("SSIM",))
    return replace(table, rows=tuple(Row(label=row.name, sample=row) for row in rows), evaluators=(evaluator,))


def short_pair_table(profile: Profile, seed: int) -> Table:
    """The same, as short as can be."""
    return pair_table(profile, seed, steps=2)


def quick_table(profile: Profile, seed: int) -> Table:
    """As short as can be, with several seeds if asked."""
    run = expert(steps=6, checkpoint_every=2, seed=seed)
    run = replace(run, name=f"expert-seed{seed}")
    sample = replace(samples(run, num_images=8, num_steps=2), name=f"samples-seed{seed}")
    return table_of(sample, ("SSIM",))


def impatient_table(profile: Profile, seed: int) -> Table:
    """``brief_table`` among processes that seem to be on machines of their own, and count as dead after a second."""
    locks.WorkLocks.__init__.__kwdefaults__ |= {"heartbeat": 0.1, "expiry": 1.0}  # type: ignore[attr-defined]
    name = f"host{os.getpid()}-1"
    owners.machine = lambda: name
    _disturb(Path(os.environ.get("DISTURBED", "nowhere")))
    return table_of(samples(expert(steps=150), num_images=24, num_steps=10), ("SSIM", "FD-EffNetLite0"))


def _disturb(folder: Path) -> None:
    """Let the touches of locks fail, or stamp another hour, while a file in ``folder`` says so."""
    plain = os.utime

    def utime(path: Path, times: tuple[float, float] | None = None) -> None:
        if (folder / "stale").exists():
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        ahead = (folder / f"ahead-{os.getpid()}").exists()
        plain(path, (time.time() + 3600,) * 2 if ahead else times)

    os.utime = utime
