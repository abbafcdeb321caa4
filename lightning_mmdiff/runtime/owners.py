"""Who owns a lock, and whether an owner that cannot be looked at seems alive: by the touches of its file.

Where machines stamp files by their own clocks and these differ, a lock is dead when it does not change while watched.
"""

import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lightning_mmdiff.runtime.processes import environment_number, machine, started


class _Look(NamedTuple):
    """What this process saw of another's lock."""

    touched: float
    """Time of the last touch, by the file system's clock."""
    since: float
    """When it was first seen so, by this process's own clock."""


_seen: dict[Path, _Look] = {}


def identity() -> dict[str, Any]:
    """Return what names this process in a lock."""
    return {
        "machine": machine(),
        "pid": os.getpid(),
        "started": started(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "restarts": environment_number("SLURM_RESTART_COUNT", 0),
    }


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether two owners are one process."""
    return all(first.get(key) == second[key] for key in ("machine", "pid", "started"))


def host(owner: Mapping[str, Any]) -> str:
    """Return the name of the owner's machine, for people."""
    return str(owner.get("machine", "")).rpartition("-")[0] or "another machine"


def seems_alive(
    path: Path, owner: Mapping[str, Any], *, touched: float, now: float, limit: float, patience: float
) -> bool:
    """Return whether a lock is still touched; what was seen of it at earlier calls counts.

    Args:
        path: the lock.
        owner: its owner.
        touched: time of its last touch, by the file system's clock.
        now: the same clock.
        limit: age in seconds at which it is dead.
        patience: seconds to watch an old one, whose owner may have a clock that is behind.
    """
    clock, before = time.monotonic(), _seen.get(path)
    if before is None or before.touched != touched:
        _seen[path] = _Look(touched, clock)
    age, watched = now - touched, clock - _seen[path].since
    if age < -limit:
        _warn_of_clock(owner, f"{-age / 60:.0f} min ahead of")
        return watched < limit
    if age < limit:
        return True
    if before is not None and before.touched < touched:
        _warn_of_clock(owner, f"{age / 60:.0f} min behind")
    return watched < min(limit, patience)


def _warn_of_clock(owner: Mapping[str, Any], how: str) -> None:
    warnings.warn(
        f"The clock of {host(owner)} is {how} the one here; set the clocks (NTP). Until then, work of killed processes is "
        "taken over later than it could be.",
        stacklevel=2,
    )
