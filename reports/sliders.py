"""A page with sliders over reliability and weight: pictures of the same noise at two settings side by side, with scores.

All pictures are one sheet inside the page: it needs no server and no other file. Without JavaScript it lists the settings.
"""

import io
from statistics import mode

import numpy as np
from markupsafe import Markup
from PIL import Image

from reports.coefficients import Grid
from reports.pictures import data_address, shrink
from reports.schema import TableResult
from reports.templating import render, with_script

SHEET_BYTES = 380_000
"""Limit for the sheet; base64 adds a third, and the page stays below 600 KB."""


def page(table: TableResult, grid: Grid, *, back: str, navigation: Markup | str = "") -> str:
    """Return the page.

    Args:
        table: table of the grid.
        grid: its settings.
        back: address of the table's page.
        navigation: top of the page.
    """
    positions = len(grid.reliabilities) * len(grid.weights)
    return render(
        "sliders.html", title=f"Sliders: {table.title}", watermark=table.watermark, navigation=navigation,
        table=table, grid=grid, back=back, conditions=[words for words, _ in grid.conditions],
        sheet=data_address(sheet(grid)), missing=positions - len(grid.settings), positions=positions,
        usual=mode(setting.w for setting in grid.settings), **with_script("sliders.js"),
    )  # fmt: skip


def sheet(grid: Grid) -> bytes:
    """Return one picture: a line for each condition, then one for each setting; a column for each test image."""
    files = [*(file for _, file in grid.conditions), *(setting.strip for setting in grid.settings)]
    lines = []
    for file in files:
        with Image.open(file) as opened:
            lines.append(opened.convert("RGB"))
    size = lines[-1].size
    pixels = np.concatenate([np.asarray(line.resize(size, Image.Resampling.NEAREST)) for line in lines])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return shrink(buffer.getvalue(), SHEET_BYTES)
