"""Check a published file of weights and convert it to safetensors, without running code from it.

python -m lightning_mmdiff.released 64x64_diffusion.pt           # writes 64x64_diffusion.safetensors beside it
python -m lightning_mmdiff.released mine.pt --name adm_64        # a file of another name, e.g. fine-tuned
python -m lightning_mmdiff.released 64x64_diffusion.safetensors --undo --to restored.pt
python -m lightning_mmdiff.released                              # list the files that are known

Runs read both forms; the converted one loads faster and has a digest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.released import catalogue, convert
from lightning_mmdiff.released.checkpoint import PublishedFile
from lightning_mmdiff.released.reading import read_tensors
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.files import atomic_path


@dataclass(frozen=True, kw_only=True)
class ConvertFlags:
    """Flags of the command."""

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """Published file, or with --undo a converted one."""
    name: str = ""
    """What the file is, if its name does not say so; default: the published name, else its names and shapes."""
    undo: bool = False
    """Write the published layout again."""
    to: Path | None = None
    """With --undo: file to write."""


def main(flags: ConvertFlags) -> None:
    """Convert a file or undo that, and say what was found."""
    if flags.file is None:
        for file in catalogue.FILES:
            entry = weights.entry(file.weight)
            print(f"{entry.name:31}{entry.file:37}{entry.purpose}")
    elif flags.undo:
        undo(flags.file, flags.name, flags.to)
    else:
        file = identify(flags.file, flags.name)
        entry = weights.entry(file.weight)
        if problem := flags.file.name == entry.file and entry.sha256 and weights.damage(entry, flags.file):
            raise UserError(f"{problem} Delete it and get it again from {entry.source}.")
        target = convert.write(file, flags.file)
        models = ", ".join(checkpoint.name for checkpoint in file.checkpoints)
        print(f"{flags.file} is {entry.name}: {entry.purpose} ({entry.license}); {len(convert.places(file))} tensors.")
        print(f"{target} written; models in it: {models}. Published by: {entry.source}")


def identify(path: Path, name: str) -> PublishedFile:
    """Return what a file is: by the name given, by its own published name, or by its names and shapes."""
    if name:
        return catalogue.file_of(name)
    for file in catalogue.FILES:
        if weights.entry(file.weight).file == path.name:
            return file
    found = convert.recognize(iter(catalogue.FILES), read_tensors(path))
    if found is None:
        known = ", ".join(weights.entry(file.weight).file for file in catalogue.FILES)
        raise UserError(
            f"{path} is none of the files that are known ({known}); if it is one of their kind, give its --name."
        )
    return found


def undo(path: Path, name: str, to: Path | None) -> None:
    """Write a converted file in the published layout."""
    tensors = checkpoints.load_tensors(path)
    file = catalogue.file_of(name or convert.source_of(path).get("name", ""))
    target = to or path.with_name(weights.entry(file.weight).file)
    if target.exists():
        raise UserError(f"{target} exists; choose another file by --to.")
    with atomic_path(target) as temporary:
        torch.save(convert.restore(file, tensors), temporary)
    print(
        f"{target} written: {weights.entry(file.weight).file} in its published layout, {len(convert.places(file))} tensors."
    )


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(ConvertFlags, description=__doc__))
