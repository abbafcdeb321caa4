"""How a number was made: code, versions, hardware, seconds and memory."""

import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning_mmdiff.files import write_json

PACKAGES = ("lightning", "torch", "torchvision", "diffusers", "timm", "lpips", "torchmetrics", "numpy", "scipy")


@cache
def environment() -> dict[str, Any]:
    """Commit, whether the tree had changes, package versions, processor and GPUs."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain")),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "hardware": f"{_processor()}, {os.cpu_count()} cores" + (f", {', '.join(gpus)}" if gpus else ""),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


@contextmanager
def recorded(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds and peak memory of the block to ``folder/provenance.json``; a resumed stage adds up its seconds."""
    start = time.monotonic()
    try:
        yield
    finally:
        path = folder / "provenance.json"
        record = json.loads(path.read_text()) if path.exists() else {"stage": {}}
        before = record["stage"].get(stage, {}).get("seconds", 0.0)
        record["stage"][stage] = {
            "seconds": round(before + time.monotonic() - start, 1),
            "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment(),
        }
        write_json(path, record)


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
