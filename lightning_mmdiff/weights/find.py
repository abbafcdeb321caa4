"""Locations of the released weights of evaluators and condition encoders: one table, two places, no network.

A file is sought first in the folder named by the environment variable ``MMDIFF_WEIGHTS``, then where its own tools put it
(``$TORCH_HOME/hub/checkpoints``, or the Hugging Face cache for a folder). Nothing here downloads;
``python -m experiments.prefetch`` does.
"""

import hashlib
import os
from pathlib import Path

from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import read_text
from lightning_mmdiff.weights.table import WEIGHTS
from lightning_mmdiff.weights.weight import Weight

ENVIRONMENT_VARIABLE = "MMDIFF_WEIGHTS"
PAGE = (b"<!doctype", b"<html", b"<?xml")
CONVERTED = ".safetensors"
"""End of the name of a converted file."""


def entry(name: str) -> Weight:
    """Return the table's entry named ``name``."""
    for weight in WEIGHTS:
        if weight.name == name:
            return weight
    raise KeyError(f"No weight file is called {name!r}; the table has {', '.join(weight.name for weight in WEIGHTS)}.")


def candidates(name: str) -> list[Path]:
    """Return the paths at which ``name`` is sought, first the one under ``MMDIFF_WEIGHTS`` if that is set."""
    weight = entry(name)
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    places = [Path(override).expanduser() / weight.file] if override else []
    return [*places, _default_path(weight)]


def _forms(weight: Weight, path: Path) -> list[Path]:
    """Return the paths of a file as published and converted (``python -m lightning_mmdiff.released``), which goes first."""
    return [path.with_suffix(CONVERTED), path] if weight.converts else [path]


def find(name: str) -> Path | None:
    """Return the path of ``name``, or None if it is in none of its places."""
    weight = entry(name)
    found = (form for path in candidates(name) for form in _forms(weight, path) if form.exists())
    return next(found, None)


def require(name: str) -> Path:
    """Return the path of ``name``, intact as far as its publisher's checksum can tell.

    Raises:
        MissingFileError: if it is in none of its places.
        UserError: if its checksum is not the published one (an unfinished download).
    """
    weight = entry(name)
    path = find(name)
    if path is None:
        looked = " and ".join(str(candidate) for candidate in candidates(name))
        raise MissingFileError(
            f"{weight.file} is missing (needed for: {weight.purpose}); looked for it at {looked}. Get it from "
            f"{weight.source} and put it there, or into a folder named by {ENVIRONMENT_VARIABLE}."
        )
    if (weight.sha256 or is_page(path)) and (problem := damage(weight, path)):
        raise UserError(f"{problem} Delete it and get it again from {weight.source}.")
    return path


def damage(weight: Weight, path: Path) -> str:
    """Return the problem with a file or folder as far as checksums can tell; "" if there is none.

    A converted file has a digest of its own, which is compared when it is loaded.
    """
    if weight.converts and path.suffix == CONVERTED:
        return ""
    if is_page(path):
        return (
            f"{path} is a web page, not weights: the server asked for a login or a confirmation; get it in a browser."
        )
    parts = [(path / m.file, m.sha256) for m in weight.members] or [(path, weight.sha256)]
    for part, sha256 in parts:
        if not part.exists():
            return f"{part} is missing in the folder."
        if sha256 and not (found := digest(part)).startswith(sha256):
            return f"{part}: sha256 begins with {found[:8]}, the published file's with {sha256[:8]}."
    return ""


def is_page(path: Path) -> bool:
    """Return whether a file is a web page, which a portal sends in place of what was asked for."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(256).lstrip().lower().startswith(PAGE)


def _default_path(weight: Weight) -> Path:
    """Return the path where torch hub or the Hugging Face cache would have put the file."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    if not weight.hub_id:
        torch_home = Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser()
        return torch_home / "hub" / "checkpoints" / weight.file
    hf_home = Path(os.environ.get("HF_HOME", cache / "huggingface")).expanduser()
    model = hf_home / "hub" / f"models--{weight.hub_id.replace('/', '--')}"
    main = model / "refs" / "main"
    return model / "snapshots" / (read_text(main).strip() if main.is_file() else "main")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
