"""Cost of results: hours, memory and energy, with each stage of each run counted once."""

from collections.abc import Iterable
from dataclasses import dataclass

from reports import format
from reports.schema import Stage, TableResult

ENERGY_UNKNOWN = "not measured"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Total cost of several stages."""

    stages: int
    gpu_hours: float
    """Wall-clock hours times GPUs."""
    cpu_hours: float
    """Wall-clock hours of stages without a GPU."""
    untimed: int
    """Number of stages without a time."""
    peak_memory_gib: float | None
    energy_wh: float | None
    """Watt hours; None unless every stage on a GPU recorded them."""


def add_up(stages: Iterable[Stage]) -> Cost:
    """Return the total cost of ``stages``; equal stages, which several rows share, count once."""
    unique = list(dict.fromkeys(stages))
    timed = [(stage, stage.seconds / 3600) for stage in unique if stage.seconds is not None]
    on_gpus = [stage for stage in unique if stage.gpus]
    energies = [stage.energy_wh for stage in on_gpus if stage.energy_wh is not None]
    memories = [stage.peak_memory_gib for stage in unique if stage.peak_memory_gib is not None]
    return Cost(
        stages=len(unique),
        gpu_hours=sum(hours * stage.gpus for stage, hours in timed),
        cpu_hours=sum(hours for stage, hours in timed if not stage.gpus),
        untimed=len(unique) - len(timed),
        peak_memory_gib=max(memories, default=None),
        energy_wh=sum(energies) if on_gpus and len(energies) == len(on_gpus) else None,
    )


def hours(cost: Cost) -> str:
    """Format hours as ``3.2 GPU h + 12 CPU min``, or as a dash if nothing was timed."""
    parts = [(cost.gpu_hours, "GPU"), (cost.cpu_hours, "CPU")]
    return " + ".join(_hours(value, unit) for value, unit in parts if value) or format.MISSING


def _hours(value: float, unit: str) -> str:
    if value >= 100:
        return f"{value:,.0f} {unit} h"
    if value >= 1:
        return f"{value:.3g} {unit} h"
    return f"{60 * value:.0f} {unit} min" if value >= 1 / 60 else f"{max(1, round(3600 * value))} {unit} s"


def energy(cost: Cost) -> str:
    """Format energy in watt or kilowatt hours, or say that it was not measured."""
    if cost.energy_wh is None:
        return ENERGY_UNKNOWN
    return f"{cost.energy_wh / 1000:.3g} kWh" if cost.energy_wh >= 1000 else f"{cost.energy_wh:.3g} Wh"


def memory(cost: Cost) -> str:
    """Format the peak memory of the largest process."""
    return format.MISSING if cost.peak_memory_gib is None else f"{cost.peak_memory_gib:.2f} GiB"


def of_table(table: TableResult) -> list[Stage]:
    """Return every stage behind a table once; a training that several rows share counts once."""
    return list(dict.fromkeys(stage for r in table.rows for run in r.runs for stage in run.stages))


@dataclass(frozen=True, kw_only=True)
class Line:
    """Cost of one kind of stage on one kind of machine."""

    stage: str
    machine: str
    cost: Cost


def breakdown(stages: list[Stage]) -> list[Line]:
    """Return a line for each kind of stage on each machine, and their sum."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for stage in stages:
        groups.setdefault((stage.name, stage.hardware or "unknown machine"), []).append(stage)
    lines = [Line(stage=name, machine=machine, cost=add_up(part)) for (name, machine), part in groups.items()]
    return [*lines, Line(stage="all", machine="", cost=add_up(stages))]
