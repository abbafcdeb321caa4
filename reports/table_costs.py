"""What a table costs: processor time and memory of the runs behind it, and of whole passes of its command.

Runs that several tables share count for each of them from scratch, and not in what a table adds to others. Pictures, the
report and the start of Python are in the passes alone.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning_mmdiff.runtime.durations import duration
from lightning_mmdiff.runtime.stored import stored_json
from reports.format import MISSING, escape_markdown
from reports.index import read_index
from reports.markdown import pipes
from reports.runs import evaluators, needs, side_json, stages
from reports.schema import Stage, TableResult
from reports.table_folder import TableFolder

AFTER = re.compile(r"\bafter (\w+)")
"""The table that a time of the index does not count."""


def costs(table: TableResult, kept: Path) -> dict[str, Any]:
    """Return the costs of a table of a folder of runs, with the passes of other numbers of workers that ``kept`` has.

    Args:
        table: the table.
        kept: file of the table as it was recorded before; it need not exist.

    Returns:
        Seconds of all processors of all seeds ("processor_seconds"), of the first one ("first_seed"), of what that adds to the
        tables before it in the index ("added"), and to the one after which the index counts ("after"); the memory of the
        largest process in GiB; passes. None stands for times that were not measured.
    """
    profile = table.folder.parents[1]
    every, first = _stages(table), _stages(table, only_first=True)
    before, named = _before(profile, table.name)
    others = {name: _names(TableFolder.of(profile, name)) for name in {*before, *named}}
    earlier = {run for name in before for run in others[name]}
    pass_ = side_json(TableFolder(table.folder).costs)
    if pass_:
        mine = {stage.run for stage in every}
        pass_ = {**pass_, "after": [n for n in pass_["after"] if mine & _names(TableFolder.of(profile, n))]}
    return {
        "seeds": len({run.seed for row in table.rows for run in row.runs}),
        "processor_seconds": _seconds(every),
        "first_seed": _seconds(first),
        "added": _seconds(stage for stage in first if stage.run not in earlier),
        "after": {name: _seconds(stage for stage in first if stage.run not in others[name]) for name in named},
        "peak_memory_gib": max((s.peak_memory_gib for s in every if s.peak_memory_gib is not None), default=None),
        "passes": merged(passes_of(kept), pass_),
    }


def passes_of(kept: Path) -> list[dict[str, Any]]:
    """Return the passes in the file of a recorded table; none if there is no such file or it has none."""
    provenance = stored_json(kept).get("provenance")
    found = provenance.get("costs", {}) if isinstance(provenance, dict) else {}
    return list(found.get("passes", ()))


def merged(passes: Iterable[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``passes`` with a new one in place of that with as many workers; an empty one is none."""
    others = [old for old in passes if not new or old["workers"] != new["workers"]]
    return sorted([*others, *([new] if new else [])], key=lambda found: int(found["workers"]))


def _stages(table: TableResult, *, only_first: bool = False) -> list[Stage]:
    """Return the stages of all runs behind a table, each once: its rows', their trainings' and its evaluators'."""
    runs = [run for row in table.rows for run in row.runs]
    least = min((run.seed for run in runs), default=0)
    found = [stage for run in runs if not only_first or run.seed == least for stage in run.stages]
    found += [stage for place in evaluators(TableFolder(table.folder)) for stage in stages(place)]
    return list(dict.fromkeys(found))


def _names(folder: TableFolder) -> set[str]:
    """Return the names of all runs behind a table."""
    rows = side_json(folder.table).get("rows", ())
    runs = [folder.path.parents[1] / Path(run["folder"]).name for row in rows for run in row["runs"]]
    return {place.name for run in runs for place in (*needs(run), run)} | {place.name for place in evaluators(folder)}


def _before(profile: Path, name: str) -> tuple[list[str], list[str]]:
    """Return the tables that stand before one in the index, and those after which its time there counts; if they are there."""
    there = {folder.name for folder in TableFolder.written(profile)}
    entries = read_index(profile)
    names = [entry.name for entry in entries]
    before = names[: names.index(name)] if name in names else []
    named = [found for entry in entries if entry.name == name for found in AFTER.findall(entry.mini)]
    return [n for n in before if n in there], [n for n in dict.fromkeys(named) if n in there]


def _seconds(found: Iterable[Stage]) -> float | None:
    """Return the processor time of stages; None if that of one is not known."""
    times = [stage.processor_seconds for stage in found]
    return None if None in times else sum(time for time in times if time is not None)


def page(tables: Sequence[TableResult]) -> str:
    """Return a table in Markdown of the costs of recorded tables; empty if none has any."""
    found = [(table, table.provenance["costs"]) for table in tables if table.provenance.get("costs")]
    if not found:
        return ""
    heads = ["table", "one training", "what it adds", "each further one", "largest process", "command"]
    lines = pipes(heads, head=True)
    for table, known in found:
        lines += pipes(
            [table.name.replace("_", r"\_"), *_runs(known), "; ".join(map(_pass, known["passes"])) or MISSING]
        )
    machines = dict.fromkeys(
        machine
        for t, known in found
        for machine in (_machine(t.provenance), *map(_machine, known["passes"]))
        if machine
    )
    return "\n".join([*lines, "", f"{READING} {escape_markdown('; '.join(machines))}."])


READING = (
    "Processor time of the runs behind a table, all cores together: with one training of each model, shared runs included; the "
    "same without the runs of the tables before it in the index, and after the table that the index counts from; and for each "
    "further training. Memory is that of the largest process. The command from its start to its report, without a break, with "
    "the processor time of all of its processes."
)


def _machine(known: dict[str, Any]) -> str:
    commit = f"{str(known.get('commit'))[:12]}{' with local changes' if known.get('dirty') else ''}"
    return f"{known['hardware']}, commit {commit}" if known.get("hardware") else ""


def _runs(known: dict[str, Any]) -> list[str]:
    whole, first, seeds = known["processor_seconds"], known["first_seed"], known["seeds"]
    further = None if None in (whole, first) or seeds < 2 else (whole - first) / (seeds - 1)
    after = [f"{_time(seconds)} after {name}" for name, seconds in known["after"].items()]
    added = ", ".join([_time(known["added"]), *after])
    memory = known["peak_memory_gib"]
    return [_time(first), added, _time(further), MISSING if memory is None else f"{memory:.2f} GiB"]


def _time(seconds: float | None) -> str:
    return MISSING if seconds is None else duration(seconds)


def _pass(found: dict[str, Any]) -> str:
    """Return how long a pass took, with what."""
    processes = {0: "a process for each core", 1: "1 process"}.get(found["workers"], f"{found['workers']} processes")
    words = [
        f"{duration(found['seconds'])} with {processes}",
        f"{found['seeds']} {'seed' if found['seeds'] == 1 else 'seeds'}",
        f"{duration(found['processor_seconds'])} of processor time",
        f"{found['peak_memory_gib']:.2f} GiB",
    ]
    return ", ".join([*words, *([f"after {', '.join(found['after'])}"] if found["after"] else [])])
