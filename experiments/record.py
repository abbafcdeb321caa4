"""Run every table at mini and keep its numbers in docs/results; the same command goes on where it stopped.

python -m experiments.record --seeds 3 --workers 2           # all tables, in the order of the index
python -m experiments.record table9 table10 --seeds 5        # some of them
python -m experiments.record cifar10 --data /data --out runs-real
python -m experiments.record --costs --out runs-one          # time and memory of one process, beside the numbers that are there

A table's numbers are kept as soon as it is complete, whatever happens to the others, with what it cost and the pictures that its
text asks for. Write the text again if they have moved; then ``python -m reports results`` makes the page.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from experiments import INDEX, find_table
from experiments.core.provenance import peak_memory_gib
from experiments.engine.endings import endings
from experiments.engine.parent import followed
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime import stand_ins
from lightning_mmdiff.runtime.durations import duration
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.interruption import Interrupted
from lightning_mmdiff.runtime.stored import stored_json
from reports import doc_pictures, results_page
from reports.schema import Entry
from reports.table_folder import TableFolder

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
    """Folder of the pictures, whose results/ keeps the numbers."""
    costs: bool = False
    """Keep only time and memory, beside the numbers that are there: of a pass with another number of workers, in an --out of its
    own."""


def main(flags: RecordFlags) -> None:
    """Run the tables one after the other and keep their numbers.

    Raises:
        UserError: if there is no such table, or, after all the others, if one failed.

    The time left is that of the index, times what the tables of this call took of it so far.
    """
    entries, profile = chosen(flags.tables), flags.out / PROFILE
    stand_ins.require_libraries()  # not after the first table, whose time would be lost
    keep = results_page.record_pass if flags.costs else results_page.record
    failed: list[str] = []
    took: dict[Entry, float] = {}
    for number, entry in enumerate(entries):
        speed = sum(took.values()) / sum(seconds(done, flags.seeds) for done in took) if took else 1.0
        about, *rest = (speed * seconds(left, flags.seeds) for left in entries[number:])
        console.print(
            f"\n[bold]\\[{number + 1} of {len(entries)}] {entry.name}[/]: about {duration(about)} by the index, less what is "
            f"done; {duration(about + sum(rest))} to the end"
        )
        there = [folder.name for folder in TableFolder.written(profile)]
        code, spent = run(words(entry.name, flags))
        if code:
            failed.append(f"{entry.name} (exit code {code})")
            continue
        if entry.name not in there:
            took[entry] = spent["seconds"]
            of = {"workers": flags.workers, "seeds": flags.seeds, "after": there}
            write_pass(TableFolder.of(profile, entry.name), {**of, **spent})
        try:
            kept = keep(profile, entry.name, flags.docs / "results")
            console.print(f"{kept} written after {duration(spent['seconds'])}", soft_wrap=True)
            for picture in () if flags.costs else doc_pictures.draw(profile, entry.name, flags.docs):
                console.print(f"{picture} drawn", soft_wrap=True)
        except UserError as error:
            failed.append(f"{entry.name} ({str(error).rstrip('.')})")
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


def seconds(entry: Entry, seeds: int) -> float:
    """Return the seconds that a table takes by the index, as if all seeds took as long as the first."""
    return 60 * minutes(entry) * seeds


def write_pass(folder: TableFolder, spent: dict[str, Any]) -> None:
    """Write what the command of a table took that nothing of it was done before, with the machine and the commit."""
    origin = stored_json(folder.table)["provenance"]
    write_json(folder.costs, {**spent, **{key: origin[key] for key in ("commit", "dirty", "hardware", "date")}})


def words(name: str, flags: RecordFlags) -> list[str]:
    """Return the command of one table."""
    data = ["--data", str(flags.data)] if flags.data else []
    shared = ["--profile", PROFILE, "--seeds", str(flags.seeds), "--workers", str(flags.workers)]
    return ["-m", f"experiments.{name}", *shared, "--out", str(flags.out), *data]


def run(arguments: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Run a command of Python to its end; return its exit code, its time, and time and memory of it and its processes.

    Raises:
        Interrupted: if this process, or the command alone, is told to stop; the command has saved its work then.
    """
    begun = time.monotonic()
    with followed(), subprocess.Popen([sys.executable, *arguments]) as process:
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = code = os.waitstatus_to_exitcode(status)
        except Interrupted:
            process.terminate()  # a terminal's Ctrl-C reaches both
            raise
        finally:
            process.wait()
    if -code in range(1, 32) or code in STOPPED:
        raise Interrupted(-code if code < 0 else code - 128)
    return code, {
        "seconds": time.monotonic() - begun,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_gib": peak_memory_gib(usage),
    }


if __name__ == "__main__":
    given = tyro.cli(RecordFlags, description=__doc__)
    with endings(given.out, debug=False):
        main(given)
