"""Progress of every run of a profile and the time it still needs, estimated from files alone.

The pace of a run comes from the times of its checkpoints, loss rows and shards, or else from finished runs of the same
kind. Nothing is known about machines: the time left assumes that everything left is computed sequentially.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.curves import last_step
from reports.runs import read_config, stages
from reports.settings import models

RunState = Literal["done", "running", "stopped", "failed", "pending"]


@dataclass(frozen=True, kw_only=True)
class TableProgress:
    """Progress of one run folder of a profile."""

    name: str
    folder: Path
    config: dict[str, Any]
    state: RunState
    reason: str
    """Reason of a failure."""
    done: int
    total: int | None
    """Steps or images; None if the config has neither."""
    left: float | None
    """Seconds of computing; None if nothing comparable was ever timed."""
    written: float | None
    """When one of its files last changed, in seconds since 1970."""

    @property
    def unit(self) -> str:
        """Unit of the counts."""
        return "steps" if "trainer" in self.config else "images"


def survey(profile: Path) -> dict[str, TableProgress]:
    """Return the progress of every run folder of a profile by name, in alphabetical order."""
    folders = RunFolder.begun(profile)
    paces = _paces(folders)
    return {folder.name: _look(folder, paces) for folder in folders}


def time_left(runs: Iterable[TableProgress]) -> tuple[float, int]:
    """Return the seconds left for unfinished runs, and the number of unfinished runs without an estimate."""
    open_runs = [run for run in runs if run.state != "done"]
    return sum(run.left for run in open_runs if run.left is not None), sum(run.left is None for run in open_runs)


def _look(folder: RunFolder, paces: dict[tuple, list[float]]) -> TableProgress:
    config = read_config(folder.path)
    total = _total(config)
    files = [path for path in folder.path.rglob("*") if path.is_file() and path != folder.config]
    written = max((path.stat().st_mtime for path in files), default=None)
    marks = _marks(folder, config)
    done = min(max((count for count, _ in marks), default=0), total or 0)
    failed = folder.failure
    state: RunState = "failed" if failed.is_file() else "pending"
    left = None
    if folder.is_trained or folder.is_scored:
        state, done, left = "done", total or done, 0.0
    elif total is not None:
        pace = _own_pace(marks) or _typical(paces, _kind(config))
        left = None if pace is None else (total - done) * pace
    if state == "pending" and files:
        state = "running" if WorkLocks(folder.locks).are_held() else "stopped"
    reason = folder.reason if state == "failed" else ""
    return TableProgress(
        name=folder.name, folder=folder.path, config=config, state=state, reason=reason,
        done=done, total=total, left=left, written=written,
    )  # fmt: skip


def _total(config: dict[str, Any]) -> int | None:
    trainer = config.get("trainer")
    number = trainer.get("max_steps") if isinstance(trainer, dict) else config.get("num_images")
    return number if isinstance(number, int) else None


def _marks(folder: RunFolder, config: dict[str, Any]) -> list[tuple[int, float]]:
    """Return (steps or images so far, when) for every file that shows them, in order of time."""
    marks = []
    for path in folder.checkpoints.glob("*.ckpt"):
        step = re.search(r"step=(\d+)", path.name)
        marks += [(int(step[1]), path.stat().st_mtime)] if step else []
    if folder.loss_curve.is_file():
        marks.append((last_step(folder.loss_curve), folder.loss_curve.stat().st_mtime))
    size = config.get("shard_size")
    times = sorted(path.stat().st_mtime for path in folder.samples.glob("[0-9]*.npy"))
    if isinstance(size, int):
        marks += [((i + 1) * size, time) for i, time in enumerate(times)]
    return sorted(marks, key=lambda mark: (mark[1], mark[0]))


def _own_pace(marks: Sequence[tuple[int, float]]) -> float | None:
    """Return the median of seconds per step or image over intervals, which ignores a pause between parts of a run."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(marks, marks[1:])]
    paces = [seconds / count for count, seconds in steps if count > 0 and seconds > 0]
    return median(paces) if paces else None


def _paces(folders: Iterable[RunFolder]) -> dict[tuple, list[float]]:
    """Return kind of run -> seconds per step or image of the finished runs, all stages together."""
    paces: dict[tuple, list[float]] = {}
    for folder in folders:
        config = read_config(folder.path)
        total, spent = _total(config), [stage.seconds for stage in stages(folder.path)]
        if total and spent and None not in spent and (folder.is_trained or folder.is_scored):
            paces.setdefault(_kind(config), []).append(sum(s for s in spent if s is not None) / total)
    return paces


def _typical(paces: dict[tuple, list[float]], kind: tuple) -> float | None:
    return median(paces[kind]) if kind in paces else None


def _kind(config: dict[str, Any]) -> tuple:
    """Return the kind of a run; runs of one kind cost about the same per step or image."""
    model, sampler, method = config.get("model"), config.get("sampler"), config.get("method")
    return (
        config.get("type"),
        model.get("type") if isinstance(model, dict) else None,
        config.get("batch_size"),
        method.get("type") if isinstance(method, dict) else None,
        len(models(config)),
        sampler.get("num_steps") if isinstance(sampler, dict) else None,
    )
