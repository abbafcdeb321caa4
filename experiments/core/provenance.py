"""How a number was produced: code, versions, hardware, seconds and memory."""

import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from experiments.core.energy import gpu_energy_wh
from lightning_mmdiff.runtime import stand_ins
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_json

PACKAGES = ("lightning", "torch", "torchvision", "diffusers", "timm", "lpips", "numpy", "scipy")

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Files of the drivers of CUDA, ROCm and WSL; without one PyTorch sees no GPU."""


@cache
def environment() -> dict[str, Any]:
    """Return the commit, whether the tree was dirty, package versions, processor and GPUs."""
    gpus = gpu_names()
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(
            _git("status", "--porcelain", "--", ":/", ":(top,exclude)docs")
        ),  # where recorded tables are written
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "hardware": f"{_processor()}, {os.cpu_count()} cores" + (f", {', '.join(gpus)}" if gpus else ""),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def gpu_names() -> list[str]:
    """Return the names of the GPUs that PyTorch sees, without asking it where there is no driver."""
    if stand_ins.are_installed() and not any(Path(device).exists() for device in DRIVERS):
        return []
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def is_first_process() -> bool:
    """Return whether this process is the first of its job, or the only one."""
    return stand_ins.are_installed() or getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def recorded(folder: Path, stage: str, *, checkpoints: Callable[[], Mapping[str, Any]] = dict) -> Iterator[None]:
    """Add seconds, processor time, peak memory and GPU energy of the block to the provenance of the run in ``folder``.

    Args:
        folder: folder of the run.
        stage: name of the block.
        checkpoints: returns the published files that it reads, by name, with their SHA-256.

    Times and energy of a stage add up when it is resumed or shared by several processes, the memory is that of the largest;
    of the processes of one job, only the first counts. A record that cannot be read is begun again, one that cannot be written
    is a warning: neither costs the result of the block.
    """
    files = checkpoints() if is_first_process() else {}
    start, busy, energy = time.monotonic(), time.process_time(), gpu_energy_wh()
    try:
        yield
    finally:
        if is_first_process():
            used = gpu_energy_wh()
            spent = {
                "seconds": time.monotonic() - start,
                "processor_seconds": time.process_time() - busy,
                "energy_wh": None if energy is None or used is None else used - energy,
            }
            try:
                _add(folder, stage, spent, files)
            except OSError as error:
                warnings.warn(f"{RunFolder(folder).provenance} was not written ({error}).", stacklevel=3)


def _add(folder: Path, stage: str, spent: Mapping[str, float | None], files: Mapping[str, Any]) -> None:
    path = RunFolder(folder).provenance
    with WorkLocks(RunFolder(folder).locks).acquire(path.name):
        stages = stages_of(path)
        before = stages.get(stage, dict.fromkeys(spent, 0.0))
        stages[stage] = {
            **{name: _sum(before.get(name), value) for name, value in spent.items()},
            "peak_memory_gib": max(round(peak_memory_gib(), 2), before.get("peak_memory_gib") or 0.0),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment(),
            **({"checkpoints": dict(files)} if files else {}),
        }
        write_json(path, {"stage": stages})


def peak_memory_gib(usage: resource.struct_rusage | None = None) -> float:
    """Return the most memory that a process held at once, by default this one, in GiB; the system counts kilobytes, macOS bytes.

    On Linux a process starts as a copy of the one that started it, whose memory it is said to have held.

    Args:
        usage: what the system says of the process.
    """
    peak = (usage or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss
    return (peak if sys.platform == "darwin" else 1024 * peak) / 2**30


def _sum(before: Any, value: float | None) -> float | None:
    """Return the sum, None if either was not measured."""
    return None if value is None or not isinstance(before, int | float) else round(before + value, 2)


def stages_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return stage -> its record in a provenance file; only those that say how many seconds they took."""
    stages = stored_json(path).get("stage")
    records = stages.items() if isinstance(stages, dict) else ()
    return {n: r for n, r in records if isinstance(r, dict) and isinstance(r.get("seconds"), int | float)}


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
