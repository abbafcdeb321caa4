"""A page with a slider over the steps of sampling: what each condition decides in the same pictures, for two rows side by side.

All pictures are one sheet inside the page: it needs no server and no other file. Without JavaScript it lists the rows.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from reports.galleries import ColorBar, Gallery
from reports.pictures import data_address, shrink, size_of
from reports.schema import Row, TableResult
from reports.templating import render, with_script

SHEET_BYTES = 380_000
"""Limit for the sheet; base64 adds a third, and the page stays below 600 KB."""
AT_A_STEP = re.compile(r"(?P<what>.+), t = (?P<t>\d+)")
"""Label of a strip of maps at one step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The pictures of a row and the maps behind them at some steps."""

    row: Row
    count: int
    samples: Path
    maps: dict[tuple[str, int], Path]
    """(Name of the map, timestep) -> its strip."""
    bar: ColorBar | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of the gallery."""
        return tuple(dict.fromkeys(name for name, _ in self.maps))

    @property
    def times(self) -> tuple[int, ...]:
        """Timesteps from noise to image."""
        return tuple(sorted({t for _, t in self.maps}, reverse=True))


def find_steps(table: TableResult) -> tuple[Steps, ...]:
    """Return the rows with maps at the same two or more steps as the first such row."""
    by_title = {row.title: row for row in table.rows}
    found = [steps for gallery in table.galleries if (steps := _steps(gallery, by_title))]
    return tuple(s for s in found if (s.times, s.names, s.count) == (found[0].times, found[0].names, found[0].count))


def _steps(gallery: Gallery, rows: dict[str, Row]) -> Steps | None:
    maps, samples, row = {}, None, None
    for strip in gallery.strips:
        if not size_of(strip.file):
            return None
        at = AT_A_STEP.fullmatch(strip.label)
        if at:
            maps[at["what"], int(at["t"])] = strip.file
        elif strip.row in rows:
            samples, row = strip.file, rows[strip.row]
    times = {t for _, t in maps}
    if row is None or samples is None or len(times) < 2 or len(maps) % len(times):
        return None
    return Steps(row=row, count=gallery.count, samples=samples, maps=maps, bar=gallery.bar)


def page(table: TableResult, steps: Sequence[Steps], *, back: str, navigation: Markup | str = "") -> str:
    """Return the page.

    Args:
        table: table of the rows.
        steps: its rows with maps.
        back: address of the table's page.
        navigation: top of the page.
    """
    return render(
        "steps.html", title=f"Over the steps: {table.title}", watermark=table.watermark, navigation=navigation,
        table=table, steps=steps, first=steps[0], back=back, sheet=data_address(sheet(steps)), **with_script("steps.js"),
    )  # fmt: skip


def sheet(steps: Sequence[Steps]) -> bytes:
    """Return one picture: for each row a line of samples, then a line for each map and step, a column for each image."""
    lines = []
    for shown in steps:
        files = [shown.samples, *(shown.maps[name, t] for name in shown.names for t in shown.times)]
        for file in files:
            with Image.open(file) as opened:
                lines.append(opened.convert("RGB"))
    size = max((line.size for line in lines), key=lambda wide: wide[0])
    pixels = np.concatenate([np.asarray(line.resize(size, Image.Resampling.NEAREST)) for line in lines])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return shrink(buffer.getvalue(), SHEET_BYTES)
