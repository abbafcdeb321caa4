"""From a published file to our safetensors and back: strictly, tensor by tensor, by the key maps of the sources."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lightning_mmdiff import schedules, weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.released.checkpoint import Checkpoint, Key, PublishedFile, Shape
from lightning_mmdiff.released.reading import read_tensors
from lightning_mmdiff.runtime import checkpoints

SOURCE = "source"
"""Key of the published file's name and checksum in the metadata of a converted file."""
SCHEDULE = "alphas_cumprod"
"""Name of the noise schedule in files of latent diffusion, which is compared with ours."""


@dataclass(frozen=True)
class Place:
    """One of our tensors: its shape, its key in the published file, and its shape there."""

    shape: Shape
    key: Key
    theirs: Shape


@dataclass(frozen=True)
class Contents:
    """The tensors of a model by our name: those in a published file, and those that it lacks because they are zero."""

    places: Mapping[str, Place]
    zeros: Mapping[str, Shape]


@cache
def contents(checkpoint: Checkpoint) -> Contents:
    """Return what a file holds of a checkpoint's model; constants are in no file and left out."""
    constants, found, zeros = dict(checkpoint.constants), {}, {}
    for name, value in structure(checkpoint).items():
        if name in constants or not name.startswith(checkpoint.inside):
            continue
        shape = tuple(value.shape)
        key = checkpoint.keys(checkpoint.config, name, shape)
        if key is None:
            zeros[name] = shape
        else:
            found[name] = Place(shape, key, tuple(key.layout.theirs(torch.empty(shape, device="meta")).shape))
    return Contents(found, zeros)


def places(file: PublishedFile) -> dict[str, Place]:
    """Return our tensors in ``file``, by their name in the converted file."""
    return {c.part + name: place for c in file.checkpoints for name, place in contents(c).places.items()}


def structure(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the stored tensors of a checkpoint's model by name, without memory for their values."""
    from lightning_mmdiff.released.catalogue import architecture  # which lists the sources, built on this form

    with torch.device("meta"):
        module = architecture(checkpoint)
    return checkpoints.saved(module, module.state_dict())


def differences(file: PublishedFile, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps ``tensors`` from being those of ``file``: names that are missing, unexpected or of another shape."""
    expected = {place.key.name: place.theirs for place in places(file).values()}
    ignored = (*file.ignored, SCHEDULE)
    extra = [
        name
        for name in tensors.keys() - expected.keys()
        if not name.startswith(ignored) and not name.endswith(file.ignored_ends)
    ]
    shared = tensors.keys() & expected.keys()
    problems = (
        ("missing", sorted(expected.keys() - tensors.keys())),
        ("unexpected", sorted(extra)),
        ("of another shape", sorted(name for name in shared if tuple(tensors[name].shape) != expected[name])),
    )
    return [f"{len(names)} {what} (first: {', '.join(names[:3])})" for what, names in problems if names]


def convert(
    file: PublishedFile, tensors: Mapping[str, Tensor], path: Path, *, only: Checkpoint | None = None
) -> dict[str, Tensor]:
    """Return our tensors, float32, from those of a published file, by their name in the converted file.

    Args:
        file: what the file is.
        tensors: its tensors, by their names there.
        path: its path, for messages.
        only: one of its models, of which alone tensors are read; None is all.

    Raises:
        UserError: if a tensor is missing, unexpected, of another shape or not finite, or the noise schedule is another one.
    """
    if found := differences(file, tensors):
        raise UserError(f"{path} is not {weights.entry(file.weight).file} as published: {'; '.join(found)}.")
    _check_schedule(file, tensors, path)
    ours: dict[str, Tensor] = {}
    for checkpoint in file.checkpoints if only is None else (only,):
        inside = contents(checkpoint)
        for name, place in inside.places.items():
            value = place.key.layout.ours(tensors[place.key.name])
            value = value.float() if value.is_floating_point() else value
            if not value.isfinite().all():
                raise UserError(f"{path} holds values that are no numbers (first: {place.key.name}); get it again.")
            ours[checkpoint.part + name] = value
        ours |= {checkpoint.part + name: torch.zeros(shape) for name, shape in inside.zeros.items()}
        ours |= {checkpoint.part + name: torch.tensor(value) for name, value in checkpoint.constants}
    return ours


def restore(file: PublishedFile, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names and in the layout of the published file: the inverse of ``convert``."""
    return {place.key.name: place.key.layout.theirs(ours[name]).contiguous() for name, place in places(file).items()}


def converted_path(path: Path) -> Path:
    """Return where the converted form of a published file stands: beside it."""
    return path.with_suffix(".safetensors")


def write(file: PublishedFile, path: Path) -> Path:
    """Convert the file at ``path`` and write the result beside it, with its source; return where."""
    ours, target = convert(file, read_tensors(path), path), converted_path(path)
    entry = weights.entry(file.weight)
    source = {"name": entry.name, "file": path.name, "sha256": weights.digest(path), "license": entry.license}
    checkpoints.save_tensors(ours, target, {SOURCE: json.dumps(source)})
    return target


def source_of(path: Path) -> dict[str, Any]:
    """Return the source that a converted file states; empty if it states none.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get(SOURCE, "{}"))
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and convert it again.") from error
    return found


def origin(path: Path) -> dict[str, str]:
    """Return the name and SHA-256 of the published file behind ``path``, which is that file or its converted form."""
    if path.suffix == ".safetensors":
        return {name: str(value) for name, value in source_of(path).items() if name in ("file", "sha256")}
    status = path.stat()
    return {"file": path.name, "sha256": _digest(path, status.st_mtime_ns, status.st_size)}


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Return the SHA-256 of a file; the last arguments tell whether it is the same file."""
    return weights.digest(path)


def stored(file: PublishedFile, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the tensors of one model of a published file, by their name in the converted file; others are not read.

    They come from the file's converted form if that is there; else they are converted now.

    Raises:
        MissingFileError: if neither is there.
        UserError: if it is damaged or not the published one.
    """
    path = weights.require(file.weight)
    if path.suffix != ".safetensors":
        return convert(file, read_tensors(path), path, only=checkpoint)
    inside = contents(checkpoint)
    shapes = {name: place.shape for name, place in inside.places.items()} | dict(inside.zeros)
    names = [checkpoint.part + name for name in (*shapes, *dict(checkpoint.constants))]
    tensors = checkpoints.load_some(path, names)
    expected = {checkpoint.part + name: shape for name, shape in shapes.items()}
    if wrong := [name for name in names if name not in tensors] or [
        name for name, shape in expected.items() if tuple(tensors[name].shape) != shape
    ]:
        raise UserError(
            f"{path} is not the converted {weights.entry(file.weight).file} (first: {wrong[0]}): convert it again."
        )
    return tensors


def load(model: Sequence[tuple[PublishedFile, Checkpoint]], module: nn.Module) -> None:
    """Give ``module``, of the config of the checkpoints of ``model``, its published weights.

    Args:
        model: each file of the model, and what it holds of it.
        module: what receives them.

    Raises:
        MissingFileError: if a file is not there.
        UserError: if it is damaged, or ``module`` has another architecture.
    """
    own = checkpoints.saved(module, module.state_dict())
    for file, checkpoint in model:
        tensors = stored(file, checkpoint)
        theirs = {name: tensors.get(checkpoint.part + name) for name in own if name.startswith(checkpoint.inside)}
        wrong = [name for name, value in theirs.items() if value is None or value.shape != own[name].shape]
        if wrong or len(theirs) < len(tensors):
            first = f"first: {wrong[0]}" if wrong else f"{len(tensors) - len(theirs)} tensors are left over"
            raise UserError(f"{checkpoint.name} has another architecture than {type(module).__name__} ({first}).")
        module.load_state_dict(theirs, strict=False)


def recognize(files: Iterator[PublishedFile], tensors: Mapping[str, Tensor]) -> PublishedFile | None:
    """Return the file that has exactly these names and shapes; None if there is none."""
    return next((file for file in files if not differences(file, tensors)), None)


def _check_schedule(file: PublishedFile, tensors: Mapping[str, Tensor], path: Path) -> None:
    names = {c.config.schedule for c in file.checkpoints if hasattr(c.config, "schedule")}
    for name in names if SCHEDULE in tensors else ():
        ours = schedules.by_name(name).alpha_bar
        if not torch.allclose(tensors[SCHEDULE].double(), ours, atol=1e-6):
            raise UserError(
                f"{path} was trained on another noise schedule than {name}: its {SCHEDULE} differ from ours."
            )
