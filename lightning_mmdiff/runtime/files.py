"""Files that are either complete or absent: written under a temporary name, then renamed."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import machine, started

ABANDONED = 24 * 60 * 60  # seconds after which a temporary file of another machine counts as abandoned
TEMPORARY = re.compile(r"\..+\.(?P<machine>[^/]+-\d+)\.(?P<pid>\d+)(\.[^.]*)?")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, delete it if it fails.

    Several processes may write the same path at once: each has its own temporary file, and the last rename wins.
    The content reaches the disk before the name does, so that even a crash of the machine leaves no partial file.
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
    """Delete the temporary files below ``folder`` whose writers were killed, as far as permissions allow."""
    for path in folder.rglob(".*"):
        name = TEMPORARY.fullmatch(path.name)
        if name is None:
            continue
        with suppress(OSError):  # read-only, or another process deleted it first
            ours = name["machine"] == machine()
            if started(int(name["pid"])) is None if ours else time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte-order mark, in any locale.

    Raises:
        UserError: naming the file, if it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start}: {error.reason}); save it as UTF-8.") from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
