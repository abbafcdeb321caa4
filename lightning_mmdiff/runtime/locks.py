"""Work shared among processes on any number of machines that see one folder, without a server.

Before a process does a piece, it creates a lock, a small file that only one process can create. While it works, it
touches the file. If the owner is killed, another process notices (the process is gone, or the file has not been touched
for a while) and locks the piece under the next number. No process ever takes a lock file away from another, so two
processes never own the same one. A process that comes too late finds the piece done.

Results must be atomic and independent of the process that makes them: an owner that only seemed dead then does no harm.
One that writes step by step asks ``require`` before each write whether the piece is still its own.
"""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import read_text
from lightning_mmdiff.runtime.owners import host, identity, same, seems_alive
from lightning_mmdiff.runtime.processes import machine, started

T = TypeVar("T")

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of writing to a folder of somebody else."""


class LostLockError(Exception):
    """The owner of a lock was taken for dead, and another process has the piece of work now."""


class WorkLocks:
    """Locks on pieces of work, in a folder of their own."""

    def __init__(self, folder: Path, *, heartbeat: float = 15.0, expiry: float = 180.0, poll: float = 0.2) -> None:
        """Keep the locks in ``folder``; times are in seconds.

        Args:
            folder: created when first needed; must contain no other files.
            heartbeat: time between two touches of a lock.
            expiry: age at which another machine's lock is dead. Network file systems show a touch up to a minute late.
            poll: time between two looks at the other processes' work when there is nothing to do.
        """
        self.folder, self.heartbeat, self.expiry, self.poll = folder, heartbeat, expiry, poll

    def share(self, pieces: Mapping[str, T], is_done: Callable[[T], bool]) -> Iterator[T]:
        """Yield the pieces that this process should do, one by one, until all pieces are done by any process.

        Args:
            pieces: pieces by name, the same in all processes; names must not contain a slash.
            is_done: function that tells whether the result of a piece is on disk.
        """
        left = dict(pieces)
        while left:
            worked = False
            for name, piece in list(left.items()):
                if is_done(piece):
                    del left[name]
                    continue
                with self.try_acquire(name) as mine:
                    if mine and not is_done(piece):  # it may have been finished since we looked
                        worked = True
                        yield piece
            if left and not worked:
                time.sleep(self.poll)

    @contextmanager
    def try_acquire(self, name: str) -> Iterator[bool]:
        """Try to lock ``name`` inside the block; yield whether that succeeded.

        Raises:
            UserError: if the name is not a valid file name.
        """
        if "/" in name:
            raise UserError(f"{name!r} cannot be locked: the name of a piece of work may hold no slash.")
        path = self._take(name)
        if path is None:
            yield False
            return
        stop = threading.Event()
        threading.Thread(target=self._beat, args=(path, stop), daemon=True).start()
        try:
            yield True
        finally:
            stop.set()
            path.unlink(missing_ok=True)

    @contextmanager
    def acquire(self, name: str) -> Iterator[None]:
        """Wait until ``name`` can be locked, and hold it inside the block."""
        while True:
            with self.try_acquire(name) as mine:
                if mine:
                    yield
                    return
            time.sleep(self.poll / 10)

    def holder(self, name: str) -> str | None:
        """Return a human-readable name of the process that works on ``name`` now; None if there is none."""
        path = self._newest(name)
        if path is None or not self._is_alive(path):
            return None
        found = _read(path)
        return f"process {found.get('pid')} on {host(found)}"

    def are_held(self) -> bool:
        """Return whether a process that is alive holds any of the locks."""
        try:
            return any(self._is_alive(path) for path in self.folder.iterdir() if path.suffix[1:].isdecimal())
        except FileNotFoundError:
            return False

    def require(self, name: str) -> None:
        """Raise LostLockError unless this process holds the newest lock on ``name``."""
        path = self._newest(name)
        try:
            mine = path is not None and same(_read(path), identity())
        except FileNotFoundError:
            mine = False
        if not mine:
            raise LostLockError(f"{self.folder / name} belongs to another process now")

    def clear(self) -> None:
        """Remove the folder with the remains of killed processes; call this only when all work is done."""
        try:
            for path in list(self.folder.iterdir()):
                if not self._is_alive(path):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()
        except OSError:  # absent, or another process is about to find that nothing is left to do
            return

    def _take(self, name: str) -> Path | None:
        newest = self._newest(name)
        if newest is not None and self._is_alive(newest):
            return None
        path = self.folder / f"{name}.{_number(newest) + 1 if newest else 0}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("x", encoding="utf-8")  # fails if it exists: this decides
        except (FileExistsError, FileNotFoundError):  # another process was first, or cleared the folder
            return None
        try:
            with file:
                json.dump(identity(), file)
        except BaseException:  # disk full, or interrupted
            path.unlink(missing_ok=True)
            raise
        return path

    def _newest(self, name: str) -> Path | None:
        try:
            found = [p for p in self.folder.iterdir() if p.stem == name and p.suffix[1:].isdecimal()]
        except FileNotFoundError:
            return None
        return max(found, key=_number, default=None)

    def _is_alive(self, path: Path) -> bool:
        """Return whether the holder of a lock is still at work."""
        try:
            owner, touched = _read(path), path.stat().st_mtime
        except FileNotFoundError:  # released
            return False
        mine = identity()
        if owner.get("machine") == mine["machine"]:
            found = started(owner["pid"])
            if found is None or (found and owner["started"]):
                return found == owner["started"]
        elif owner.get("job") == mine["job"] != "" and owner["restarts"] < mine["restarts"]:
            return False  # from this job, before it was requeued
        limit = self.expiry if owner else self.heartbeat  # {}: killed before it signed
        return seems_alive(path, owner, touched=touched, now=self._now(), limit=limit, patience=2 * self.heartbeat)

    def _now(self) -> float:
        """Return the time on the file system's clock, which stamps the locks."""
        probe = self.folder / f"now.{machine()}.{os.getpid()}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        except OSError as error:
            if error.errno not in (errno.ENOENT, *READ_ONLY):
                raise
            return time.time()  # the folder was cleared, since all work is done, or is only looked at
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self, path: Path, stop: threading.Event) -> None:
        while not stop.wait(self.heartbeat):
            try:
                os.utime(path)
            except FileNotFoundError:
                return
            except OSError:  # ESTALE, EIO: the server may answer next time
                continue


def _read(path: Path) -> dict[str, Any]:
    """Return the owner of a lock; {} for a lock that is still being written."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError:
        return {}


def _number(path: Path) -> int:
    return int(path.suffix[1:])
