"""The notebook runs in a folder with its files alone, and recomputes the intervals that are stored."""

import json
import re
import shutil

import nbformat
import numpy as np
import pytest

from reports import notebook
from reports.notebook_code import RECOMPUTE
from reports.results import load_table
from reports.statistics import bootstrap_interval
from reports.write import write_all

BESIDE = ("metrics.json", "table.csv", "replicates.npz")


@pytest.fixture
def moved(make_table, tmp_path):
    folder = make_table()
    for path in folder.parents[1].glob("*/replicates.npz"):
        metrics, replicates = json.loads(path.with_name("metrics.json").read_text()), np.load(path)
        for protocol, entry in metrics.items():
            entry["interval"] = bootstrap_interval(entry["value"], replicates[protocol], entry["n"])
        path.with_name("metrics.json").write_text(json.dumps(metrics))
    write_all(folder, with_notebook=False)
    target = tmp_path / "elsewhere"
    target.mkdir()
    for name in BESIDE:
        shutil.copy(folder / name, target)
    return folder, target


@pytest.mark.slow
def test_it_runs_with_the_files_beside_it(moved):
    folder, target = moved
    table = load_table(folder / "table.json")
    made = notebook.build(table)
    (again,) = [cell for cell in made.cells if cell.source == RECOMPUTE]
    numbers = [i for i, row in enumerate(table.rows) if row.label in ("INADE", "Ours")]
    again.source = "\n".join(RECOMPUTE.replace("row, protocol = 0", f"row, protocol = {number}") for number in numbers)
    notebook.execute(made, target)
    text = "".join(out.get("text", "") for out in again.outputs)
    found = [list(map(float, re.findall(r"-?\d+\.?\d*", line))) for line in text.splitlines() if "recomputed" in line]
    assert len(found) == 2
    for mean, low, high, stored, stored_low, stored_high in found:
        assert (mean, low, high) == pytest.approx((stored, stored_low, stored_high), rel=2e-3)


def test_code_is_folded_and_needs_only_common_packages(moved):
    folder, _ = moved
    made = notebook.build(load_table(folder / "table.json"))
    nbformat.validate(made)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    imported = set(re.findall(r"^(?:from|import) (\w+)", "\n".join(cell.source for cell in code), re.MULTILINE))
    assert imported <= {"IPython", "io", "json", "pathlib", "matplotlib", "numpy", "pandas"}
    folded = [cell for cell in code if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert len(folded) >= 2
    assert made.cells[0].source.startswith("# Unite and Conquer, Table 1")
