"""Rows that differ in reliability and weight only: two experts united by Eq. 10 of Unite and Conquer, from the same noise."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.galleries import Gallery
from reports.pictures import size_of
from reports.schema import Row, TableResult

NAMES = {"label": "class"}
"""Condition -> its word for readers, where that is not its name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """A measured row of the grid."""

    row: Row
    a: float
    """Reliability of the grid's expert; the other one has the rest."""
    w: float
    """Weight of both experts."""
    strip: Path
    """Its pictures side by side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """The settings of a table, by weight and reliability; not every pair of the two needs to be there."""

    expert: str
    """Conditions of the expert whose reliability is a."""
    other: str
    settings: tuple[Setting, ...]
    gallery: Gallery
    """Gallery of the first setting: number of pictures, captions, pictures of the conditions."""

    @property
    def reliabilities(self) -> tuple[float, ...]:
        """All reliabilities, from low to high."""
        return tuple(sorted({s.a for s in self.settings}))

    @property
    def weights(self) -> tuple[float, ...]:
        """All weights, from low to high."""
        return tuple(sorted({s.w for s in self.settings}))

    @property
    def conditions(self) -> Iterator[tuple[str, Path]]:
        """Words and pictures of what the samples were made for."""
        for strip in self.gallery.strips:
            if not strip.row and strip.label.startswith("condition") and size_of(strip.file):
                yield strip.label.partition(": ")[2], strip.file


@dataclass(frozen=True, kw_only=True, eq=False)
class _United:
    row: Row
    reliabilities: tuple[float, float]
    weight: float
    experts: tuple[str, str]
    rest: str
    """Everything else in its config: equal for the rows of one grid."""


def find_grid(table: TableResult) -> Grid | None:
    """Return the largest grid of a table whose rows have pictures; None without two reliabilities and two weights."""
    shown = {s.row: (g, s.file) for g in table.galleries for s in g.strips if s.row == s.label and size_of(s.file)}
    alike: dict[str, list[_United]] = {}
    for row in table.rows:
        united = _united(row) if row.title in shown else None
        if united:
            alike.setdefault(united.rest, []).append(united)
    found = max(alike.values(), key=len, default=[])
    if not found:
        return None
    main = _rising(found)
    settings: dict[tuple[float, float], Setting] = {}
    for u in found:
        place = (u.weight, u.reliabilities[main])
        strip = shown[u.row.title][1]
        settings.setdefault(place, Setting(row=u.row, a=place[1], w=place[0], strip=strip))
    grid = Grid(
        expert=found[0].experts[main], other=found[0].experts[1 - main],
        settings=tuple(settings[place] for place in sorted(settings)), gallery=shown[found[0].row.title][0],
    )  # fmt: skip
    return grid if min(len(grid.reliabilities), len(grid.weights)) > 1 else None


def _rising(rows: Sequence[_United]) -> int:
    """Return the number of the expert whose reliability rises from row to row, as the table lists them: its is a."""
    first = rows[0].reliabilities[0]
    other = next((u.reliabilities[0] for u in rows if u.reliabilities[0] != first), first)
    return 0 if other >= first else 1


def _united(row: Row) -> _United | None:
    """Return the coefficients in the config of a row's first run; None unless two experts of one weight are united."""
    config: Mapping[str, Any] = row.runs[0].config if row.runs else {}
    method = config.get("method")
    while isinstance(method, dict) and method.get("type") == "Upsample":
        method = method["method"]
    if not isinstance(method, dict) or method.get("type") != "Unite" or len(method["experts"]) != 2:
        return None
    experts = method["experts"]
    weights = [float(e.get("weight", 1)) for e in experts]
    reliabilities = [0.5 if e.get("reliability") is None else float(e["reliability"]) for e in experts]
    if weights[0] != weights[1] or not math.isclose(sum(reliabilities), 1):
        return None
    same = [{**e, "weight": None, "reliability": None} for e in experts]
    rest = {**config, "name": None, "fingerprints": None, "num_images": None, "method": _with(config["method"], same)}
    return _United(
        row=row, reliabilities=(reliabilities[0], reliabilities[1]), weight=weights[0],
        experts=(_named(experts[0]), _named(experts[1])),
        rest=json.dumps(_given(rest), sort_keys=True),
    )  # fmt: skip


def _with(method: Mapping[str, Any], experts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a method with other experts, those of its first stage if it has two."""
    if method["type"] == "Upsample":
        return {**method, "method": _with(method["method"], experts)}
    return {**method, "experts": experts}


def _given(value: Any) -> Any:
    """Return settings without those that are null: configs of earlier code lack settings that have come since."""
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value


def _named(expert: Mapping[str, Any]) -> str:
    """Return an expert's conditions in words; "text@full_caption" is the text."""
    names = [str(name).partition("@")[0] for name in expert["conditions"]]
    return " and ".join(NAMES.get(name, name.replace("_", " ")) for name in names)
