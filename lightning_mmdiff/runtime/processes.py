"""Processes of this machine, alive or not, and what a scheduler says of this one in its environment."""

import os
import socket
from functools import cache
from pathlib import Path


def environment_number(name: str, default: int) -> int:
    """Return a whole number from the environment; ``default`` if it is unset or holds none (containers pass on "")."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else default


def cores() -> int:
    """Return the number of CPU cores that this process may use; all of them on a system that does not tell (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def machine() -> str:
    """Return a name for this machine and its process numbers (containers on one host may count their own)."""
    namespace = Path("/proc/self/ns/pid")
    number = namespace.stat().st_ino if namespace.exists() else 0
    return f"{socket.gethostname().replace('.', '_')}-{number}"


def started(pid: int) -> str | None:
    """Return the start of process ``pid`` on this machine, in the system's own count; None if it is not running.

    Number and start together identify a process, since numbers are reused. "" if the system does not tell.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # gone, another user's where those are hidden, or a system without /proc
        return "" if _exists(pid) else None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start  # a zombie is dead, but not yet reaped


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
