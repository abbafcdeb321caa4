"""A slider over the steps of sampling: maps are found by their labels, the page needs nothing else, and keys move it."""

import io

import numpy as np
import pytest
from browser import CHROMIUM, chromium
from PIL import Image
from site_files import Page, broken, only_our_script

from reports.influence_steps import find_steps, sheet
from reports.results import load_table
from reports.site import write_site

PAGE = "table1-steps.html"
ROWS, MAPS, TIMES, COUNT = ("spade", "ours"), ("influence of the mask", "influence of the text"), (990, 500, 0), 3
LINES = [None, *((name, t) for name in MAPS for t in TIMES)]
"""What a line of a row's pictures shows: None is the samples."""


def color(row: int, line: int, column: int) -> tuple[int, int, int]:
    return 100 * row + 10, 30 * line + 5, 60 * column + 20


def collaborating(make_table, *, times=TIMES):
    """Write a table of two rows with maps at some steps; return its folder."""

    def change(stored):
        stored["rows"] = [
            {"group": "", "label": f"row {i}", "published": None, "why": None, "ceiling": False,
             "runs": [{"seed": 0, "folder": f"../../{name}", "name": name}]}
            for i, name in enumerate(ROWS)
        ]  # fmt: skip
        stored["claims"] = []
        stored["galleries"] = [gallery(i) for i in range(len(ROWS))]

    def gallery(i):
        words = [f"row {i}", *(f"{name}, t = {t}" for name in MAPS for t in times)]
        strips = [{"label": w, "row": f"row {i}", "file": f"strip-{i}-{line}.png"} for line, w in enumerate(words)]
        bar = {"low": "0: none", "high": "1: all", "colors": ["#000000", "#ffffff"]}
        names = {
            "title": f"Influence: row {i}",
            "caption": "",
            "file": "gallery-main.png",
            "count": COUNT,
            "captions": [],
        }
        return {**names, "bar": bar, "strips": strips}

    folder = make_table("mini", change)
    for i in range(len(ROWS)):
        for line in range(1 + len(MAPS) * len(times)):
            cells = [np.full((16, 16, 3), color(i, line, k), np.uint8) for k in range(COUNT)]
            Image.fromarray(np.concatenate(cells, axis=1)).save(folder / f"strip-{i}-{line}.png")
    return folder


def test_rows_and_maps_are_found_by_their_labels(make_table):
    first, second = find_steps(load_table(collaborating(make_table) / "table.json"))
    assert (first.row.label, second.row.label) == ("row 0", "row 1")
    assert (first.names, first.times, first.count) == (MAPS, TIMES, COUNT)
    assert len(first.maps) == len(MAPS) * len(TIMES)


def test_one_step_is_no_slider(make_table):
    folder = collaborating(make_table, times=(0,))
    assert find_steps(load_table(folder / "table.json")) == ()
    write_site(folder.parents[1], (), with_notebooks=False)
    assert not (folder.parents[1] / "site" / PAGE).exists()
    assert PAGE not in (folder.parents[1] / "site" / "table1.html").read_text()


def test_a_row_without_a_picture_is_left_out(make_table):
    folder = collaborating(make_table)
    (folder / "strip-1-2.png").write_bytes(b"not a picture")
    assert [steps.row.label for steps in find_steps(load_table(folder / "table.json"))] == ["row 0"]


def test_the_sheet_has_a_line_for_each_map_of_each_row(make_table):
    with Image.open(io.BytesIO(sheet(find_steps(load_table(collaborating(make_table) / "table.json"))))) as picture:
        assert picture.size == (COUNT * 16, 2 * len(LINES) * 16)
        for row in range(2):
            for line in range(len(LINES)):
                y = 16 * (row * len(LINES) + line) + 8
                assert [picture.getpixel((16 * k + 8, y)) for k in range(COUNT)] == [
                    color(row, line, k) for k in range(COUNT)
                ]


def test_the_page_needs_nothing_else(make_table):
    folder = collaborating(make_table)
    write_site(folder.parents[1], (), with_notebooks=False)
    site = folder.parents[1] / "site"
    assert broken(site) == []
    assert f'href="{PAGE}"' in (site / "table1.html").read_text()
    text = (site / PAGE).read_text()
    only_our_script(text, "steps.js")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert all(
        address.startswith("data:")
        for address in page.addresses
        if address.partition(":")[0] in ("http", "https", "data")
    )
    assert "0: none" in page.words


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_keys_move_the_slider_and_the_row(make_table, tmp_path):
    """Maps follow the step, pictures and scores the row; on a phone nothing is cut off."""
    folder = collaborating(make_table)
    write_site(folder.parents[1], (), with_notebooks=False)
    page = folder.parents[1] / "site" / PAGE
    with chromium(tmp_path / "chromium") as browser:
        for width in (1280, 390):
            browser.resize(width, 844)
            visit = browser.visit(page)
            assert not visit.errors
            assert visit.requests == [page.as_uri()]
            browser.answer(
                "document.getElementById('sheet').decode().then(() => new Promise(done => setTimeout(done)))"
            )
            assert shown(browser, "left") == [("row 0", None), ("row 0", (MAPS[0], 990)), ("row 0", (MAPS[1], 990))]
            assert shown(browser, "right")[1] == ("row 1", (MAPS[0], 990))
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            browser.evaluate("document.getElementById('left-t').focus()")
            browser.press("ArrowRight", 39)
            assert shown(browser, "left")[1:] == [("row 0", (MAPS[0], 500)), ("row 0", (MAPS[1], 500))]
            browser.press("End", 35)
            assert shown(browser, "left")[2] == ("row 0", (MAPS[1], 0))
            assert browser.evaluate("document.getElementById('left-t').getAttribute('aria-valuetext')") == "t = 0"
            browser.press("Tab", 9)
            browser.press("ArrowUp", 38)
            assert shown(browser, "right")[0] == ("row 0", None)
            assert browser.evaluate("document.querySelector('#scores tr').cells[2].textContent") == "right: row 0"


def shown(browser, side: str) -> list[tuple[str, object]]:
    """Row and content of the pictures of the second test image on a side."""
    found = []
    for line in range(1 + len(MAPS)):
        canvas = (
            f"document.querySelectorAll('.pairs li')[1].querySelector('canvas[data-side={side}][data-line=\"{line}\"]')"
        )
        pixel = tuple(browser.evaluate(f"[...{canvas}.getContext('2d').getImageData(8, 8, 1, 1).data].slice(0, 3)"))
        ((row, place),) = [(r, i) for r in range(2) for i in range(len(LINES)) if color(r, i, 1) == pixel]
        found.append((f"row {row}", LINES[place]))
    return found
