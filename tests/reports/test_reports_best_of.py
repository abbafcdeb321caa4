"""A row that is the best of others: the best value of each column, whose it is, and nothing before all are measured."""

import json

import pytest

from reports.best_of import filled
from reports.claims import decide
from reports.results import load_table
from reports.write import write_all

OTHERS = ("OASIS", "INADE", "Ours")
"""Their FID is 58, 51 and 40, their mIoU .60, .71 and .81."""


def with_best(make_table, of, *, better="higher"):
    """Write the table with a last row that is the best of some; return its folder."""

    def change(stored):
        stored["metrics"][1]["better"] = better
        row = {
            "group": "",
            "label": "BEST",
            "published": {"FID": 5.5},
            "why": None,
            "best_of": list(of),
            "ceiling": False,
        }
        stored["rows"].append({**row, "runs": []})

    return make_table("mini", change)


@pytest.mark.parametrize(
    ("better", "value", "owner"), [("higher", 0.81, "Ours"), ("lower", 0.60, "OASIS"), ("neither", None, "")]
)
def test_each_column_has_the_best_value_of_the_named_rows(make_table, better, value, owner):
    best = load_table(with_best(make_table, OTHERS, better=better) / "table.json").rows[-1]
    assert best.state == "measured"
    assert [cell.value for cell in best.cells] == [40, value]
    assert [cell.interval for cell in best.cells] == [None, None]
    assert best.cells[0].published == 5.5
    assert "the best of OASIS, INADE, Ours in each column, chosen on the same images" in best.reason
    assert "FID: Ours" in best.reason
    assert ("mIoU" in best.reason, f"mIoU: {owner}" in best.reason) == (bool(owner), bool(owner))


def test_it_waits_for_all_of_them(make_table):
    best = load_table(with_best(make_table, ("Ours", "Started")) / "table.json").rows[-1]
    assert (best.state, [cell.value for cell in best.cells]) == ("pending", [None, None])
    assert best.reason.endswith("waits for Started")


def test_every_form_of_the_report_says_how_it_was_chosen(make_table):
    texts = [path for path in write_all(with_best(make_table, OTHERS)) if path.suffix in (".html", ".md", ".tex")]
    assert len(texts) >= 3
    for path in texts:
        assert "chosen on the same images" in " ".join(path.read_text().split()), path


def test_no_claim_is_decided_by_a_row_that_chose_on_its_images(make_table):
    table = load_table(with_best(make_table, OTHERS) / "table.json")
    claim = {"id": "x", "text": "x", "metric": "FID", "better": "BEST", "worse": "OASIS", "source": "", "note": None}
    assert decide(claim, table.metrics, table.rows, meaningless=False).decision == "open"


def test_other_rows_stay_as_they_are(make_table):
    folder = with_best(make_table, ())
    table = load_table(folder / "table.json")
    stored = json.loads((folder / "table.json").read_text())["rows"]
    assert filled(table.rows, stored, table.metrics) == table.rows
    with pytest.raises(KeyError):
        filled(table.rows, [{**row, "best_of": ["nobody"]} for row in stored], table.metrics)
