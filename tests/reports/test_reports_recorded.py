"""docs/results.md: it is what the recorded tables and the texts beside them give, and no text quotes a lost number."""

import dataclasses
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lightning_mmdiff.errors import UserError
from reports import claims, quotes, recorded, results_page
from reports.claims import Difference
from reports.markdown import markdown
from reports.results import load_table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "results"
TABLES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_page_is_the_generated_one():
    """``python -m reports results`` writes it; texts that quote lost numbers would be an error here."""
    assert (ROOT / "docs" / "results.md").read_text() == results_page.generate(FOLDER)


def test_every_table_has_its_section_and_every_section_its_table():
    named = results_page.SECTION.findall((FOLDER / "page.md").read_text())
    assert len(named) == len(set(named))
    assert sorted(named) == TABLES == sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "page")


@cache
def sections() -> dict[str, str]:
    """Section of each table on the page."""
    named = results_page.SECTION.findall((FOLDER / "page.md").read_text())
    found = results_page.generate(FOLDER).split("\n## Costs\n")[0].split("\n## ")[1:]
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_each_table_says_how_comparable_it_is_and_what_stands_behind_it(name):
    section = sections()[name]
    assert "seed 0" in section or "seeds 0 1 2" in section
    table = recorded.read(FOLDER / f"{name}.json")
    exact = all(not cell.over for row in table.rows for cell in row.cells)
    assert "no interval" in section if exact else "n=" in section
    assert exact or "over images" in section or "over trainings" in section
    if table.claims and "{claims}" in (FOLDER / f"{name}.md").read_text():
        assert "comparisons decided" in section
    if "{table" in (FOLDER / f"{name}.md").read_text():
        assert "comparable with published values" in section or "nothing published to compare with" in section
        assert "profile mini; commit" in section


@pytest.mark.parametrize("name", TABLES)
def test_recorded_claims_are_decided_by_todays_rule(name):
    table = recorded.read(FOLDER / f"{name}.json")
    for claim in table.claims:
        metric = next((m for m in table.metrics if m.protocol == claim.protocol), None)
        if claim.interval is None or metric is None:
            assert claim.decision == "undecided" or len(claim.seeds) >= claims.MIN_SEEDS
            continue
        difference = Difference(
            value=claim.difference, interval=claim.interval, over=claim.over, seeds=claim.seeds, exact=is_exact(claim),
            alike=claim.reason.startswith("all "),
        )  # fmt: skip
        assert claims.outcome(difference, metric, meaningless=False) == (claim.decision, claim.reason, claim.obstacle)


def is_exact(claim):
    """Whether a claim is about numbers that depend on no image and no training."""
    return claim.interval is not None and not claim.over and claim.n is None


def test_one_training_decides_nothing():
    tables = [recorded.read(FOLDER / f"{name}.json") for name in TABLES]
    few = [c for t in tables for c in t.claims if len(c.seeds) < claims.MIN_SEEDS and not is_exact(c)]
    assert {claim.decision for claim in few} <= {"undecided", "open"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a distance of 134.0 against 151.6, .5 apart", ["134.0", "151.6", ".5"]),
        ("+13 and −4.6, [-.032, +0.1]", ["+13", "-4.6", "-.032", "+0.1"]),
        ("256 images of 32 pixels, 1,200 steps, seeds 0 1 2, 16 x 16, 2-3 of 10, 32-pixel faces", []),
        ("see App. E.5, Eq. 10.2, Fig. 6 and `w = 1.5` of [benchmarks](page.md#v0.5)", []),
        ("## Version 1.5 of it\nEfficientNet-Lite0.5 of v0.1", []),
    ],
)
def test_what_counts_as_a_quotation(text, expected):
    assert [f"{sign}{digits}" for sign, digits in quotes.quoted(text)] == expected


@pytest.fixture
def table(make_table):
    return load_table(make_table() / "table.json")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("ours reaches 40.0, inade 51.00 with [47.9, 54.1]; seeds 50.0, 52.0", []),
        ("ours loses .44", ["table1: .44"]),
        ("one seed of UC4 is -12.0 apart, their mean -11.0", []),
        ("-40.0 points", ["table1: -40.0"]),  # the sign is the other one
        ("11.0 points", []),
        ("{elsewhere: .44 and 7.7}, {table2: .44}", []),
        ("{table2: .45}", ["table2: .45"]),
    ],
)
def test_a_quoted_number_is_one_of_its_table(table, text, lost):
    other = dataclasses.replace(table, rows=(with_value(table.rows[0], 0.44),), claims=())
    assert quotes.missing(text, "table1", {"table1": table, "table2": other}.__getitem__) == lost


def with_value(row, value):
    return dataclasses.replace(
        row, cells=(dataclasses.replace(row.cells[0], value=value, interval=None, seed_values=()),)
    )


def test_a_table_survives_being_recorded(table, tmp_path):
    recorded.write(table, tmp_path / "table1.json")
    read = recorded.read(tmp_path / "table1.json")
    assert [row.title for row in read.rows] == [row.title for row in table.measured]
    for old, new in zip(table.measured, read.rows, strict=True):
        for a, b in zip(old.cells, new.cells, strict=True):
            assert b == dataclasses.replace(
                a,
                value=pytest.approx(a.value, rel=1e-5),
                interval=pytest.approx(a.interval, rel=1e-5),
                seed_values=pytest.approx(a.seed_values, rel=1e-5),
            )
    assert [(c.id, c.decision, c.obstacle, c.source) for c in read.claims] == [
        (c.id, c.decision, c.obstacle, c.source) for c in table.claims
    ]
    assert "commit 0123456789ab with local changes" in markdown(read)
    text = (tmp_path / "table1.json").read_text()
    recorded.write(read, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == text
    assert (tmp_path / "table1.json").stat().st_size < 12_000


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"metrics": [{"range": 3}]}'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "table1.json").write_text(text)
    with pytest.raises(UserError, match=r"table1\.json: no recorded table .*; record it again"):
        recorded.read(tmp_path / "table1.json")


def test_a_table_without_claims_has_none_on_the_page(table, tmp_path):
    (tmp_path / "page.md").write_text("{table1}\n")
    (tmp_path / "table1.md").write_text("## Title\n\n{claims}\n\nEnd.\n")
    recorded.write(dataclasses.replace(table, claims=()), tmp_path / "table1.json")
    assert results_page.generate(tmp_path) == "## Title\n\nEnd.\n"


def test_smoke_is_not_recorded(make_table, tmp_path):
    table = load_table(make_table("smoke") / "table.json")
    with pytest.raises(UserError, match="no numbers worth keeping: SMOKE"):
        recorded.write(table, tmp_path / "table1.json")


def run(*words: str, docs: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "reports", *words, "--docs", str(docs)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_recording_a_table_and_a_sentence_that_it_no_longer_carries(make_table, tmp_path):
    folder = make_table()
    docs = tmp_path / "docs"
    (docs / "results").mkdir(parents=True)
    (docs / "results" / "page.md").write_text("# Results\n")
    done = run("record", str(folder.parents[1]), "table1", docs=docs)
    assert done.returncode == 0, done.stderr
    page = (docs / "results.md").read_text()
    assert "## Unite and Conquer, Table 1: CelebA-HQ" in page
    assert "| Ours | **40.00**" in page
    assert "2 of 5 comparisons decided" in page
    text = docs / "results" / "table1.md"
    text.write_text(text.read_text() + "\nOurs has a distance of 40.00, SPADE {elsewhere: 1.5} times as much.\n")
    assert run("results", docs=docs).returncode == 0
    assert "SPADE 1.5 times" in (docs / "results.md").read_text()
    before = (docs / "results.md").read_text()
    path = folder / "../../ours/metrics.json"
    stored = json.loads(path.read_text())
    stored["FD-EffNetLite0"]["value"] = 44.0
    path.write_text(json.dumps(stored))
    (folder / "../../ours-1/metrics.json").unlink()
    shutil.rmtree(folder / "../../ours-2")
    done = run("record", str(folder.parents[1]), docs=docs)
    assert done.returncode == 1
    assert "texts quote numbers that their tables do not have: table1: 40.00." in done.stderr
    assert (docs / "results.md").read_text() == before


def test_a_table_that_is_not_there(tmp_path):
    done = run("record", str(tmp_path), "table1", docs=tmp_path)
    assert done.returncode == 1
    assert "no table.json for table1; there: nothing." in done.stderr
    assert "Traceback" not in done.stderr


def test_some_columns_alone(table, tmp_path):
    (tmp_path / "page.md").write_text("{table1}\n")
    (tmp_path / "table1.md").write_text("{table: mIoU}\n")
    recorded.write(table, tmp_path / "table1.json")
    assert results_page.generate(tmp_path).startswith("| row | mIoU ↑ |")
    (tmp_path / "table1.md").write_text("{table: SSIM}\n")
    with pytest.raises(UserError, match="table1 has not all of the columns SSIM; it has FD-EffNetLite0, mIoU"):
        results_page.generate(tmp_path)
