"""The verdict in a sentence, claims by metric, and what their codes mean."""

from dataclasses import replace
from pathlib import Path

import pytest

from reports import codes, matrix, recorded, summary
from reports.results import load_table

ROOT = Path(__file__).resolve().parents[2]
RECORDED = {path.stem: recorded.read(path) for path in sorted((ROOT / "docs" / "results").glob("*.json"))}


def sentence(table):
    return "".join(words.text for words in summary.verdict(table))


def decided(*decisions):
    """Claims on one metric each, with these decisions, of a table that was recorded."""
    claim = RECORDED["table1"].claims[0]
    return tuple(
        replace(claim, text=str(i), source=source, protocol=metric, decision=decision, obstacle="")
        for i, (source, metric, decision) in enumerate(decisions)
    )


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ((("Sec. 1", "mIoU", "holds"),), "The paper's claims hold on mIoU (1 comparison). "),
        (
            (
                ("Sec. 1", "A", "holds"),
                ("Sec. 1", "A", "holds"),
                ("Sec. 1", "B", "fails"),
                ("Sec. 1", "B", "undecided"),
            ),
            "The paper's claims hold on A (all 2 comparisons) and are mixed on B (1 fails, 1 is undecided). ",
        ),
        (
            (("Sec. 1", "A", "fails"), ("Sec. 1", "A", "open"), ("", "A", "holds")),
            "The paper's claims fail on A (1 comparison); 1 more wait for rows that are not measured. "
            "Of our own comparisons, 1 holds.",
        ),
        (
            (("", "A", "holds"), ("", "B", "fails")),
            "Of the comparisons that we ask for (no paper does), 1 holds, 1 fails.",
        ),
        ((("Sec. 1", "A", "open"),), "None of the paper's claims can be looked at yet: their rows are not measured. "),
    ],
)
def test_the_sentence_says_what_holds_and_what_fails(decisions, expected):
    assert sentence(replace(RECORDED["table1"], claims=decided(*decisions))) == expected


def test_one_training_decides_nothing_but_points_somewhere(make_table):
    table = load_table(make_table() / "table.json")
    once = [claim for claim in table.claims if len(claim.seeds) < 3 and claim.source]
    words = sentence(replace(table, claims=tuple(once)))
    assert words.startswith("The paper's claims are undecided: one training of each row cannot decide them. In 1 of 2 ")
    assert sentence(load_table(make_table_of_smoke(make_table) / "table.json")).startswith("A smoke run: ")


def make_table_of_smoke(make_table):
    return make_table("smoke")


@pytest.mark.parametrize("name", RECORDED)
def test_the_paper_stands_above_our_questions_and_every_code_is_explained(name):
    table = RECORDED[name]
    parts = matrix.parts(table.claims)
    published = [part.published for part in parts]
    assert published == sorted(published, reverse=True)
    columns = [column for column, _ in matrix.columns(table)]
    shown = [line.on[column] for part in parts for line in part.lines for column in columns if column in line.on]
    assert sorted(map(id, shown)) == sorted(map(id, table.claims))
    assert all(codes.meaning(claim.id) for claim in table.claims)


def test_a_claim_counts_once_however_many_metrics_decide_it():
    claims = decided(("Sec. 1", "A", "holds"), ("Sec. 1", "B", "undecided"), ("Sec. 1", "C", "holds"))
    same = [replace(claim, text="one") for claim in claims]
    assert {whose: dict(found) for whose, found in summary.tally(same).items()} == {"Published claims": {"holds": 1}}
    mixed = [*same, replace(same[0], decision="fails")]
    assert dict(summary.tally(mixed)["Published claims"]) == {"mixed": 1}
