"""Every number of a recorded table says commit, seeds, images and machine, also where its runs differ in these."""

import dataclasses
import json
from pathlib import Path

import pytest

from reports import basis, origins, recorded
from reports.results import load_table

KEPT = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*.json"))
HERE, THERE = "2 CPU cores", "1 GPU"
OLD, NEW, LATEST = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"


def stage(folder, **fields):
    (folder / "provenance.json").write_text(json.dumps({"stage": {"score": {"seconds": 1.0, **fields}}}))


@pytest.fixture
def folder(make_table):
    """A table whose rows were made by several commits on two machines, with a row that is the best of two others."""

    def change(stored):
        labels = ("OASIS", "Ours", "Ours, 3 seeds", "Pix2PixHD")
        stored["rows"] = [row for row in stored["rows"] if row["label"] in labels]
        best = {"group": "", "label": "BEST", "published": None, "why": None, "ceiling": False, "runs": []}
        stored["rows"].append({**best, "best_of": ["OASIS", "Ours"]})
        stored["claims"] = [{**stored["claims"][0], "better": "Ours, 3 seeds", "worse": "Ours"}]
        stored["evaluators"] = ["parser"]

    folder = make_table(change=change)
    profile = folder.parents[1]
    (profile / "parser").mkdir()
    for run in ("face-model", "ours", "ours-0", "ours-1"):
        stage(profile / run, commit=NEW, hardware=HERE)
    stage(profile / "ours-2", commit=LATEST, dirty=True, hardware=HERE)
    stage(profile / "oasis", commit=NEW, hardware=THERE)
    stage(profile / "parser", commit=OLD, hardware=THERE)
    return folder


def test_each_row_and_model_has_its_commits_and_machines(folder, tmp_path):
    table = load_table(folder / "table.json")
    expected = {
        "OASIS (Fine-tuning)": ([NEW], [HERE, THERE]),
        "BEST": ([NEW], [HERE, THERE]),
        "Ours (Others)": ([NEW], [HERE]),
        "Ours, 3 seeds (Others)": ([NEW, LATEST + "+"], [HERE]),
        "parser": ([OLD], [THERE]),
    }
    found = origins.origins(table)
    assert {name: (o["commits"], o["hardware"]) for o in found for name in o["made"]} == expected
    assert len(found) == 4
    recorded.write(table, tmp_path / "table1.json")
    read = recorded.read(tmp_path / "table1.json")
    assert origins.origins(read) == found
    assert origins.gaps(read) == origins.gaps(table) == []
    assert basis.made_by(read) == basis.made_by(table).replace(f", {LATEST[:12]}", f", {LATEST[:12]}, {OLD[:12]}")
    assert f"{HERE} (runs also on {THERE})" in basis.made_by(read)


def test_what_a_number_does_not_say_is_named(folder):
    stage(folder.parents[1] / "oasis", hardware=THERE)
    stage(folder.parents[1] / "face-model", hardware=HERE)
    (folder.parents[1] / "ours" / "provenance.json").unlink()
    table = load_table(folder / "table.json")
    lost = ["OASIS (Fine-tuning): no commits", "BEST: no commits", "Ours (Others): no commits"]
    assert origins.gaps(table) == lost
    cells = table.rows[2].cells
    for fields, gap in (({"n": None}, "no n"), ({"seeds": ()}, "no seed")):
        changed = dataclasses.replace(table.rows[2], cells=(dataclasses.replace(cells[0], **fields), *cells[1:]))
        others = dataclasses.replace(table, rows=(changed,), claims=())
        assert origins.gaps(others)[-1] == f"Ours (Others), FD-EffNetLite0: {gap}", changed
    claim = dataclasses.replace(table.claims[0], n=None)
    assert origins.gaps(dataclasses.replace(table, claims=(claim,)))[-1] == "UC1, FD-EffNetLite0: no n"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_recorded_numbers_say_everything(path, tmp_path):
    table = recorded.read(path)
    assert not origins.gaps(table)
    assert table.provenance["commit"]
    recorded.write(table, tmp_path / path.name)
    again = recorded.read(tmp_path / path.name)
    assert (again.provenance, again.claims) == (table.provenance, table.claims)
    assert [row.cells for row in again.rows] == [row.cells for row in table.rows]
