"""An advisory lock between the processes of one machine (and of several, where the file system passes locks on)."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold a lock on the file ``path`` inside the block; yield whether there is one.

    A read-only folder or a file system without locks yields False: callers must stay correct without it.
    """
    try:
        file = path.open("a")
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
