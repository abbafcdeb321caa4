"""Fetches weights and public data on a machine with internet, so that jobs need none.

python -m experiments.prefetch                         # list what can be fetched, what must be got by hand
python -m experiments.prefetch inception alexnet       # some of it
python -m experiments.prefetch --table table1          # the weights that a table needs at paper
python -m experiments.prefetch cifar10 --data /data    # a public data set, unpacked in its place

Interrupted downloads go on where they stopped; checksums are compared; nothing is fetched inside a SLURM job.
"""

import importlib
import os
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from experiments import INDEX
from experiments.spec import plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.weights.download import download


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A public data set in one archive."""

    name: str
    url: str
    folder: str
    """Below the data root; the archive is unpacked into it."""
    contains: str
    """What unpacking leaves there."""
    sha256: str
    """"" is unknown."""
    licence: str


ARCHIVES = (
    Archive(
        name="cifar10", url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", folder="cifar10",
        contains="cifar-10-batches-py", licence="none stated",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    Archive(
        name="night2day", url="http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/night2day.tar.gz", folder=".",
        contains="night2day", licence="none stated", sha256="",
    ),
)  # fmt: skip
BY_HAND = {
    "CelebAMask-HQ": "github.com/switchablenorms/CelebAMask-HQ (Google Drive, non-commercial)",
    "ffhq": "github.com/NVlabs/ffhq-dataset (its own download script)",
    "imagenet": "image-net.org (registration)",
    "cityscapes": "cityscapes-dataset.com (registration)",
}


@dataclass(frozen=True, kw_only=True)
class PrefetchFlags:
    """Fetch by name, or what a table needs."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    table: str = ""
    """Fetch the weights that this table needs at paper."""
    to: Path | None = None
    """Folder for weights. Default: $MMDIFF_WEIGHTS, or where torch hub and Hugging Face look."""
    data: Path = Path("data")
    """Root of the data sets."""


def main(flags: PrefetchFlags) -> None:
    """Fetch, or list."""
    names = [*flags.names, *(_needed(flags.table) if flags.table else ())]
    if not names:
        list_all(flags)
        return
    known = [w.name for w in weights.WEIGHTS] + [a.name for a in ARCHIVES]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"{', '.join(unknown)}: not in the table; there are {', '.join(known)}.")
    for name in dict.fromkeys(names):
        archive = next((a for a in ARCHIVES if a.name == name), None)
        if archive is not None:
            fetch_archive(archive, flags.data)
        else:
            fetch_weight(weights.entry(name), flags.to)


def _needed(table: str) -> list[str]:
    from experiments.core.needed_weights import needed_weights  # imports every method

    if table not in {entry.name for entry in INDEX}:
        raise UserError(f"No table is called {table!r}; there are {', '.join(e.name for e in INDEX)}.")
    tables = [importlib.import_module(f"experiments.{table}").table("paper", 0)]
    return [weight.name for weight in needed_weights(tables, plan(tables))]


def fetch_weight(weight: weights.Weight, to: Path | None) -> None:
    """Fetch a file, or the files of a folder, that is not there yet."""
    path = to / weight.file if to else weights.candidates(weight.name)[0]
    parts: list[tuple[Path, str, str, int | None]] = [(path, weight.url, weight.sha256, weight.size)]
    if weight.members:
        parts = [(path / m.file, f"{weight.url}/{m.file}", m.sha256, m.size) for m in weight.members]
    for part, url, sha256, size in parts:
        if part.exists():
            problem = sha256 and not weights.digest(part).startswith(sha256)
            if not problem:
                print(f"{part}: already there" + ("" if sha256 else " (no checksum is known, so it was not compared)"))
                continue
            raise UserError(f"{part} is not the published file; delete it and run the same command again.")
        require_network(part, weight.source)
        if not weight.url:
            raise UserError(f"{weight.file} has no direct address: get it from {weight.source} and put it at {part}.")
        _fetch(url, part, sha256, size)


def fetch_archive(archive: Archive, data: Path) -> None:
    """Fetch and unpack a data set that is not there yet."""
    place = data / archive.folder
    if (place / archive.contains).exists():
        print(f"{place / archive.contains}: already there")
        return
    path = place / archive.url.rpartition("/")[2]
    require_network(path, archive.url)
    if not path.exists():
        _fetch(archive.url, path, archive.sha256, None)
    unpack(path, place, archive.contains)
    path.unlink()


def unpack(path: Path, place: Path, contains: str) -> None:
    """Unpack a tar archive beside its final place and rename: what is there is whole."""
    temporary = place / f".{contains}.unpacking"
    try:
        with tarfile.open(path) as archive:
            archive.extractall(temporary, filter="data")  # nothing outside of the folder, no device, no foreign owner
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); delete it and run the same command again.") from error
    (temporary / contains).rename(place / contains)
    temporary.rmdir()


def require_network(path: Path, source: str) -> None:
    """Fail at once, with the name of what is missing, where nothing may be fetched.

    Raises:
        MissingFileError: offline, or inside a SLURM job.
    """
    offline = next((v for v in ("MMDIFF_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(v, "0") not in ("", "0")), None)
    job = os.environ.get("SLURM_JOB_ID")
    if offline or job:
        why = f"{offline} is set" if offline else f"this is SLURM job {job}, and compute nodes fetch nothing"
        raise MissingFileError(f"{path} is missing, and {why}; fetch it on a login node (from {source}).")


def _fetch(url: str, path: Path, sha256: str, size: int | None) -> None:
    with tqdm(desc=path.name, unit="B", unit_scale=True) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        download(url, path, sha256=sha256, size=size, progress=progress)
    print(
        f"{path}: fetched, "
        + ("checksum right" if sha256 else f"no checksum known; it has sha256 {weights.digest(path)}")
    )


def list_all(flags: PrefetchFlags) -> None:
    """Print what can be fetched and what must be got by hand."""
    for weight in weights.WEIGHTS:
        state = "there" if weights.find(weight.name) else "missing" if weight.url else "missing, by hand"
        print(f"{weight.name:20}{state:18}{weight.purpose}")
    for archive in ARCHIVES:
        there = (flags.data / archive.folder / archive.contains).exists()
        print(f"{archive.name:20}{'there' if there else 'missing':18}data set, {archive.url}")
    for name, source in BY_HAND.items():
        print(f"{name:20}{'there' if (flags.data / name).is_dir() else 'missing, by hand':18}data set, {source}")


if __name__ == "__main__":
    try:
        main(tyro.cli(PrefetchFlags, description=__doc__))
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. Run the same command again to go on.")
