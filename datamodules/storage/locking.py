"""An advisory lock between processes on one machine (or on several, if the file system forwards locks)."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold a lock on the file ``path`` inside the block; yield whether it was obtained.

    A read-only folder or a file system without locks yields False, so callers must stay correct without the lock.
    """
    try:
        file = path.open("a", encoding="utf-8")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError:
            held = False
        else:
            held = True
        yield held
