"""A run's folder on disk. Anything unfinished or wrong becomes its state and reason, never a crash."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightning_mmdiff.runtime.links import is_inside, is_name
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import read_json, stored_arrays, stored_json
from reports.old_configs import upgrade
from reports.schema import Interval, Run, Score, Stage, State
from reports.table_folder import TableFolder


def load_run(folder: Path, *, seed: int, name: str, paper: dict[str, Any] | None = None) -> Run:
    """Read metrics, replicates, config and provenance of one run.

    Args:
        folder: folder of the run; it need not exist yet.
        seed: training seed.
        name: name of the run in the table.
        paper: config of its twin under the paper profile, used if that twin has no folder.
    """
    files = RunFolder(folder)
    state, reason = _state(files)
    scores: dict[str, Score] = {}
    replicates: dict[str, np.ndarray] = {}
    if state == "measured":
        try:
            stored = read_json(files.metrics)
            scores = _scores(stored)
            reason = "; ".join(filter(None, (reason, _repeats(stored))))
            replicates = _replicates(files.replicates)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            state, reason, scores = "failed", f"unreadable result ({error}); run the table again to measure it", {}
    config, needed = read_config(folder), needs(folder)
    broken = next((f for f in map(RunFolder, needed) if f.failure.is_file()), None)
    if broken and state in ("pending", "running", "stopped"):
        state, reason = "failed", f"{broken.name}: {_state(broken)[1]}"
    return Run(
        seed=seed,
        name=name,
        folder=folder,
        state=state,
        reason=reason,
        scores=scores,
        unmeasured=files.reasons,
        replicates=replicates,
        config=config,
        paper_config=_paper_config(folder) or paper,
        trainings=tuple(needed),
        stages=tuple(stage for place in [*needed, folder] for stage in stages(place)),
    )


def _state(folder: RunFolder) -> tuple[State, str]:
    """Return state and reason; a result outranks an older failure, and a newer failure is mentioned beside it."""
    failed, failure = folder.failure, folder.reason
    if folder.is_scored:
        newer = failed.is_file() and failed.stat().st_mtime > folder.metrics.stat().st_mtime
        return "measured", f"a later stage failed: {failure}" if newer else ""
    if failed.is_file():
        return "failed", failure or f"{failed.name} is empty"
    if folder.path.is_dir() and any(path != folder.config for path in folder.path.iterdir()):
        if WorkLocks(folder.locks).are_held():
            return "running", "started, not scored yet"
        return "stopped", "stopped before it was scored; the same command goes on with it"
    return "pending", "not started"


def _scores(stored: dict[str, Any]) -> dict[str, Score]:
    """Return protocol -> score; values that are null or not finite are left out, so that they print as missing."""
    return {
        protocol: Score(
            value=float(e["value"]),
            n=_count(e.get("n")),
            interval=_interval(e.get("interval")),
            exact=e.get("exact") is True,
            reference=str(e.get("reference") or ""),
            comparable=e.get("comparable"),
            basis=str(e.get("basis", "")),
        )
        for protocol, e in stored.items()
        if e["value"] is not None and math.isfinite(e["value"])
    }


def _repeats(stored: dict[str, Any]) -> str:
    """Return a caveat about images that share test images; empty if none do."""
    counts = {(e["n"], e["test_images"]) for e in stored.values() if "test_images" in e}
    return "; ".join(
        f"{n} images are made for {few} test images, over and over: the intervals do not cover other test images"
        for n, few in sorted(counts)
    )


def _count(n: Any) -> int | None:
    return None if n is None else int(n)


def _interval(pair: Any) -> Interval | None:
    if pair is None or not all(x is not None and math.isfinite(x) for x in pair):
        return None
    low, high = pair
    return float(low), float(high)


def _replicates(path: Path) -> dict[str, np.ndarray]:
    stored = stored_arrays(path)
    if stored is None and path.is_file():
        raise ValueError(f"{path} is damaged")
    return {protocol: values.astype(np.float64).ravel() for protocol, values in (stored or {}).items()}


def needs(folder: Path) -> list[Path]:
    """Return the folders of the trained models in the config of a run, the deepest first."""
    return [folder.parent / name for name in dict.fromkeys(_trainings(read_config(folder)))]


def evaluators(table: TableFolder) -> list[Path]:
    """Return the folders of the models that only measure a table, after those that they need; of no table there are none."""
    profile = table.path.parents[1]
    own = [profile / name for name in side_json(table.table).get("evaluators", ()) if is_name(name)]
    return [place for run in own for place in (*needs(run), run)]


def _trainings(config: Any) -> Iterator[str]:
    """Yield the names of the trained models in a config, the deepest first."""
    children = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for child in children:
        yield from _trainings(child)
        if isinstance(child, dict) and child.get("type") == "TrainRun" and is_name(child.get("name")):
            yield child["name"]


def stages(folder: Path) -> Iterator[Stage]:
    """Yield the stages recorded in the ``provenance.json`` of a run."""
    stored, config = side_json(RunFolder(folder).provenance).get("stage"), read_config(folder)
    for name, record in stored.items() if isinstance(stored, dict) else ():
        if isinstance(record, dict):
            steps, images = _length(config) if name == "train" else (None, None)
            yield Stage(
                run=folder.name,
                name=name,
                seconds=_number(record.get("seconds")),
                processor_seconds=_number(record.get("processor_seconds")),
                steps=steps,
                images=images,
                peak_memory_gib=_number(record.get("peak_memory_gib")),
                gpus=_gpus(name, record, config),
                energy_wh=_number(record.get("energy_wh")),
                commit=_text(record.get("commit")),
                dirty=record["dirty"] if isinstance(record.get("dirty"), bool) else None,
                hardware=_text(record.get("hardware")),
                job=_text(record.get("slurm_job")),
                checkpoints=tuple(_checkpoints(record.get("checkpoints"))),
            )


def _checkpoints(stored: Any) -> Iterator[str]:
    """Yield the published files in a stage's record, such as ``base.pt (SHA-256 0123456789ab)``."""
    for entry in stored.values() if isinstance(stored, dict) else ():
        if isinstance(entry, dict) and entry.get("file"):
            yield f"{entry['file']} (SHA-256 {str(entry.get('sha256'))[:12]})"


def _length(config: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the steps of a training and the images that it sees."""
    trainer, batch_size = config.get("trainer"), config.get("batch_size")
    steps = trainer.get("max_steps") if isinstance(trainer, dict) else None
    if not isinstance(steps, int):
        return None, None
    return steps, steps * batch_size if isinstance(batch_size, int) else None


def _gpus(stage: str, record: dict[str, Any], config: dict[str, Any]) -> int:
    """Return the GPUs that a stage used: training as configured, scoring one, sampling all of the node; 0 without GPUs.

    In ``hardware``, the GPUs of a node follow its cores.
    """
    _, _, behind = (_text(record.get("hardware")) or "").partition(" cores, ")
    if not behind:
        return 0
    trainer = config.get("trainer")
    if stage == "train" and isinstance(trainer, dict):
        return int(trainer.get("devices", 1) * trainer.get("num_nodes", 1))
    return 1 if stage == "score" else len(behind.split(", "))


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _paper_config(folder: Path) -> dict[str, Any]:
    """Return the settings of the same run under the paper profile: runs/mini/NAME -> runs/paper/NAME."""
    out = folder.parent.parent
    twin = out / "paper" / folder.name
    return read_config(twin) if is_inside(RunFolder(twin).config, out) else {}


def read_config(folder: Path) -> dict[str, Any]:
    """Return the settings of a run in today's form, whichever version of the code wrote them."""
    return upgrade(side_json(RunFolder(folder).config))


def side_json(path: Path) -> dict[str, Any]:
    """Read side information; a file that is absent, damaged or not ours to read counts as empty."""
    try:
        return stored_json(path)
    except OSError:
        return {}
