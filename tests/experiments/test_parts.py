"""Parts of a table's command line, and what it does not say."""

import json
import os
import shutil
from pathlib import Path

import pytest
import small_runs
from PIL import Image

import experiments
from experiments.engine.cli import TableFlags, main
from experiments.spec import plan
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


RUNS = tuple(run.name for run in plan([small_runs.short_pair_table("smoke", 0)]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    """Data, and the runs of both rows."""
    data, out = small_runs.write_data(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("finished")
    main(small_runs.short_pair_table, TableFlags(profile="smoke", data=data, out=out, only=RUNS))
    return data, out


@pytest.mark.parametrize("left", [(), ("first-expert", "first-expert-samples")])
def test_a_report_has_what_is_there(finished, left, tmp_path, capsys) -> None:
    """One row without images was an error, so one failed job cost a chain its report (D2)."""
    data, whole = finished
    (tmp_path / "packed").symlink_to(whole / "packed")
    for name in left:
        shutil.copytree(whole / "smoke" / name, tmp_path / "smoke" / name)
    main(small_runs.short_pair_table, TableFlags(profile="smoke", data=data, out=tmp_path, part="report"))
    folder = tmp_path / "smoke" / "tables" / "small"
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    measured = [row["state"] == "measured" for row in rows]
    assert measured == [f"{name}-expert-samples" in left for name in ("first", "second")]
    galleries = json.loads((folder / "table.json").read_text())["galleries"]
    assert len(galleries) == sum(measured)
    assert all("Not sampled yet: " in entry["caption"] and (folder / entry["file"]).exists() for entry in galleries)
    assert (folder / "small.html").stat().st_size > 0


def test_a_row_that_comes_later_is_added_to_the_sheet(finished, tmp_path) -> None:
    data, whole = finished
    (tmp_path / "packed").symlink_to(whole / "packed")
    widths = []
    for name in ("first-expert-samples", "second-expert-samples"):
        shutil.copytree(whole / "smoke" / name, tmp_path / "smoke" / name, copy_function=shutil.copy)
        main(small_runs.short_pair_table, TableFlags(profile="smoke", data=data, out=tmp_path, part="report"))
        widths.append(Image.open(tmp_path / "smoke/tables/small/gallery-1.png").height)
    assert widths[1] > widths[0]


def test_pictures_that_cannot_be_drawn_cost_no_report(finished, tmp_path, capsys) -> None:
    data, whole = finished
    shutil.copytree(whole / "smoke", tmp_path / "smoke")  # without the packed data
    main(small_runs.short_pair_table, TableFlags(profile="smoke", data=data, out=tmp_path, part="report"))
    assert "No new pictures: " in capsys.readouterr().out
    assert (tmp_path / "smoke/tables/small/small.html").stat().st_size > 0
