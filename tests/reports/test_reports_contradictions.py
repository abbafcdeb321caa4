"""Decisions of a recording against other runs: the other way, on the other side, the same, or not there."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from reports import contradictions, recorded
from reports.results import load_table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(make_table):
    return load_table(make_table() / "table.json")


def changed(table, **fields):
    """The table with the decided claim UC4 (-11.0, it holds) changed."""
    claims = (dataclasses.replace(c, **fields) if c.id == "UC4" else c for c in table.claims)
    return dataclasses.replace(table, claims=tuple(claims))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "same side"),
        ({"decision": "undecided", "interval": (-12.0, 3.0)}, "same side"),
        ({"decision": "undecided", "difference": 2.0, "interval": (-1.0, 5.0)}, "other side"),
        ({"decision": "undecided", "difference": 2.0, "interval": (1.0, 3.0)}, "contradicted"),  # one training
        ({"decision": "fails", "difference": 2.0, "interval": (1.0, 3.0)}, "contradicted"),
        ({"decision": "undecided", "difference": 2.0, "interval": None}, "other side"),
        ({"decision": "open", "difference": None, "interval": None}, "no numbers"),
        ({"id": "UC4 of other words"}, "no numbers"),
    ],
)
def test_what_other_runs_say_of_a_decision(table, fields, expected):
    (before,) = (c for c in table.claims if c.id == "UC4")
    assert (before.decision, before.difference) == ("holds", -11.0)
    others = [pair for pair in contradictions.findings(table, table) if not pair[1].startswith("UC4 ")]
    assert {finding for finding, _ in others} == {"same side"}
    (found,) = [pair for pair in contradictions.findings(changed(table, **fields), table) if pair not in others]
    assert found[0] == expected
    assert found[1].startswith("UC4 holds, FD-EffNetLite0: Ours, 3 seeds (Others) − INADE (Combined training) = -11 [")
    assert contradictions.count(changed(table, **fields), table) == (expected == "contradicted")


def test_undecided_claims_of_the_recording_ask_for_nothing(table):
    undecided = dataclasses.replace(
        table, claims=tuple(dataclasses.replace(c, decision="undecided") for c in table.claims)
    )
    assert list(contradictions.findings(table, undecided)) == []


def test_the_command(make_table, tmp_path):
    folder, kept = make_table(), tmp_path / "docs" / "results" / "table1.json"
    kept.parent.mkdir(parents=True)
    table = load_table(folder / "table.json")
    command = [
        sys.executable,
        "-m",
        "reports",
        "contradictions",
        str(folder.parents[1]),
        "--docs",
        str(tmp_path / "docs"),
    ]

    def done():
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (none := done()).returncode == 1
    assert "has none of the tables in" in none.stderr
    recorded.write(table, kept)
    assert (same := done()).returncode == 0, same.stderr
    assert "table1: 2 decisions of the recording\n  2 with one on the same side\n" in same.stdout
    recorded.write(changed(table, decision="fails", difference=11.0, interval=(9.0, 13.0)), kept)
    assert (other := done()).returncode == 1
    assert "\ncontradicted: UC4 fails, FD-EffNetLite0" in other.stdout
