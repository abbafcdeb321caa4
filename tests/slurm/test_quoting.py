"""Folders whose names mean something to bash, to sbatch or to its log patterns."""

import os
from pathlib import Path

import pytest
from queries import started

from experiments.core.cluster import Cluster
from lightning_mmdiff.errors import UserError
from slurm.jobs import jobs
from slurm.order import Order
from slurm.script import render
from slurm.status import survey_jobs

NAMES = ("two words", "a#b", "100%j", "$HOME", "don't", 'a "quote"', "x;y&z|(1)*", "größe, x=1", "--help", "~", "!x")


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_runs_in_and_below_a_folder_of_any_name(name, cluster, order, finished, monkeypatch) -> None:
    here = cluster / name
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "cluster.toml").write_text("cpus_per_task = 1\n")
    out = Path(f"runs {name}")
    order("--data", f"/no data/{name}", "--only", "evaluator", "expert", out=out)
    finished()
    assert sorted(started(here)) == ["data", "evaluator", "expert"]
    assert {line.state for line in survey_jobs(out / "smoke")} == {"done"}
    assert len(list((out / "smoke" / "slurm").glob("*.log"))) == 3
    assert sorted(p.name for p in cluster.iterdir()) == sorted(["cluster.toml", name])


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\rb"])
def test_what_sbatch_cannot_read_in_any_quotes_is_refused(name, tmp_path, monkeypatch) -> None:
    order = Order(table="toy_table", profile="smoke", out=tmp_path / name)
    with pytest.raises(UserError, match="reads no path with a backslash or a line break"):
        render(jobs(order, Cluster())[0], order, Cluster())
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(UserError, match="choose another --out or folder"):
        render(jobs(order, Cluster())[0], Order(table="toy_table", profile="smoke", out=tmp_path), Cluster())
    os.chdir(tmp_path)


def test_values_of_the_cluster_file_are_quoted_and_its_options_are_as_written() -> None:
    order = Order(table="toy_table", profile="smoke")
    cluster = Cluster(account='a "b" #c', modules=("cuda (12)",), options=('--comment="as written"',))
    text = render(jobs(order, cluster)[0], order, cluster)
    assert '#SBATCH --account="a \\"b\\" #c"\n' in text
    assert '#SBATCH --comment="as written"\n' in text
    assert "\nmodule load 'cuda (12)'\n" in text
