"""Parts of a table's command line, and what it does not say."""

import json
import os

import small_runs

import experiments
from experiments.engine.cli import TableFlags, main
from reports.index import read_index
from reports.overview import look
from reports.schema import Entry

INDEX = (Entry(name="small", source="None", shows="a test", mini="seconds", paper="none"),)


def test_after_the_data_the_table_stands_in_the_report(tmp_path) -> None:
    """A chain of jobs is in the site from its first job on."""
    data = small_runs.write_data(tmp_path / "data")
    main(small_runs.quick_table, TableFlags(profile="smoke", data=data, out=tmp_path / "out", part="data"))
    assert json.loads((tmp_path / "out/smoke/tables/small/table.json").read_text())["rows"][0]["label"] == "ours"
    assert read_index(tmp_path / "out" / "smoke") == experiments.INDEX
    (table,) = look(tmp_path / "out" / "smoke", INDEX).tables
    assert (table.state, table.rows, table.claims) == ("pending", {"pending": 1}, {})


def test_an_installed_slurm_is_not_mentioned(warm, tmp_path) -> None:
    """Lightning warns of it wherever there is a command called srun."""
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    data, log = small_runs.write_data(tmp_path / "data"), tmp_path / "log.txt"
    flags = ("--data", data, "--out", tmp_path / "out", "--only", "expert-seed0")
    pid = warm.start("quick_table", *flags, log=log, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert warm.wait(pid) == 0
    assert "train expert-seed0" in log.read_text()
    assert "srun" not in log.read_text()
