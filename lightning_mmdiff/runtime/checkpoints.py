"""Weights on disk: safetensors for finished models, Lightning checkpoints for resuming, strict in both directions."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.run_folder import RunFolder


def saved(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a state dict of ``module`` that are stored: all but those of the parts that it names ``unsaved``."""
    frozen = tuple(f"{name}." for name in getattr(module, "unsaved", ()))
    return {k: v for k, v in state.items() if not k.startswith(frozen)}


def save_weights(module: nn.Module, path: Path, averaged: Mapping[str, Tensor]) -> None:
    """Write the module's weights as safetensors, with the averaged parameters in place of the last ones."""
    state = {**module.state_dict(), **averaged}
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in saved(module, state).items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(kept))  # save_file would not raise OSError where the disk is full


def load_weights(module: nn.Module, path: Path, *, prefix: str = "") -> None:
    """Load safetensors strictly.

    Args:
        module: gets the weights.
        path: of the file.
        prefix: of the entries that belong to ``module``; the others are not read.

    Raises:
        MissingFileError: if ``path`` is not there.
        UserError: if the file is damaged, or belongs to another architecture; names the first missing, unexpected and
            misshapen entries.
    """
    if not path.exists():
        raise MissingFileError(f"{path} is missing: train this model first (run the table without --only).")
    try:
        theirs = {k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run the same command to train again.") from error
    ours = saved(module, module.state_dict())
    problems = [
        ("missing", sorted(ours.keys() - theirs.keys())),
        ("unexpected", sorted(theirs.keys() - ours.keys())),
        ("of another shape", sorted(k for k in ours.keys() & theirs.keys() if ours[k].shape != theirs[k].shape)),
    ]
    found = [f"{len(keys)} {what} (first: {', '.join(keys[:3])})" for what, keys in problems if keys]
    if found:
        raise UserError(f"{path} holds another architecture than {type(module).__name__}: {'; '.join(found)}.")
    module.load_state_dict(theirs, strict=False)


def newest_checkpoint(folder: Path) -> Path | None:
    """Newest whole checkpoint of the run in ``folder``; a damaged one is passed over with a warning."""
    for path in by_step(RunFolder(folder).checkpoints):
        damage = _damage(path)
        if damage is None:
            return path
        warnings.warn(f"{path} cannot be read ({damage}); going back to the checkpoint before it.", stacklevel=2)
    return None


def by_step(folder: Path) -> list[Path]:
    """Checkpoints of ``folder`` with the newest first; files that are only being written do not count."""
    found = [p for p in folder.glob("*.ckpt") if not p.name.startswith(".")]
    return sorted(found, key=lambda p: (_step(p), p.stat().st_mtime), reverse=True)


def _step(path: Path) -> int:
    name = re.search(r"step=(\d+)", path.name)
    return int(name[1]) if name else -1


def _damage(path: Path) -> str | None:
    """What is wrong with the file: torch reads its structure, but does not compare the checksum of each entry."""
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with zipfile.ZipFile(path) as archive:
            marked = [
                i.filename for i in archive.infolist() if i.external_attr
            ]  # torch takes it for a folder: no content
            entry = archive.testzip() or next(iter(marked), None)
    except Exception as error:  # torch and zipfile raise many kinds for a damaged file
        return str(error).split("\n")[0] or type(error).__name__
    return f"the content of {entry} has changed" if entry else None
