"""Weights on disk: safetensors for finished models, Lightning checkpoints for resuming, strict in both directions."""

import hashlib
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.run_folder import RunFolder

DIGEST = "sha256"
"""Key of the digest in a file's metadata."""


def saved(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of ``module``'s state dict to be stored: all except those of the parts in its ``unsaved``."""
    frozen = tuple(f"{name}." for name in getattr(module, "unsaved", ()))
    return {k: v for k, v in state.items() if not k.startswith(frozen)}


def save_weights(module: nn.Module, path: Path, averaged: Mapping[str, Tensor]) -> None:
    """Write the module's weights as safetensors, with averaged parameters in place of the last ones."""
    state = {**module.state_dict(), **averaged}
    save_tensors({k: v.detach().clone() for k, v in saved(module, state).items()}, path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, with their digest and ``metadata``."""
    kept = {name: value.cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(
            save(kept, {DIGEST: digest(kept), **(metadata or {})})
        )  # save_file would not raise OSError if the disk is full


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        UserError: if the file is damaged, be it by one bit; files without a digest, of earlier versions, are not compared.
    """
    try:
        with safe_open(path, framework="pt") as file:
            recorded = (file.metadata() or {}).get(DIGEST)
        tensors = load_file(path)
        if recorded not in (None, digest(tensors)):
            raise SafetensorError("its content has changed since it was written")
    except (SafetensorError, ValueError) as error:  # ValueError: empty
        raise UserError(f"{path} is damaged ({error}); delete it and run the same command to train again.") from error
    return tensors


def load_some(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """Return those of ``names`` that a safetensors file has, without reading others.

    The whole file is read once in a process, for its digest, one tensor at a time.

    Raises:
        UserError: if the file is damaged, as ``load_tensors`` says.
    """
    try:
        status = path.stat()
        _compare_digest(path, status.st_mtime_ns, status.st_size, status.st_ino)
        with safe_open(path, framework="pt") as file:
            there = set(file.keys())
            return {name: file.get_tensor(name) for name in names if name in there}
    except (SafetensorError, ValueError) as error:  # ValueError: empty
        raise UserError(f"{path} is damaged ({error}); delete it and make it again.") from error


@lru_cache(maxsize=8)
def _compare_digest(path: Path, changed: int, size: int, inode: int) -> None:
    """Raise SafetensorError if a file has another digest than it states; the last arguments tell whether it is the same file."""
    with safe_open(path, framework="pt") as file:
        recorded, found = (file.metadata() or {}).get(DIGEST), hashlib.sha256()
        if recorded is None:
            return
        for name in sorted(file.keys()):
            _add(found, name, file.get_tensor(name))
        if found.hexdigest() != recorded:
            raise SafetensorError("its content has changed since it was written")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and contents of tensors, in hexadecimal."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        _add(found, name, value)
    return found.hexdigest()


def _add(found: Any, name: str, value: Tensor) -> None:
    """Add a tensor to a digest."""
    found.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
    found.update(value.reshape(-1).view(torch.uint8).numpy().data)


def load_weights(module: nn.Module, path: Path, *, prefix: str = "") -> None:
    """Load safetensors strictly.

    Args:
        module: module that receives the weights.
        path: path of the file.
        prefix: prefix of the entries that belong to ``module``; all others are ignored.

    Raises:
        MissingFileError: if ``path`` does not exist.
        UserError: if the file is damaged or belongs to another architecture; names the first missing, unexpected and
            misshapen entries.
    """
    if not path.exists():
        raise MissingFileError(f"{path} is missing: train this model first (run the table without --only).")
    theirs = {k.removeprefix(prefix): v for k, v in load_tensors(path).items() if k.startswith(prefix)}
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
    """Return the newest intact checkpoint of the run in ``folder``; damaged ones are skipped with a warning."""
    for path in by_step(RunFolder(folder).checkpoints):
        damage = _damage(path)
        if damage is None:
            return path
        warnings.warn(f"{path} cannot be read ({damage}); going back to the checkpoint before it.", stacklevel=2)
    return None


def by_step(folder: Path) -> list[Path]:
    """Return the checkpoints in ``folder``, newest first; files still being written do not count."""
    found = [p for p in folder.glob("*.ckpt") if not p.name.startswith(".")]
    return sorted(found, key=lambda p: (_step(p), p.stat().st_mtime), reverse=True)


def _step(path: Path) -> int:
    name = re.search(r"step=(\d+)", path.name)
    return int(name[1]) if name else -1


def _damage(path: Path) -> str | None:
    """Return the problem with the file, or None. torch reads its structure, but does not verify each entry's checksum."""
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with zipfile.ZipFile(path) as archive:
            marked = [
                i.filename for i in archive.infolist() if i.external_attr
            ]  # torch mistakes it for a folder without content
            entry = archive.testzip() or next(iter(marked), None)
    except Exception as error:  # torch and zipfile raise many kinds of exceptions for a damaged file
        return str(error).split("\n")[0] or type(error).__name__
    return f"the content of {entry} has changed" if entry else None
