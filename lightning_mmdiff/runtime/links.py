"""Links in a folder of runs, which may be another person's: none may make us read, write or delete what lies elsewhere."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import read_json

RUNS = ("TrainRun", "SampleRun")
"""Types that the settings of a run have."""


def require_own(profile: Path) -> None:
    """Check every link below ``<out>/<profile>``, files unread: inside a run's or table's folder, none may lead out of it.

    The folder of a whole run may be a link: to a run elsewhere, of which only the settings are looked at.

    Raises:
        UserError: naming the first link that leads out.
    """
    for entry in sorted(profile.iterdir()) if profile.is_dir() else ():
        if entry.is_symlink() and not is_inside(entry, profile) and not _is_run(entry):
            raise UserError(
                f"{entry} leads to {os.path.realpath(entry)}, where no run is; nothing is read or written there: delete the link."
            )
        for link in _links(entry):
            if not is_inside(link, entry):
                raise UserError(
                    f"{link} leads to {os.path.realpath(link)}, out of its folder; nothing is read or written there: put "
                    "the file or folder itself in place of the link, or delete it."
                )


def is_inside(path: Path, root: Path) -> bool:
    """Return whether ``path`` lies in ``root`` once all links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def is_name(text: object) -> bool:
    """Return whether ``text`` names something in a folder: it is no path to another."""
    return isinstance(text, str) and text not in ("", ".", "..") and Path(text).name == text


def _is_run(folder: Path) -> bool:
    try:
        return read_json(RunFolder(folder).config).get("type") in RUNS
    except (OSError, UserError):
        return False


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder without following them; a directory's own list tells what is one."""
    with suppress(OSError), os.scandir(folder) as entries:  # a file, removed meanwhile, or not ours to read
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from _links(Path(entry.path))
