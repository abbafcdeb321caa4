"""Fetch weights and public data on a machine with internet access, so that jobs need none.

python -m experiments.prefetch                         # list what can be fetched and what must be obtained by hand
python -m experiments.prefetch inception alexnet       # fetch some of it
python -m experiments.prefetch --table table1          # fetch the weights that a table needs at paper
python -m experiments.prefetch cifar10 --data /data    # fetch a public data set and unpack it in its place

Interrupted downloads resume where they stopped; checksums are compared; nothing is fetched inside a SLURM job.
"""

import importlib
import lzma
import os
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from datamodules.catalogue import DATA_SETS, Archive
from experiments import Profile, find_table
from experiments.spec import plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError, UserError, require_known
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.weights.download import download


@dataclass(frozen=True, kw_only=True)
class PrefetchFlags:
    """Flags of the command: names to fetch, or a table."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    table: str = ""
    """Fetch the weights that this table needs at the profile."""
    profile: Literal["paper", "released"] = "paper"
    to: Path | None = None
    """Folder for weights. Default: $MMDIFF_WEIGHTS, or the cache folders of torch hub and Hugging Face."""
    data: Path = Path("data")
    """Root of the data sets."""


def main(flags: PrefetchFlags) -> None:
    """Fetch the named files, or list them all if none is named."""
    names = [*flags.names, *(_needed(flags.table, flags.profile) if flags.table else ())]
    if not names:
        list_all(flags)
        return
    archives = {entry.name: entry.archive for entry in DATA_SETS if entry.archive}
    known = [*(w.name for w in weights.WEIGHTS), *archives]
    for name in names:
        require_known("file", name, known)
    for name in dict.fromkeys(names):
        if name in archives:
            fetch_archive(archives[name], flags.data)
        else:
            fetch_weight(weights.entry(name), flags.to)


def _needed(table: str, profile: Profile) -> list[str]:
    from experiments.protocols.needed_weights import needed_weights  # imports every method

    tables = [importlib.import_module(f"experiments.{find_table(table).name}").table(profile, 0)]
    return [weight.name for weight in needed_weights(tables, plan(tables))]


def fetch_weight(weight: weights.Weight, to: Path | None) -> None:
    """Fetch a weight file, or the files of a folder, unless already present."""
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
    """Fetch and unpack a data set unless already present."""
    target = data / archive.contains
    if target.exists():
        print(f"{target}: already there")
        return
    path = target.parent / archive.url.rpartition("/")[2]
    if not path.exists():
        require_network(path, archive.url)
        _fetch(archive.url, path, archive.sha256, None)
    elif archive.sha256 and not weights.digest(path).startswith(archive.sha256):
        raise UserError(f"{path} is not the published archive; delete it and run the same command again.")
    unpack(path, target)
    path.unlink()


def unpack(path: Path, target: Path) -> None:
    """Unpack a tar archive next to ``target`` and take over its folder of that name, so that ``target`` is always complete.

    Raises:
        UserError: if the archive is damaged, leads out of its folder or has no such folder.
    """
    temporary = target.with_name(f".{target.name}.unpacking")
    _remove(temporary)  # left by a process that was killed
    temporary.mkdir()
    try:
        with tarfile.open(path) as archive:
            archive.extractall(temporary, filter="data")  # no paths outside the folder, no devices, no foreign owners
            while archive.fileobj and archive.fileobj.read(1 << 20):
                pass  # the checksum of the compression stands at its end
        if not (temporary / target.name).is_dir():
            names = ", ".join(sorted(entry.name for entry in temporary.iterdir())[:3]) or "nothing"
            raise UserError(
                f"{path} holds {names}, not the folder {target.name}: is it the right archive? Unpack it by hand to {target}, "
                "or delete it and run the same command again."
            )
        (temporary / target.name).rename(target)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk says nothing of the archive
            raise
        what = str(error).partition("\n")[0].rstrip(":")
        raise UserError(f"{path}: cannot be unpacked ({what}); delete it and run the same command again.") from error
    finally:
        _remove(temporary)


def _remove(folder: Path) -> None:
    """Remove a folder with its content, or a link to one without."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def require_network(path: Path, source: str) -> None:
    """Raise at once, naming the missing file, where fetching is not allowed.

    Raises:
        MissingFileError: if offline, or inside a SLURM job.
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
    """Print what can be fetched and what must be obtained by hand."""
    for weight in weights.WEIGHTS:
        state = "there" if weights.find(weight.name) else "missing" if weight.url else "missing, by hand"
        size = f" ({weight.bytes / 1e9:.1f} GB)" if weight.bytes else ""
        print(f"{weight.name:30}{state:18}{weight.purpose}{size}")
    for entry in DATA_SETS:
        there = (flags.data / (entry.archive.contains if entry.archive else entry.folder)).exists()
        state = "there" if there else "missing" if entry.archive else "missing, by hand"
        source = entry.archive.url if entry.archive else entry.source or "its source is not known"
        print(f"{entry.name:30}{state:18}data set, {source}")


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(PrefetchFlags, prog="python -m experiments.prefetch", description=__doc__))
