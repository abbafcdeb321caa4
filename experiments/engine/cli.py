"""The command line of every table. It chooses which runs to do and where; a changed number makes other runs (``variants``)."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from experiments.engine.endings import endings
from experiments.engine.variants import AS_IS, Variant
from experiments.protocols.needed_weights import released_files
from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Profile, Table, TableFunction, plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError, did_you_mean
from lightning_mmdiff.runtime import stand_ins
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.links import require_own
from lightning_mmdiff.runtime.options import check_options

if TYPE_CHECKING:
    from experiments.core.workspace import Workspace
    from experiments.engine.work import Work

    Phases = Iterable[AbstractContextManager[Work]]


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """Flags of every table command, which trains, samples, scores and reports. Running it again resumes where it stopped."""

    profile: Profile = "mini"
    """mini: minutes on a laptop CPU, rendered data. smoke: seconds, meaningless numbers. paper: the published setting.
    released: the same with the authors' checkpoints in place of trainings (docs/released.md)."""
    launcher: Literal["local", "slurm", "dry-run"] = "local"
    """Run here, submit to SLURM with the cluster file (python -m slurm.submit has more options), or only print the runs."""
    only: tuple[str, ...] = ()
    """Names of runs to do, as printed by --launcher dry-run (no report is made then). Default: all."""
    out: Path = Path("runs")
    """Root of all run folders."""
    data: Path | None = None
    """Root of the data sets (CelebAMask-HQ/, ffhq/). Default: rendered data for mini and smoke, data/ for paper."""
    images: int | None = None
    """At most so many images a row, for a quick look with wider intervals; they are runs of their own. Default: the profile's."""
    longer: int | None = None
    """Train all models of the rows so many times as long, to see what hangs on it; they are runs of their own."""
    seeds: int = 1
    """Number of training seeds; with more than one, the intervals cover them."""
    workers: int = 1
    """Number of processes on this machine that share the work and divide the CPU cores; 0: one for each core, at most 8."""
    part: Literal["all", "data", "report"] = "all"
    """all: runs, then the report. data: only render, check and pack the data sets. report: only report existing results."""
    logger: Literal["csv", "tensorboard", "wandb"] = "csv"
    """Where losses and sample images of trainings go besides loss.csv: below their run's folder, or to wandb.ai."""
    debug: bool = False
    """Print the traceback of a bug in the program; the run's failed.txt has it in any case."""

    @property
    def variant(self) -> Variant:
        """The numbers that differ from the profile's."""
        return Variant(images=self.images, longer=self.longer)


def main(table: TableFunction, flags: TableFlags | None = None) -> None:
    """Do every unfinished run of a table, then write and print the report; flags can restrict this.

    Args:
        table: makes the table of a profile and training seed.
        flags: None reads the command line; an error then ends the process with one sentence and exit code 1.
    """
    command_line = flags is None
    if flags is None:
        with readable_end():
            check_options(TableFlags, sys.argv[1:])
        about = (sys.modules["__main__"].__doc__ or "").strip() or None
        flags = tyro.cli(TableFlags, prog=f"python -m {_module()}", description=about)
    with endings(flags.out, debug=flags.debug) if command_line else nullcontext(), session(table, flags) as phases:
        for phase in phases:
            from experiments.engine import stages  # heavy imports: not for --help and dry runs

            with phase as work:
                for run in work.candidates():
                    with work.doing(run) as mine:
                        if mine and isinstance(run, TrainRun):
                            stages.train(work.workspace, run)
                        elif mine and isinstance(run, SampleRun):
                            stages.sample(work.workspace, run, work.tables)
                            stages.score(work.workspace, run, work.tables)


@contextmanager
def session(table: TableFunction, flags: TableFlags) -> Iterator["Phases"]:
    """Prepare the data and yield the work to do, phase by phase; report at the end. Yield nothing to do if none is done here."""
    for name, least in (("seeds", 1), ("workers", 0), ("images", 1), ("longer", 1)):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}; it must be at least {least}.")
    tables = tables_of(table, flags.profile, flags.seeds, flags.variant)
    runs = _chosen(plan(tables), flags.only)
    if flags.launcher == "local":
        with _local(table, flags, runs) as work:
            yield work
        return
    if flags.launcher == "slurm":
        _submit(flags)
    else:
        for run in runs:
            after = ", ".join(n.name for n in run.needs) or "-"
            files = ", ".join(weights.entry(name).file for name in released_files(run))
            reads = f", reads {files}" if files else ""
            print(f"{'train' if isinstance(run, TrainRun) else 'sample':7s}{run.name:36s} after {after}{reads}")
    yield ()


def tables_of(table: TableFunction, profile: Profile, seeds: int, variant: Variant = AS_IS) -> list[Table]:
    """Return the table of each training seed.

    Args:
        table: makes the table of a profile and training seed.
        profile: profile of the runs.
        seeds: number of training seeds.
        variant: what the runs have instead of the profile's numbers.

    Raises:
        UserError: if the profile trains nothing, but a model of the table is published by nobody.
    """
    found = [table(profile, seed) for seed in range(seeds)]
    trained = [run.name for run in plan(found) if isinstance(run, TrainRun)]
    if profile == "released" and trained:
        raise UserError(
            f"{found[0].name} has no released profile: nobody published {', '.join(trained[:3])}; choose another --profile."
        )
    return [variant.of(table) for table in found]


@contextmanager
def _local(table: TableFunction, flags: TableFlags, runs: list[Run]) -> Iterator["Phases"]:
    """Run the session on this machine."""
    from experiments.core.workspace import Workspace, prepare_data  # heavy imports: not for --help and dry runs
    from experiments.engine.fitting import require_fitting
    from experiments.engine.launch import check_gpu, check_launch
    from experiments.engine.workers import gpus
    from experiments.figures import reporting

    if flags.workers > 1 and len(gpus()) > 1:
        raise UserError(f"--workers {flags.workers} divides CPU cores; here each GPU has a process: leave it out.")
    twin: Profile = "released" if flags.profile == "released" else "paper"  # whose settings are compared with ours
    tables, papers = (tables_of(table, p, flags.seeds, flags.variant) for p in (flags.profile, twin))
    workspace = Workspace.make(flags.profile, flags.out, flags.data, flags.logger)
    require_own(workspace.runs)
    if flags.part == "all":
        check_launch(runs)
        check_gpu(flags.profile)
    if flags.part != "report":
        prepare_data(workspace, runs, partial(require_fitting, tables=tables, runs=runs))
        reporting.announce(workspace, tables, papers, _command(flags))
    if flags.part == "all":
        yield _phases(workspace, runs, tables, flags)
    else:
        yield ()
    made = stand_ins.are_installed() and flags.part == "all" and not flags.only  # nothing was left to do
    if made and reporting.show_current(workspace, tables, _command(flags)):
        return
    if flags.part == "report" or (flags.part == "all" and not flags.only):
        reporting.report(workspace, tables, papers, _command(flags))


def _phases(workspace: "Workspace", runs: list[Run], tables: list[Table], flags: TableFlags) -> "Phases":
    """Return the phases of the work, one after the other: what is done in one is known to the next."""
    from experiments.engine.launch import is_group
    from experiments.engine.phases import in_group, phases, together
    from experiments.engine.workers import cores, gpus

    if is_group(runs):
        yield in_group(workspace, runs, tables)
        return
    devices = gpus()
    for part in phases(runs, tables):
        only = replace(flags, only=tuple(run.name for run in part))  # names: no report
        words = ["-m", _module(), "--logger", flags.logger, *_words(only)]
        yield together(workspace, part, tables, words, workers=flags.workers or cores(), devices=devices)


def _submit(flags: TableFlags) -> None:
    """Delegate to ``slurm.submit``, which may import this package but not vice versa."""
    if flags.part != "all":
        raise UserError(f"--part {flags.part} is done here, not submitted; leave out --launcher slurm.")
    if words := flags.variant.words:
        raise UserError(f"{' '.join(words)} is for a quick look on this machine; leave it out on a cluster.")
    if flags.workers > 1:
        raise UserError(
            f"--workers {flags.workers} is for this machine; on a cluster set sampling_jobs (docs/cluster.md)."
        )
    words = [sys.executable, "-m", "slurm.submit", _module().removeprefix("experiments."), *_words(flags)]
    code = subprocess.run(words, check=False).returncode
    if code:
        sys.exit(code)


def _words(flags: TableFlags) -> list[str]:
    """Return the flags that choose the runs, as command line words."""
    words = ["--profile", flags.profile, "--out", str(flags.out), "--seeds", str(flags.seeds)]
    words += ["--data", str(flags.data)] if flags.data else []
    return words + flags.variant.words + (["--only", *flags.only] if flags.only else [])


def _chosen(runs: list[Run], only: tuple[str, ...]) -> list[Run]:
    unknown = sorted(set(only) - {r.name for r in runs})
    if unknown:
        names = [r.name for r in runs]
        raise UserError(
            f"--only {' '.join(unknown)}: no such run; this table has {', '.join(names)}{did_you_mean(unknown[0], names)}"
        )
    return [r for r in runs if not only or r.name in only]


def _command(flags: TableFlags) -> str:
    parts = [f"python -m {_module()}", f"--profile {flags.profile}"]
    return " ".join(parts + flags.variant.words + ([f"--seeds {flags.seeds}"] if flags.seeds > 1 else []))


def _module() -> str:
    """Return the name of the module that was started with ``python -m``."""
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else "experiments"
