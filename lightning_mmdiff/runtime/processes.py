"""Which processes of this machine are alive: tells a file that is being written from one whose writer was killed."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Name of this machine and of its process numbers (containers on one host may count their own)."""
    namespace = Path("/proc/self/ns/pid")
    number = namespace.stat().st_ino if namespace.exists() else 0
    return f"{socket.gethostname().replace('.', '_')}-{number}"


def started(pid: int) -> str | None:
    """When process ``pid`` of this machine started, in the system's own count; None if it does not run.

    Number and start together name a process: numbers are used again. Where the system does not tell, it is "".
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:  # somebody else's
            return ""
        return ""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start  # a zombie is dead, only not yet counted off
