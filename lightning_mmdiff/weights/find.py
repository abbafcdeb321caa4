"""Where the released weights of evaluators and condition encoders lie: one table, two places, no network.

A file is looked for in the folder named by the environment variable ``MMDIFF_WEIGHTS`` first, then where the tools that
made it put it (``$TORCH_HOME/hub/checkpoints``, or the Hugging Face cache for a folder). Nothing here downloads;
``python -m experiments.prefetch`` does.
"""

import hashlib
import os
from pathlib import Path

from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.weights.table import WEIGHTS, Weight

ENVIRONMENT_VARIABLE = "MMDIFF_WEIGHTS"


def entry(name: str) -> Weight:
    """Return the table's entry called ``name``."""
    for weight in WEIGHTS:
        if weight.name == name:
            return weight
    raise KeyError(f"No weight file is called {name!r}; the table has {', '.join(weight.name for weight in WEIGHTS)}.")


def candidates(name: str) -> list[Path]:
    """Return the paths at which ``name`` is looked for, first the one under ``MMDIFF_WEIGHTS`` if that is set."""
    weight = entry(name)
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    places = [Path(override).expanduser() / weight.file] if override else []
    return [*places, _default_path(weight)]


def find(name: str) -> Path | None:
    """Return the path of ``name``, or None when it lies in none of its places."""
    return next((path for path in candidates(name) if path.exists()), None)


def require(name: str) -> Path:
    """Return the path of ``name``, complete as far as its publisher's checksum can tell.

    Raises:
        MissingFileError: if it lies in none of its places.
        UserError: if its checksum is not the published one (a half-finished download).
    """
    weight = entry(name)
    path = find(name)
    if path is None:
        looked = " and ".join(str(candidate) for candidate in candidates(name))
        raise MissingFileError(
            f"{weight.file} is missing (needed for: {weight.purpose}); looked for it at {looked}. Get it from "
            f"{weight.source} and put it there, or into a folder named by {ENVIRONMENT_VARIABLE}."
        )
    if weight.sha256 and (problem := damage(weight, path)):
        raise UserError(f"{problem} Delete it and get it again from {weight.source}.")
    return path


def damage(weight: Weight, path: Path) -> str:
    """Return what is wrong with a file or folder as far as checksums can tell; "" where nothing is."""
    parts = [(path / m.file, m.sha256) for m in weight.members] or [(path, weight.sha256)]
    for part, sha256 in parts:
        if not part.exists():
            return f"{part} is missing in the folder."
        if sha256 and not (found := digest(part)).startswith(sha256):
            return f"{part}: sha256 begins with {found[:8]}, the published file's with {sha256[:8]}."
    return ""


def _default_path(weight: Weight) -> Path:
    """Return where torch hub or the Hugging Face cache would have put the file."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    if not weight.hub_id:
        torch_home = Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser()
        return torch_home / "hub" / "checkpoints" / weight.file
    hf_home = Path(os.environ.get("HF_HOME", cache / "huggingface")).expanduser()
    model = hf_home / "hub" / f"models--{weight.hub_id.replace('/', '--')}"
    main = model / "refs" / "main"
    return model / "snapshots" / (main.read_text().strip() if main.is_file() else "main")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
