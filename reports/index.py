"""The index of all tables, started or not, beside the tables of a profile: experiments write it, reports read it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from lightning_mmdiff.runtime.files import read_text, write_json
from reports.schema import Entry
from reports.table_folder import tables_folder


def write_index(profile: Path, entries: Sequence[Entry]) -> None:
    """Write the index of a profile, ``<out>/<profile>``, unless it is already up to date."""
    if read_index(profile) != tuple(entries):
        write_json(index_path(profile), [asdict(entry) for entry in entries])


def read_index(profile: Path) -> tuple[Entry, ...]:
    """Return the index of a profile; empty if it is missing, as in folders of earlier versions, or unreadable."""
    names = {field.name for field in fields(Entry)}
    try:
        stored = json.loads(read_text(index_path(profile)))
        return tuple(Entry(**{key: str(value) for key, value in entry.items() if key in names}) for entry in stored)
    except (OSError, ValueError, TypeError, AttributeError):
        return ()


def index_path(profile: Path) -> Path:
    """Return the path of the index file."""
    return tables_folder(profile) / "index.json"
