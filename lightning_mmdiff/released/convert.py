"""From a published file to our safetensors and back: strictly, tensor by tensor, by the key maps of the sources."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
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
    """One of our tensors: its shape, and its key in the published file."""

    shape: Shape
    key: Key


@cache
def places(file: PublishedFile) -> Mapping[str, Place]:
    """Return our tensors in ``file``, by their name in the converted file; constants are in no file and left out."""
    found: dict[str, Place] = {}
    for checkpoint in file.checkpoints:
        constants = dict(checkpoint.constants)
        for name, value in structure(checkpoint).items():
            if name not in constants:
                shape = tuple(value.shape)
                found[checkpoint.part + name] = Place(shape, checkpoint.keys(checkpoint.config, name, shape))
    return found


def structure(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the stored tensors of a checkpoint's model by name, without memory for their values."""
    from lightning_mmdiff.released.catalogue import architecture  # which lists the sources, built on this form

    with torch.device("meta"):
        module = architecture(checkpoint)
    return checkpoints.saved(module, module.state_dict())


def differences(file: PublishedFile, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps ``tensors`` from being those of ``file``: names that are missing, unexpected or of another shape."""
    expected = {place.key.name: _their_shape(place) for place in places(file).values()}
    extra = [name for name in tensors.keys() - expected.keys() if not name.startswith((*file.ignored, SCHEDULE))]
    shared = tensors.keys() & expected.keys()
    problems = (
        ("missing", sorted(expected.keys() - tensors.keys())),
        ("unexpected", sorted(extra)),
        ("of another shape", sorted(name for name in shared if tuple(tensors[name].shape) != expected[name])),
    )
    return [f"{len(names)} {what} (first: {', '.join(names[:3])})" for what, names in problems if names]


def convert(file: PublishedFile, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return our tensors, float32, from those of a published file.

    Args:
        file: what the file is.
        tensors: its tensors, by their names there.
        path: its path, for messages.

    Raises:
        UserError: if a tensor is missing, unexpected, of another shape or not finite, or the noise schedule is another one.
    """
    if found := differences(file, tensors):
        raise UserError(f"{path} is not {weights.entry(file.weight).file} as published: {'; '.join(found)}.")
    _check_schedule(file, tensors, path)
    ours = {name: place.key.layout.ours(tensors[place.key.name]) for name, place in places(file).items()}
    ours = {name: value.float() if value.is_floating_point() else value for name, value in ours.items()}
    if broken := [name for name, value in ours.items() if not value.isfinite().all()]:
        raise UserError(f"{path} holds values that are no numbers (first: {broken[0]}); get it again.")
    for checkpoint in file.checkpoints:
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
    """Return the source that a converted file states; empty if it states none."""
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get(SOURCE, "{}"))


def stored(file: PublishedFile) -> dict[str, Tensor]:
    """Return our tensors of a published file: from its converted form if that is there, else converted now.

    Raises:
        MissingFileError: if neither is there.
        UserError: if it is damaged or not the published one.
    """
    path = weights.require(file.weight)
    if path.suffix != ".safetensors":
        return convert(file, read_tensors(path), path)
    tensors = checkpoints.load_tensors(path)
    expected = {name: place.shape for name, place in places(file).items()}
    if wrong := [
        name for name, shape in expected.items() if name not in tensors or tuple(tensors[name].shape) != shape
    ]:
        raise UserError(
            f"{path} is not the converted {weights.entry(file.weight).file} (first: {wrong[0]}): convert it again."
        )
    return tensors


def load(checkpoint: Checkpoint, file: PublishedFile, module: nn.Module) -> None:
    """Give ``module``, of the checkpoint's config, its published weights.

    Raises:
        MissingFileError: if the file is not there.
        UserError: if it is damaged, or ``module`` has another architecture.
    """
    tensors, own = stored(file), checkpoints.saved(module, module.state_dict())
    theirs = {name: tensors.get(checkpoint.part + name) for name in own}
    if wrong := [name for name, value in theirs.items() if value is None or value.shape != own[name].shape]:
        raise UserError(f"{checkpoint.name} has another architecture than {type(module).__name__} (first: {wrong[0]}).")
    module.load_state_dict(theirs, strict=False)


def recognize(files: Iterator[PublishedFile], tensors: Mapping[str, Tensor]) -> PublishedFile | None:
    """Return the file that has exactly these names and shapes; None if there is none."""
    return next((file for file in files if not differences(file, tensors)), None)


def _their_shape(place: Place) -> Shape:
    """Return the shape in the published file of a tensor of ours."""
    return tuple(place.key.layout.theirs(torch.empty(place.shape, device="meta")).shape)


def _check_schedule(file: PublishedFile, tensors: Mapping[str, Tensor], path: Path) -> None:
    names = {c.config.schedule for c in file.checkpoints if hasattr(c.config, "schedule")}
    for name in names if SCHEDULE in tensors else ():
        ours = schedules.by_name(name).alpha_bar
        if not torch.allclose(tensors[SCHEDULE].double(), ours, atol=1e-6):
            raise UserError(
                f"{path} was trained on another noise schedule than {name}: its {SCHEDULE} differ from ours."
            )
