"""The benchmark of known worlds: its page holds what it measures, and its files are written."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from experiments import combining_worlds
from experiments.combining_worlds import WAYS, Way, divergence
from lightning_mmdiff import schedules
from lightning_mmdiff.methods.combining import world_sampling as ways
from lightning_mmdiff.methods.combining.worlds import dependent_world

PAGE = Path(__file__).parents[2] / "docs" / "combining.md"


def rows() -> dict[str, list[str]]:
    """Cells of the page's table of known worlds, by way."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and " / " in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: values for name, *values in cells}


def test_the_page_has_every_way() -> None:
    assert {way.name for way in WAYS} <= rows().keys()


@pytest.mark.parametrize("way", [way for way in WAYS if way.draws is not None], ids=lambda way: way.name)
def test_the_page_holds_the_exact_divergences(way: Way) -> None:
    for calls, cell in list(zip(combining_worlds.CALLS, rows()[way.name], strict=True))[:2]:
        if cell:
            steps = ways.chain(schedules.linear(), calls // way.calls)
            assert float(cell.split(" / ")[0]) == pytest.approx(divergence(way, dependent_world(), steps), abs=6e-5)


def test_files(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(combining_worlds, "CALLS", (20, 32))
    monkeypatch.setattr(combining_worlds, "GAUSSIAN_IMAGES", 50)
    monkeypatch.setattr(combining_worlds, "MIXTURE_IMAGES", 50)
    combining_worlds.main(tmp_path)
    found = pd.read_csv(tmp_path / "combining-worlds.csv")
    assert set(found.name) == {way.name for way in WAYS if 32 // way.calls >= 4}
    assert (found.steps * found.name.map({way.name: way.calls for way in WAYS}) <= found.calls).all()
    table = (tmp_path / "combining-worlds.md").read_text()
    assert table in capsys.readouterr().out
    assert table.count("\n") == 2 + found.name.nunique()
    assert Image.open(tmp_path / "combining-worlds.png").width > 1000
