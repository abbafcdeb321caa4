"""Run every table at mini and keep its numbers in docs/results; the same command goes on where it stopped.

python -m experiments.record --seeds 3 --workers 2           # all tables, in the order of the index
python -m experiments.record table9 table10 --seeds 5        # some of them
python -m experiments.record cifar10 --data /data --out runs-real

A table's numbers are kept as soon as it is complete, whatever happens to the others. Write its text again if they have moved;
then ``python -m reports results`` makes the page.
"""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from experiments import INDEX, find_table
from experiments.engine.endings import endings
from experiments.engine.parent import followed
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.durations import duration
from lightning_mmdiff.runtime.interruption import Interrupted
from reports import results_page
from reports.schema import Entry

PROFILE = "mini"
MINUTES = re.compile(r"(\d+) min")
LITTLE = 0.5
"""Minutes of a table that takes "seconds"."""
STOPPED = range(128, 192)
"""Exit codes of a command that a signal ended."""

console = Console(highlight=False)


@dataclass(frozen=True, kw_only=True)
class RecordFlags:
    """Flags of the command: which tables, and how they are run."""

    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names such as table1. Default: all."""
    seeds: int = 3
    """Number of training seeds; three or more decide a claim."""
    workers: int = 1
    """Number of processes that share the work of a table."""
    out: Path = Path("runs")
    """Root of all run folders."""
    data: Path | None = None
    """Root of the data sets. Default: rendered data."""
    docs: Path = Path("docs")
    """Folder whose results/ keeps the numbers."""


def main(flags: RecordFlags) -> None:
    """Run the tables one after the other and keep their numbers.

    Raises:
        UserError: if there is no such table, or, after all the others, if one failed.
    """
    entries = chosen(flags.tables)
    failed = []
    for number, entry in enumerate(entries):
        left = sum(minutes(later) for later in entries[number:]) * flags.seeds
        about = duration(60 * minutes(entry) * flags.seeds)
        console.print(
            f"\n[bold]\\[{number + 1} of {len(entries)}] {entry.name}[/]: about {about} by the index, less what is done; "
            f"{duration(60 * left)} to the end"
        )
        begun = time.monotonic()
        if code := run(words(entry.name, flags)):
            failed.append(f"{entry.name} (exit code {code})")
            continue
        kept = results_page.record(flags.out / PROFILE, entry.name, flags.docs / "results")
        console.print(f"{kept} written after {duration(time.monotonic() - begun)}", soft_wrap=True)
    if failed:
        raise UserError(f"not recorded: {', '.join(failed)}; the others are. Run the same command again to go on.")


def chosen(names: Sequence[str]) -> list[Entry]:
    """Return the entries of the index with these names, all if there is none, in the order that shares runs."""
    asked = [find_table(name) for name in names]
    return [entry for entry in INDEX if not names or entry in asked]


def minutes(entry: Entry) -> float:
    """Return the minutes of one training seed that the index tells; two processes and one core count alike."""
    found = MINUTES.search(entry.mini)
    return float(found[1]) if found else LITTLE


def words(name: str, flags: RecordFlags) -> list[str]:
    """Return the command of one table."""
    data = ["--data", str(flags.data)] if flags.data else []
    shared = ["--profile", PROFILE, "--seeds", str(flags.seeds), "--workers", str(flags.workers)]
    return ["-m", f"experiments.{name}", *shared, "--out", str(flags.out), *data]


def run(arguments: Sequence[str]) -> int:
    """Run a command of Python to its end and return its exit code.

    Raises:
        Interrupted: if this process, or the command alone, is told to stop; the command has saved its work then.
    """
    with followed(), subprocess.Popen([sys.executable, *arguments]) as process:
        try:
            code = process.wait()
        except Interrupted:
            process.terminate()  # a terminal's Ctrl-C reaches both
            raise
        finally:
            process.wait()
    if -code in range(1, 32) or code in STOPPED:
        raise Interrupted(-code if code < 0 else code - 128)
    return code


if __name__ == "__main__":
    given = tyro.cli(RecordFlags, description=__doc__)
    with endings(given.out, debug=False):
        main(given)
