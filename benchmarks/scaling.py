"""Speed of sampling and scoring shared among processes with the same command, against one process; a plan for many GPUs.

    python -m benchmarks.scaling

Processes with one thread each are started before the clock; they share one folder through locks, as jobs do. The speed-up of p
processes cannot exceed the number of cores. Features are shared by shard; a metric's bootstrap runs in one process. ``--clock
cpu`` compares the processor time of all with that of one: the cost of sharing. The plan is arithmetic.
"""

import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch
import tyro

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from experiments.core import build
from experiments.core.workspace import Workspace, prepare_data
from experiments.engine import stages
from experiments.protocols.catalogue import column
from experiments.recipes.unite_and_conquer import CELEBA, guided, hair_expert, unite, united
from experiments.runs import SampleRun
from experiments.spec import Profile, Row, Table
from lightning_mmdiff.callbacks.shards import shard_files
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder

PROTOCOLS = ("FD-EffNetLite0", "SSIM")


@dataclass(frozen=True, kw_only=True)
class ScalingFlags(BenchmarkFlags):
    """Settings for the cost of sharing sampling and scoring."""

    processes: tuple[int, ...] = (2, 4)
    """Numbers of processes, each timed in turn with one process."""
    profile: Profile = "mini"
    """Profile of the sampling, with random weights (mini: 32 pixels, 256 images in shards of 16; smoke: 8 images of 16)."""
    gpus: int = 64
    """Number of GPUs in the plan."""
    images: int = 50_000
    """Number of images in the plan."""
    image_size: int = 256
    """Height and width of images in the plan, in pixels."""
    shard_size: int = 64
    """Number of images per shard in the plan."""
    steps: int = 100
    """Number of sampling steps in the plan."""
    terms: int = 4
    """Number of network calls per image and step in the plan; uniting two experts takes four (Eq. 10)."""
    call_seconds: float | None = None
    """Seconds of a network call per image on one GPU in the plan. Default: measured here, on one core at ``profile``."""


class Workers:
    """Processes that have imported everything and wait for work."""

    def __init__(self, count: int) -> None:
        context = get_context("spawn")
        self.ends: list[Connection] = []
        self.processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            self.ends.append(ours)
            self.processes.append(process)
        for end in self.ends:
            end.recv()

    def do(self, count: int, stage: str, *arguments: Any) -> None:
        """Make the first ``count`` processes do ``stage`` together, and wait for all of them."""
        for end in self.ends[:count]:
            end.send((stage, *arguments))
        for end in self.ends[:count]:
            answer = end.recv()
            if answer is not None:
                raise RuntimeError(answer)

    def processor_time(self) -> float:
        """Return the seconds of processor time that all processes have used."""
        times = [psutil.Process(process.pid).cpu_times() for process in self.processes]
        return sum(t.user + t.system for t in times)

    def close(self) -> None:
        """End the processes."""
        for end in self.ends:
            end.send(None)
        for process in self.processes:
            process.join()


def _serve(end: Connection) -> None:
    torch.set_num_threads(1)
    end.send(None)
    while (work := end.recv()) is not None:
        stage, workspace, run, table = work
        try:
            if stage == "sample":
                stages.sample(workspace, run)
            else:
                stages.score(workspace, run, [table])
        except Exception as error:  # sent to the parent, which raises it
            end.send(f"{type(error).__name__}: {error}")
        else:
            end.send(None)


def sampled_run(flags: ScalingFlags) -> SampleRun:
    """Return the run of which images are shared: those of one expert."""
    method = unite(guided(hair_expert(flags.profile, 0), "hair"))
    return replace(united(flags.profile, "scaling", CELEBA, method), shard_size=16 if flags.profile == "mini" else 2)


def prepared(flags: ScalingFlags, folder: Path) -> tuple[Workspace, SampleRun, Table]:
    """Prepare data and an expert with random weights; return the workspace, a run of the expert's images and a table."""
    expert, run = hair_expert(flags.profile, 0), sampled_run(flags)
    workspace = Workspace(profile=flags.profile, runs=folder / "runs", data=folder / "data", rendered=True, cache=None)
    prepare_data(workspace, [expert, run])
    checkpoints.save_weights(build.model(expert, workspace.runs), RunFolder(workspace.runs / expert.name).weights, {})
    metrics, rows = tuple(column(p) for p in PROTOCOLS), (Row(label="scaling", sample=run),)
    return workspace, run, Table(name="scaling", title="", paper="", metrics=metrics, rows=rows)


def measure(flags: ScalingFlags, folder: Path) -> list[Comparison]:
    """Time the sampling and scoring of the same images by several processes and by one."""
    workspace, run, table = prepared(flags, folder)
    images, workers = RunFolder(workspace.runs / run.name), Workers(max(flags.processes))
    try:
        workers.do(1, "sample", workspace, run, table)
        workers.do(1, "score", workspace, run, table)  # warms up, and stores the features of the reference
        expected = _results(images, run)
        comparisons = []
        for stage, of_stage in (("sample", images.samples), ("score", images.features)):
            for count in flags.processes:

                def work(count: int, stage: str = stage, of_stage: Path = of_stage) -> None:
                    shutil.rmtree(of_stage)
                    images.metrics.unlink(missing_ok=True)
                    workers.do(count, stage, workspace, run, table)

                ours = Side(run=partial(work, count), units=run.num_images)
                now = flags.now if flags.clock == "wall" else workers.processor_time
                seconds = in_turn(ours, Side(run=partial(work, 1), units=run.num_images), flags, now)
                if not images.is_scored:
                    workers.do(count, "score", workspace, run, table)
                comparisons.append(_comparison(stage, count, seconds, _results(images, run) == expected, flags, run))
    finally:
        workers.close()
    return comparisons


def _results(folder: RunFolder, run: SampleRun) -> list[bytes]:
    """Return the images and metrics of a finished run as bytes."""
    files = [*shard_files(folder.samples, run.num_images, run.shard_size), folder.metrics]
    return [file.read_bytes() for file in files]


def _comparison(
    stage: str, count: int, seconds: tuple[tuple[float, float], ...], same: bool, flags: ScalingFlags, run: SampleRun
) -> Comparison:
    cores = len(os.sched_getaffinity(0))
    speed_up = statistics.median(one / several for several, one in seconds)
    most = min(count, cores) if flags.clock == "wall" else 1
    against = f"min(processes, cores) = {most}" if flags.clock == "wall" else "the processor time of one process"
    return Comparison(
        title=f"{stage}: {count} processes against one",
        ours=f"{count} processes",
        reference="1 process",
        unit="image",
        seconds=seconds,
        settings={"profile": flags.profile, "images": run.num_images, "shard": run.shard_size, "cores": cores},
        notes=(
            f"EFFICIENCY {100 * speed_up / most:.0f} % of {against}",
            f"images and metrics are equal: {'yes' if same else 'NO'}",
        ),
    )


def lock_seconds(folder: Path, pieces: int = 200) -> float:
    """Return the seconds that it takes to look at, lock and release one piece."""
    start = time.perf_counter()
    done: set[int] = set()
    for piece in WorkLocks(folder).share({str(i): i for i in range(pieces)}, done.__contains__):
        done.add(piece)
    return (time.perf_counter() - start) / pieces


def plan(flags: ScalingFlags, call_seconds: float, lock: float, source: str) -> list[str]:
    """Return the calls, bytes and hours of sampling ``flags.images`` on ``flags.gpus``, as formulas with their numbers.

    Args:
        flags: settings of the plan.
        call_seconds: seconds of a network call per image.
        lock: seconds to take and release a lock.
        source: origin of ``call_seconds``, to be printed.
    """
    shards = math.ceil(flags.images / flags.shard_size)
    rounds = math.ceil(shards / flags.gpus)
    calls = flags.images * flags.steps * flags.terms
    hours = (rounds * flags.shard_size * flags.steps * flags.terms * call_seconds + rounds * lock) / 3600
    pixels = flags.images * 3 * flags.image_size**2
    features = flags.images * 2048 * 4
    return [
        f"PLAN {flags.images} images of {flags.image_size} px on {flags.gpus} GPUs, {flags.steps} steps, {flags.terms} terms",
        f"  calls  images x steps x terms = {calls:.3g} network evaluations of one image",
        f"  shards ceil(images / {flags.shard_size}) = {shards}; a GPU makes at most ceil(shards / GPUs) = {rounds}, "
        f"so {100 * shards / (rounds * flags.gpus):.0f} % of the GPUs' time is used",
        f"  bytes  images x 3 x {flags.image_size}^2 = {pixels / 1e9:.2f} GB of samples in {shards} files; "
        f"images x 2048 x 4 = {features / 1e9:.2f} GB of Inception features in {shards} files",
        f"  hours  {rounds} shards x {flags.shard_size} images x {flags.steps} steps x {flags.terms} terms x "
        f"{call_seconds:.3g} s ({source}) + {rounds} locks x {lock:.2g} s (measured here) = {hours:.2f} h",
    ]


def measured_call(comparisons: Sequence[Comparison], run: SampleRun) -> float:
    """Return the seconds of a network call per image in one process, from the timings of sampling."""
    alone = [one for c in comparisons if c.title.startswith("sample") for _, one in c.seconds]
    assert run.sampler is not None
    return statistics.median(alone) / (2 * run.sampler.num_steps)  # one expert: Eq. 10 has two terms


def main(flags: ScalingFlags) -> None:
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory() as name:
        report(comparisons := measure(flags, Path(name)), flags)
        seconds, source = flags.call_seconds, "stated"
        if seconds is None:
            seconds = measured_call(comparisons, sampled_run(flags))
            source = f"measured here: {flags.profile}, one core; state --call-seconds"
        print("\n".join(plan(flags, seconds, lock_seconds(Path(name) / "locks"), source)))


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(ScalingFlags, description=__doc__))
