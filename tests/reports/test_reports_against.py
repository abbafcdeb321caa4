"""The numbers against the paper's: only at the published setting, with what could explain a difference."""

import pytest

from reports import against, pages
from reports.markdown import markdown
from reports.results import load_table


def explained(stored) -> None:
    """The first column is the paper's own protocol, with two explanations."""
    first = stored["metrics"][0]
    first |= {"comparable": True, "explanations": ["the resizer is not named", "the split is not stated"]}


@pytest.mark.parametrize("profile", ["paper", "released"])
def test_published_measured_difference_interval_verdict_and_explanations(make_table, profile: str) -> None:
    table = load_table(make_table(profile, explained) / "table.json")
    found = against.comparisons(table)
    assert found
    pairs = [(row, cell) for row in table.rows for cell in row.cells if None not in (cell.value, cell.published)]
    assert len(found) == len(pairs)
    for one, (row, cell) in zip(found, pairs, strict=True):
        assert (one.row, one.column, one.published) == (row.title, cell.column, cell.printed)
        assert float(one.difference) == pytest.approx(cell.value - cell.published, abs=0.006)
        assert one.verdict.startswith(cell.verdict)
    (first, reasons), *_ = against.explanations(table)
    assert first == table.metrics[0]
    assert reasons == ("the resizer is not named", "the split is not stated")
    text = markdown(table)
    assert "## Against the paper" in text
    assert "the resizer is not named; the split is not stated" in text
    page = pages.standalone(table)
    assert page.index('id="against"') < page.index('id="table"')  # on the first screen
    assert found[0].difference in page
    assert "the resizer is not named; the split is not stated" in page


def test_below_the_published_setting_nothing_is_compared(make_table) -> None:
    table = load_table(make_table("mini", explained) / "table.json")
    assert against.comparisons(table) == []
    assert list(against.explanations(table)) == []
    assert "Against the paper" not in markdown(table)
    assert "Against the paper" not in pages.standalone(table)
