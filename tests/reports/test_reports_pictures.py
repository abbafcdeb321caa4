"""Which pictures stand first, how captions stand below them, and how counted numbers and tiny differences are written."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from browser import CHROMIUM, chromium

from reports import evidence, format, pages, pictures
from reports.results import load_table


def strips(*pairs: tuple[str, str]) -> tuple[pictures.ShownStrip, ...]:
    return tuple(pictures.ShownStrip(label=a, row=b, source="data:,", width=8, height=2) for a, b in pairs)


def gallery(*pairs: tuple[str, str], captions: tuple[str, ...] = ()) -> pictures.ShownGallery:
    return pictures.ShownGallery(
        title="Samples", caption="", file=None, source="", strips=strips(*pairs), count=2, captions=captions, legend=(), bar=None
    )  # fmt: skip


def test_the_first_pictures_are_those_of_one_row_below_its_own_conditions() -> None:
    given, large = (("real", ""), ("mask", "")), ("real, large", "")
    shown = gallery(*given, ("SPADE", "SPADE"), large, ("Ours", "Ours"), ("Ours, parsed", "Ours"))
    claims = tuple(SimpleNamespace(better=name) for name in ("Ours", "SPADE", "Ours"))
    first = pictures.first_strip(SimpleNamespace(claims=claims), [shown])
    assert first is not None
    assert [s.label for s in first.strips] == ["real, large", "Ours", "Ours, parsed"]
    first = pictures.first_strip(SimpleNamespace(claims=claims[1:2]), [shown])
    assert first is not None
    assert [s.label for s in first.strips] == ["real", "mask", "SPADE"]


def test_counts_are_whole_numbers(make_table) -> None:
    table = load_table(make_table() / "table.json")
    assert format.decimals(table, 1) == 3
    counted = [replace(row, cells=tuple(replace(c, value=4.0, interval=None) for c in row.cells)) for row in table.rows]
    assert format.decimals(replace(table, rows=tuple(counted)), 1) == 0


def test_an_undecided_difference_of_nothing_is_about_zero(make_table) -> None:
    claim = replace(load_table(make_table() / "table.json").claims[0], decision="undecided", difference=-5.4e-6)
    assert evidence.plain_difference(claim) == "≈0"
    assert evidence.plain_difference(replace(claim, decision="holds")) == "−5.4e−06"
    assert evidence.plain_difference(replace(claim, difference=-0.25)) == "−0.25"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_long_captions_are_a_list_where_columns_are_narrow(make_table, tmp_path) -> None:
    """Each caption is visible once: under its column on a wide page, in a list on a phone; short ones stay under theirs."""
    table, texts = (
        load_table(make_table() / "table.json"),
        ("This is a young woman with tan skin.", "This is an old man."),
    )
    seen = "e => e.offsetParent && getComputedStyle(e).fontSize != '0px'"
    count = f"[...document.querySelectorAll('.strips {{}}')].filter({seen}).length"
    with chromium(tmp_path / "chromium") as browser:
        for captions, width, below, listed in ((texts, 1280, 2, 0), (texts, 390, 0, 2), (("cat", "dog"), 390, 2, 0)):
            page = tmp_path / "page.html"
            page.write_text(pages.page(table, [gallery(("real", ""), captions=captions)]))
            browser.resize(width, 900)
            browser.visit(page)
            browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.evaluate(count.format(".numbers span")) == below
            assert browser.evaluate(count.format("li")) == listed


def test_pictures_make_room_for_a_long_page(make_table, monkeypatch) -> None:
    """With a smaller limit for the page, its picture of noise is coarser; the rest stays."""
    table = load_table(make_table() / "table.json")
    whole = pages.standalone(table)
    limit = len(whole.encode()) - 60_000
    monkeypatch.setattr(pages, "MOST_BYTES", limit)
    small = pages.standalone(table)
    assert len(small.encode()) <= limit
    texts = [re.sub(r"data:image/[^\"]+", "", text) for text in (whole, small)]
    assert texts[0] == texts[1]
