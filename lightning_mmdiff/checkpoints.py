"""Weights on disk: safetensors for finished models, Lightning checkpoints for resuming, strict in both directions."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lightning_mmdiff.files import atomic_path

FROZEN = "embedder."
"""Prefix of frozen helper models, which are never stored."""


def save_weights(module: nn.Module, path: Path, averaged: Mapping[str, Tensor]) -> None:
    """Write the module's weights as safetensors, with the averaged parameters in place of the last ones."""
    state = {**module.state_dict(), **averaged}
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in state.items() if not k.startswith(FROZEN)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(kept))  # save_file would not raise OSError where the disk is full


def load_weights(module: nn.Module, path: Path) -> None:
    """Load safetensors strictly.

    Raises:
        FileNotFoundError: if ``path`` is not there.
        ValueError: if the file is damaged, or belongs to another architecture; names the first missing, unexpected and
            misshapen entries.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: train this model first (run the table without --only).")
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run the same command to train again.") from error
    ours = {k: v for k, v in module.state_dict().items() if not k.startswith(FROZEN)}
    problems = [
        ("missing", sorted(ours.keys() - theirs.keys())),
        ("unexpected", sorted(theirs.keys() - ours.keys())),
        ("of another shape", sorted(k for k in ours.keys() & theirs.keys() if ours[k].shape != theirs[k].shape)),
    ]
    found = [f"{len(keys)} {what} (first: {', '.join(keys[:3])})" for what, keys in problems if keys]
    if found:
        raise ValueError(f"{path} holds another architecture than {type(module).__name__}: {'; '.join(found)}.")
    module.load_state_dict(theirs, strict=False)


def newest_checkpoint(folder: Path) -> Path | None:
    """Newest Lightning checkpoint below ``folder`` that can be read; an unreadable one is passed over with a warning."""
    for path in sorted(folder.rglob("*.ckpt"), key=lambda p: p.stat().st_mtime, reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            warnings.warn(f"{path} cannot be read ({error}); going back to the checkpoint before it.", stacklevel=2)
        else:
            return path
    return None
