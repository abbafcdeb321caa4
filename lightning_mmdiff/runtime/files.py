"""Files that are either whole or absent: write under a temporary name, then rename."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_mmdiff.runtime.processes import machine, started

ABANDONED = 24 * 60 * 60  # seconds after which a temporary file of another machine is nobody's
TEMPORARY = re.compile(r"\..+\.(?P<machine>[^/]+-\d+)\.(?P<pid>\d+)(\.[^.]*)?")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds, delete it when it fails.

    Several processes may write the same path at once: each has a temporary file of its own and the last rename wins.
    The content is on the disk before the name is, so that not even a crash of the machine leaves a part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{machine()}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Delete the temporary files below ``folder`` whose writers were killed, if that is allowed."""
    for path in folder.rglob(".*"):
        name = TEMPORARY.fullmatch(path.name)
        if name is None:
            continue
        with suppress(OSError):  # read-only, or another process was first
            ours = name["machine"] == machine()
            if started(int(name["pid"])) is None if ours else time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")
