"""The settings of a run in its folder: written first, and compared before the folder is used again."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.runs import Run
from lightning_mmdiff.configs import as_json
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import read_json
from reports.old_configs import upgrade

SHOWN = 4
"""Maximum number of differences shown in a message."""


def check_run_config(folder: Path, run: Run, data: Mapping[str, str], earlier: Mapping[str, str] | None = None) -> None:
    """Reserve ``folder`` for ``run`` on data sets with these fingerprints: write config.json, or compare with it.

    Args:
        folder: folder of the run.
        run: run to do there.
        data: fingerprint of each data set.
        earlier: fingerprint that earlier versions would have written for each data set.

    Raises:
        UserError: if the folder was made with other settings; names the fields that differ.
    """
    require_same_settings(folder, run, data, earlier)
    path = RunFolder(folder).config
    if not path.exists():
        write_json(path, {**as_json(run), "fingerprints": dict(data)})


def require_same_settings(
    folder: Path, run: Run, data: Mapping[str, str] | None = None, earlier: Mapping[str, str] | None = None
) -> None:
    """Raise if a folder holds the settings of a run other than ``run``; a folder without settings is free.

    Args:
        folder: folder of the run.
        run: run to do there.
        data: fingerprint of each data set; None skips their comparison, which would need the data.
        earlier: fingerprint that earlier versions would have written for each data set; it opens a folder too.

    Raises:
        UserError: if the settings differ, naming the fields, or cannot be read.
    """
    path = RunFolder(folder).config
    if not path.exists():
        return
    try:
        old = upgrade(read_json(path))
    except (ValueError, AttributeError) as error:
        if _is_empty(folder):
            path.unlink(missing_ok=True)  # nothing was made with it: it is written again
            return
        raise UserError(
            f"{str(error).rstrip('.')}, so nobody knows how the results beside it were made. Move the folder away, or choose "
            "another --out."
        ) from error
    fingerprints = old.pop("fingerprints", {})
    different = list(differences(old, run))
    if data is not None:
        known = {name: there for name, there in fingerprints.items() if there == (earlier or {}).get(name)}
        different += differences(fingerprints, {**data, **known}, "fingerprints")
    if different:
        raise UserError(
            f"{folder} was made with other settings ({'; '.join(different[:SHOWN])}). "
            "Move the folder away, or choose another --out."
        )


def _is_empty(folder: Path) -> bool:
    """Return whether a run's folder holds nothing but settings, and locks of those who came before."""
    files = RunFolder(folder)
    return not any(entry not in (files.config, files.locks, files.failure) for entry in folder.iterdir())


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield a description of every setting in which ``new`` differs from the one on disk.

    Args:
        old: JSON value, upgraded to the current form.
        new: a dataclass, or a value inside one. Fields that ``old`` lacks count there as their defaults.
        where: path of both values, such as ``trainer.max_steps``.
    """
    if dataclasses.is_dataclass(new) and not isinstance(new, type) and isinstance(old, dict):
        yield from _field_differences(old, new, where)
    elif isinstance(new, dict) and isinstance(old, dict) and new.keys() == old.keys():
        for key in new:
            yield from differences(old[key], new[key], _inside(where, key))
    elif isinstance(new, tuple | list) and isinstance(old, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f"{where}[{i}]")
    elif old != (now := json.loads(json.dumps(as_json(new)))):
        yield f"{where}: {old!r} there, {now!r} now"


def _field_differences(old: dict[str, Any], new: Any, where: str) -> Iterator[str]:
    """Compare an object on disk with a dataclass, field by field."""
    name = type(new).__name__
    if old.get("type") != name:  # fields of different types are unrelated
        yield f"{_inside(where, 'type')}: {old.get('type')!r} there, {name!r} now"
        return
    fields = {f.name: f for f in dataclasses.fields(new)}
    for key, field in fields.items():
        value, path = getattr(new, key), _inside(where, key)
        if key in old:
            yield from differences(old[key], value, path)
        elif field.default is not dataclasses.MISSING:
            yield from differences(as_json(field.default), value, path)
        elif field.default_factory is not dataclasses.MISSING:
            yield from differences(as_json(field.default_factory()), value, path)
        else:
            yield f"{path}: absent there, {as_json(value)!r} now"
    for key in old.keys() - fields.keys() - {"type"}:
        yield f"{_inside(where, key)}: {old[key]!r} there, absent now"


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
