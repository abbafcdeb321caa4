"""Sliders over reliability and weight: settings are read from configs, the page needs nothing else, and keys move it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, chromium
from PIL import Image
from site_files import Page, broken, only_our_script
from swept import COUNT, POINTS, color, sweep

from reports.coefficients import find_grid
from reports.results import load_table
from reports.site import write_site
from reports.sliders import sheet

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PAGE = "table1-sliders.html"
BYTES = 600_000
ORDER = ["ours", "spade", "oasis", "spade-c", "inade-0"]
"""Runs by weight, then reliability."""


def grid_of(folder: Path):
    return find_grid(load_table(folder / "table.json"))


def test_settings_are_read_from_the_configs(make_table):
    """Neither another prompt nor unequal weights are in the grid; a is of the expert that gains it from row to row."""
    grid = grid_of(sweep(make_table))
    assert (grid.expert, grid.other) == ("text", "class")
    assert [(s.a, s.w) for s in grid.settings] == [POINTS[name] for name in ORDER]
    assert [s.row.runs[0].name for s in grid.settings] == ORDER
    assert grid.reliabilities == (0, 0.5, 1)
    assert grid.weights == (1, 5, 8)


def test_a_is_of_the_other_expert_if_its_reliability_rises(make_table):
    grid = grid_of(sweep(make_table, points={name: (1 - a, w) for name, (a, w) in POINTS.items()}))
    assert (grid.expert, grid.other) == ("class", "text")
    assert [(s.a, s.w) for s in grid.settings] == [POINTS[name] for name in ORDER]


def test_images_enlarged_by_a_second_model_have_the_same_grid(make_table):
    """Table 3 at released: GLIDE and ADM are united at 64 pixels, then the upsampler draws the image again."""
    folder = sweep(make_table)
    for file in folder.parents[1].glob("*/config.json"):
        config = json.loads(file.read_text())
        if config.get("method", {}).get("type") == "Unite":
            config["method"] = {
                "type": "Upsample",
                "method": config["method"],
                "upsampler": {"name": "glide_upsampler"},
            }
            file.write_text(json.dumps(config))
    grid = grid_of(folder)
    assert (grid.expert, grid.other) == ("text", "class")
    assert [(s.a, s.w) for s in grid.settings] == [POINTS[name] for name in ORDER]


def test_no_grid(make_table):
    folder = sweep(make_table, points={name: p for name, p in POINTS.items() if p[1] == 5})
    assert grid_of(folder) is None  # one weight
    write_site(folder.parents[1], (), with_notebooks=False)
    site = folder.parents[1] / "site"
    assert not (site / PAGE).exists()
    assert PAGE not in (site / "table1.html").read_text()


def test_a_row_without_its_pictures_is_left_out(make_table):
    folder = sweep(make_table)
    (folder / "strip-2.png").write_bytes(b"not a picture")
    assert grid_of(folder).reliabilities == (0, 0.5)
    assert len(grid_of(folder).settings) == 4


def test_the_sheet_has_a_line_for_each_setting(make_table):
    with Image.open(io.BytesIO(sheet(grid_of(sweep(make_table))))) as picture:
        assert picture.size == (COUNT * 16, 6 * 16)
        lines = [0, *(1 + list(POINTS).index(name) for name in ORDER)]  # the condition is above them
        for i, line in enumerate(lines):
            assert [picture.getpixel((16 * k + 8, 16 * i + 8)) for k in range(COUNT)] == [
                color(line, k) for k in range(COUNT)
            ]


def test_the_page_needs_nothing_else(make_table):
    folder = sweep(make_table)
    write_site(folder.parents[1], (), with_notebooks=False)
    site = folder.parents[1] / "site"
    assert broken(site) == []
    assert f'href="{PAGE}"' in (site / "table1.html").read_text()
    text = (site / PAGE).read_text()
    only_our_script(text, "sliders.js")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert [address.partition(",")[0] for address in page.addresses if address.startswith("data:")] == [
        "data:", "data:image/png;base64",
    ]  # fmt: skip
    assert "4 of the 9 pairs of a and w were not sampled" in page.words
    for name in ORDER:
        assert "a = {:g}, w = {:g}".format(*POINTS[name]) in page.words
    assert "58.00 [54.52, 61.48]" in page.words


def test_large_pictures_stay_within_the_limit(make_table):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128 * COUNT, 3), dtype=np.uint8)
    folder = sweep(make_table, side=128, pictures=noise)
    write_site(folder.parents[1], (), with_notebooks=False)
    assert (folder.parents[1] / "site" / PAGE).stat().st_size < BYTES


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_keys_move_the_sliders(make_table, tmp_path):
    """Pictures, scores and words follow; what was not sampled is said; on a phone nothing is cut off."""
    folder = sweep(make_table)
    write_site(folder.parents[1], (), with_notebooks=False)
    page = folder.parents[1] / "site" / PAGE
    with chromium(tmp_path / "chromium") as browser:
        for width in (1280, 390):
            browser.resize(width, 844)
            visit = browser.visit(page)
            assert not visit.errors
            assert visit.requests == [page.as_uri()]
            ready(browser)
            assert shown(browser, "left") == ["spade", "left: a = 0, w = 5", "60.00 [56.40, 63.60]", ""]
            assert shown(browser, "right")[:2] == ["spade-c", "right: a = 1, w = 5"]
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            browser.evaluate("document.getElementById('left-a').focus()")
            browser.press("ArrowRight", 39)
            assert shown(browser, "left") == ["oasis", "left: a = 0.5, w = 5", "58.00 [54.52, 61.48]", ""]
            browser.press("Tab", 9)
            browser.press("End", 35)
            assert shown(browser, "left")[:2] == ["inade-0", "left: a = 0.5, w = 8"]
            browser.press("Tab", 9)
            browser.press("Home", 36)
            assert shown(browser, "right")[:2] == ["spade", "right: a = 0, w = 5"]
            browser.press("Tab", 9)
            browser.press("ArrowRight", 39)  # the weight was moved last: it stays, the reliability is the nearest
            assert shown(browser, "right")[::3] == ["inade-0", "a = 0, w = 8 was not sampled. Shown: a = 0.5, w = 8."]
            browser.evaluate("document.getElementById('right-a').focus()")
            browser.press("ArrowRight", 39)
            browser.press("ArrowRight", 39)  # now the reliability was
            assert shown(browser, "right")[::3] == ["spade-c", "a = 1, w = 8 was not sampled. Shown: a = 1, w = 5."]
            text = "document.getElementById('right-w').getAttribute('aria-valuetext')"
            assert browser.evaluate(text) == "w = 8"
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.visit(page)
        assert browser.evaluate("document.getElementById('compare').offsetHeight") == 0
        assert browser.evaluate("document.getElementById('sheet').offsetHeight") > 0


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None or not AXE.is_file(), reason="needs Chromium and axe-core")
def test_everyone_can_use_the_sliders(make_table, tmp_path):
    folder = sweep(make_table)
    write_site(folder.parents[1], (), with_notebooks=False)
    run = "axe.run(document).then(found => JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.html)])))"
    with chromium(tmp_path / "chromium") as browser:
        for width, dark in ((1280, False), (390, False), (390, True)):
            browser.resize(width, 844, dark=dark)
            browser.visit(folder.parents[1] / "site" / PAGE)
            ready(browser)
            browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            browser.evaluate(AXE.read_text())
            assert browser.answer(run) == "[]"


def ready(browser) -> None:
    """Wait until the sheet is decoded and the first settings are shown."""
    browser.answer("document.getElementById('sheet').decode().then(() => new Promise(done => setTimeout(done)))")


def shown(browser, side: str) -> list[str]:
    """Run whose third picture is shown on a side, head of its scores, its first score, and what was not sampled."""
    picture = f"document.querySelectorAll('canvas[data-side={side}]')[2]"
    data = f"[...{picture}.getContext('2d').getImageData(8, 8, 1, 1).data].slice(0, 3)"
    pixel = tuple(browser.evaluate(data))
    (run,) = [name for i, name in enumerate(POINTS) if color(i + 1, 2) == pixel]
    column = 1 if side == "left" else 2
    words = [
        browser.evaluate(f"document.querySelectorAll('#scores tr')[{i}].cells[{column}].textContent.trim()")
        for i in (0, 1)
    ]
    return [run, *words, browser.evaluate(f"document.querySelector('fieldset[data-side={side}] p').textContent")]
