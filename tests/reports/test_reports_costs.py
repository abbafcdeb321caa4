"""What recorded tables cost: runs added up once, shared ones told apart, passes of other numbers of workers kept."""

import json

import pytest

from lightning_mmdiff.errors import UserError
from reports import recorded, results_page, table_costs
from reports.results import load_table
from reports.table_folder import TableFolder

PASS = {
    "workers": 2, "seeds": 3, "seconds": 600.0, "processor_seconds": 1000.0, "peak_memory_gib": 1.5, "after": ["table4"],
    "commit": "0123456789abcdef0123", "dirty": False, "hardware": "2 CPU cores", "date": "2026-11-28",
}  # fmt: skip


def provenance(folder, **seconds):
    stages = {
        name: {"seconds": 2 * time, "processor_seconds": time, "peak_memory_gib": time / 100}
        for name, time in seconds.items()
    }
    (folder / "provenance.json").write_text(json.dumps({"stage": stages}))


@pytest.fixture
def shared(make_table):
    """Folder of table1 with known times: a model of 100 s, rows of 10 s a seed, a parser of 40 s; table4 shares one row."""

    def change(stored):
        stored["rows"] = [r for r in stored["rows"] if r["label"] in ("Ours", "Ours, 3 seeds")]
        stored["evaluators"], stored["claims"] = ["parser"], []

    folder = make_table(change=change)
    profile = folder.parents[1]
    for run in ("ours", "ours-0", "ours-1", "ours-2"):
        provenance(profile / run, sample=4.0, score=6.0)
    provenance(profile / "face-model", train=100.0)
    (profile / "parser").mkdir()
    provenance(profile / "parser", train=40.0)
    other = TableFolder.of(profile, "table4")
    other.path.mkdir()
    stored = json.loads((folder / "table.json").read_text())
    other.table.write_text(json.dumps({**stored, "name": "table4", "rows": stored["rows"][:1]}))
    index = [{"name": name, "source": "", "shows": "", "mini": "", "paper": ""} for name in ("table4", "table1")]
    index[1]["mini"] = "6 min after table4"
    (profile / "tables" / "index.json").write_text(json.dumps(index))
    return folder


def test_runs_count_once_and_what_other_tables_share_is_told_apart(shared, tmp_path):
    found = table_costs.costs(load_table(shared / "table.json"), tmp_path / "none.json")
    assert found["seeds"] == 3
    assert found["processor_seconds"] == 100 + 40 + 4 * 10
    assert found["first_seed"] == 100 + 40 + 2 * 10  # of the rows' first seeds
    assert found["added"] == 10  # "Ours", its model and the parser are table4's
    assert found["after"] == {"table4": 10}
    assert found["peak_memory_gib"] == 1
    assert found["passes"] == []


def test_an_unmeasured_stage_leaves_the_sum_open(shared, tmp_path):
    path = shared.parents[1] / "ours-2" / "provenance.json"
    path.write_text(json.dumps({"stage": {"sample": {"seconds": 3.0}}}))
    found = table_costs.costs(load_table(shared / "table.json"), tmp_path / "none.json")
    assert (found["processor_seconds"], found["first_seed"]) == (None, 160)


def test_passes_of_other_numbers_of_workers_stay(shared, tmp_path):
    (tmp_path / "page.md").write_text("{table4}\n\n{costs}\n")
    profile, costs = shared.parents[1], TableFolder(shared).costs
    for workers, after in ((2, ["table4", "table9"]), (1, []), (2, [])):
        costs.write_text(json.dumps({**PASS, "workers": workers, "after": after}))
        path = results_page.record(profile, "table1", tmp_path)
    assert (tmp_path / "page.md").read_text() == "{table4}\n\n{table1}\n\n{costs}\n"
    passes = recorded.read(path).provenance["costs"]["passes"]
    assert [(found["workers"], found["after"]) for found in passes] == [(1, []), (2, [])]
    costs.unlink()
    results_page.record(profile, "table1", tmp_path)
    assert recorded.read(path).provenance["costs"]["passes"] == passes


def test_a_pass_is_added_to_numbers_that_stay(shared, tmp_path):
    (tmp_path / "page.md").write_text("{costs}\n")
    profile = shared.parents[1]
    path = results_page.record(profile, "table1", tmp_path)
    before = recorded.read(path)
    metrics = profile / "ours" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("40.0", "41.0"))
    with pytest.raises(UserError, match="table1 was not measured in one pass"):
        results_page.record_pass(profile, "table1", tmp_path)
    TableFolder(shared).costs.write_text(json.dumps(PASS))
    results_page.record_pass(profile, "table1", tmp_path)
    now = recorded.read(path)
    assert [row.cells for row in now.rows] == [row.cells for row in before.rows]
    assert now.provenance == {**before.provenance, "costs": {**before.provenance["costs"], "passes": [PASS]}}


def test_the_page_shows_the_costs_of_the_tables_that_have_them(shared, tmp_path):
    (tmp_path / "page.md").write_text("{costs}\n")
    TableFolder(shared).costs.write_text(json.dumps(PASS))
    path = results_page.record(shared.parents[1], "table1", tmp_path)
    page = results_page.generate(tmp_path)
    line = (
        "| table1 | 2 min 40 s | 10 s, 10 s after table4 | 10 s | 1.00 GiB | "
        "10 min with 2 processes, 3 seeds, 16 min 40 s of processor time, 1.50 GiB, after table4 |"
    )
    assert line in page
    assert page.count("2 CPU cores, commit 0123456789ab") == 2  # of the report with local changes, of the pass without
    assert page.count("2 CPU cores, commit 0123456789ab with local changes") == 1
    stored = json.loads(path.read_text())
    del stored["provenance"]["costs"]  # recorded before costs were kept
    path.write_text(json.dumps(stored))
    assert "## Costs" not in results_page.generate(tmp_path)
