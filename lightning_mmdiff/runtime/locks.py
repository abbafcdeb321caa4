"""Work shared out among processes of any number of machines that see one folder, without a server.

Before a process does a piece, it creates a lock, a small file that only one process can create. While it works it
touches the file. If the owner is killed, another process sees that (the process is gone, or the file has not been touched
for a while) and locks the piece under the next number. Nobody ever takes a lock file away from another process, so
there is no moment in which two of them own the same one. Whoever is too late finds the piece done.

Results must be atomic and the same whoever makes them: an owner that only seemed dead then does no harm.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import machine, started

T = TypeVar("T")


class WorkLocks:
    """The locks on the pieces of some work, in a folder of their own."""

    def __init__(self, folder: Path, *, heartbeat: float = 15.0, expiry: float = 180.0, poll: float = 0.2) -> None:
        """WorkLocks in ``folder``; times in seconds.

        Args:
            folder: is made when first needed; nothing else may be in it.
            heartbeat: time between two touches of a lock.
            expiry: age at which a lock of another machine is dead. Network file systems show a touch up to a minute late.
            poll: time between two looks at what others are doing, when there is nothing to do.
        """
        self.folder, self.heartbeat, self.expiry, self.poll = folder, heartbeat, expiry, poll

    def share(self, pieces: Mapping[str, T], is_done: Callable[[T], bool]) -> Iterator[T]:
        """Yield the pieces that this process shall do, one by one; end when all are done, by whichever process.

        Args:
            pieces: by name, the same in all processes; names may hold no slash.
            is_done: whether the result of a piece is on disk.
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
        """Try to lock ``name`` inside the block; yield whether that worked.

        Raises:
            UserError: if the name is no name of a file.
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
        """Who works on ``name`` now, for people; None if nobody does."""
        path = self._newest(name)
        if path is None or not self._is_alive(path):
            return None
        found = _read(path)
        return f"process {found.get('pid')} on {str(found.get('machine')).rpartition('-')[0]}"

    def clear(self) -> None:
        """Remove the folder with what killed processes left in it; only when all work is done."""
        try:
            for path in list(self.folder.iterdir()):
                if not self._is_alive(path):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()
        except OSError:  # not there; or somebody else is about to find that there is nothing to do
            return

    def _take(self, name: str) -> Path | None:
        newest = self._newest(name)
        if newest is not None and self._is_alive(newest):
            return None
        path = self.folder / f"{name}.{_number(newest) + 1 if newest else 0}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("x")  # fails if it exists: this decides
        except (FileExistsError, FileNotFoundError):  # another process was first; or it cleared the folder
            return None
        try:
            with file:
                json.dump(_identity(), file)
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
        """Whether the holder of a lock is at work."""
        try:
            owner, touched = _read(path), path.stat().st_mtime
        except FileNotFoundError:  # given back
            return False
        mine = _identity()
        if owner.get("machine") == mine["machine"]:
            return started(owner["pid"]) == owner["started"]
        if owner.get("job") == mine["job"] != "" and owner["restarts"] < mine["restarts"]:
            return False  # of this job, before it was requeued
        return self._now() - touched < (self.expiry if owner else self.heartbeat)  # {}: killed before it signed

    def _now(self) -> float:
        """The clock of the file system, which is the one that stamps locks."""
        probe = self.folder / f"now.{machine()}.{os.getpid()}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        except FileNotFoundError:  # the folder is cleared: all is done
            return time.time()
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self, path: Path, stop: threading.Event) -> None:
        while not stop.wait(self.heartbeat):
            try:
                os.utime(path)
            except FileNotFoundError:
                return


def _identity() -> dict[str, Any]:
    return {
        "machine": machine(),
        "pid": os.getpid(),
        "started": started(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
    }


def _read(path: Path) -> dict[str, Any]:
    """Owner of a lock; {} for one that is only just being written."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError:
        return {}


def _number(path: Path) -> int:
    return int(path.suffix[1:])
