"""Published files read without running code from them: only tensors, mapped into memory, never unpickled freely."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError, UserError

HARMLESS = ("pytorch_lightning.callbacks.", "argparse.Namespace")
"""Beginnings of the names of classes that an empty class replaces: keys of a dictionary in old Lightning files, pSp's options."""
HOLDERS = ("state_dict", "g_ema")
"""Entries that hold the tensors, in files that hold more: Lightning's and pSp's; the average in rosinality's of StyleGAN2."""


class _Stub:
    """Takes the place of a class that only names an entry; nothing of it is kept."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a published file by name: of its entry in ``HOLDERS``, if it has one, and those beside that.

    Raises:
        MissingFileError: if there is no file.
        UserError: if it is a web page, damaged, holds code or no tensors.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} is not there.")
    if weights.is_page(path):
        raise UserError(
            f"{path} is a web page, not weights: the server asked for a login or a confirmation; get the file in a browser."
        )
    state = _load(path)
    if isinstance(state, Mapping) and (holder := next((name for name in HOLDERS if name in state), None)):
        beside = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        state = {**beside, **state[holder]} if isinstance(state[holder], Mapping) else state[holder]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds {_described(state)}; expected tensors by name.")
    return {str(name): value for name, value in state.items()}


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is incomplete (its end is missing); delete it and get it again.")
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else [HARMLESS[-1]]
        refused = [name for name in unsafe if not name.startswith(HARMLESS)]
        if refused:
            raise UserError(f"{path} holds code ({', '.join(refused[:3])}), not only tensors; nothing of it was run.")
        stubs: list[Any] = [(_Stub, name) for name in unsafe]
        with torch.serialization.safe_globals(stubs):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds of exceptions for a damaged file
        if "nsupported global" in str(error) or "not an allowed global" in str(error):
            raise UserError(f"{path} holds code, not only tensors; nothing of it was run.") from error
        reason = str(error).split("\n")[0].split(". ")[0] or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); get it again.") from error


def _described(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    other = [str(name) for name, entry in value.items() if not isinstance(entry, Tensor)]
    return f"{len(value)} entries" + (f", {', '.join(other[:3])} among them" if other else "")
