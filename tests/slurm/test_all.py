"""Several tables through a queue that takes few jobs: each run once, never too many at a time, failures not repeated."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import second_table
from queries import started, state

from experiments.core.cluster import Cluster, read_cluster
from experiments.core.run_config import as_json
from experiments.spec import plan
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import write_json
from slurm import chain, scheduler, tables
from slurm.order import Order

ROOT = Path(__file__).parents[2]


@pytest.fixture
def orders(cluster) -> list[Order]:
    """Two tables that share runs."""
    for run in plan([second_table.table("smoke", 0)]):
        write_json(Path("runs/smoke") / run.name / "config.json", as_json(run))
    return [Order(table=name, profile="smoke") for name in ("toy_table", "second_table")]


def submit_all(orders: list[Order], max_jobs: int, *, stay: bool) -> list[str]:
    limits = chain.Limits(max_jobs)
    return list(tables.submit_all(orders, read_cluster(Path("cluster.toml")), limits, stay=stay, poll=0.2))


def test_at_most_so_many_jobs_are_in_the_queue_and_each_run_is_done_once(
    cluster, orders, finished, monkeypatch
) -> None:
    plain, lengths = scheduler.submit, []

    def watched(*words) -> str:
        number = plain(*words)
        lengths.append(len(scheduler.queue()))
        return number

    monkeypatch.setattr(scheduler, "submit", watched)
    lines = submit_all(orders, 3, stay=True)
    finished()
    assert max(lengths) <= 3
    assert len(lengths) == len([line for line in lines if line.startswith("submitted")]) == 10
    assert {line.state for line in state(cluster).values()} == {"done"}
    assert sorted(started(cluster)) == sorted(
        ["data", "evaluator", "expert", "other-expert", "other-samples", "real", "report", "samples", "data", "report"]
    )


def test_what_finds_no_room_is_left_for_the_next_call(cluster, orders, finished) -> None:
    (cluster / "wait-data").touch()
    lines = submit_all(orders, 4, stay=False)
    assert [line.split()[0] for line in lines[:-1]] == ["submitted"] * 4
    assert lines[-1] == "The queue has its 4 jobs; 2 of 2 tables are not queued as a whole yet."
    assert len(scheduler.queue()) == 4
    (cluster / "wait-data").unlink()


def test_a_failed_job_is_not_sent_again_while_the_command_stays(cluster, orders, finished) -> None:
    (cluster / "fail-expert").touch()
    lines = submit_all(orders[:1], 2, stay=True)
    finished()
    assert started(cluster).count("expert") == 1
    assert "failed    expert" in lines
    assert "stopped   samples, since expert is" in lines or "stopped" in {state(cluster)["samples"].state}


def test_a_table_that_the_cluster_is_too_small_for_is_left_out(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    paper = [Order(table=name, profile="paper") for name in ("table6", "table4")]
    lines = list(tables.written(paper, Cluster(gpus_per_node=1)))
    assert lines[0].startswith("left out  table6: ")
    assert "the cluster file grants 1 with 1" in lines[0]
    assert len(lines) > 2
    assert all(line.startswith("written ") for line in lines[1:])
    with pytest.raises(UserError, match="the cluster file grants"):
        list(tables.written(paper[:1], Cluster(gpus_per_node=1)))


def test_a_job_that_asks_for_too_many_cores_names_its_key(cluster, order, finished) -> None:
    """Some sites let it wait for ever, others refuse it."""
    (cluster / "cluster.toml").write_text("cpus_per_task = 64\n")
    order("--only", "evaluator")
    finished(lambda: "cpus_per_task" in state(cluster)["toy_table-data"].detail)
    assert state(cluster)["toy_table-data"].detail.startswith(
        "PartitionConfig: it asks for what its partition lacks; correct"
    )


@pytest.mark.parametrize(("said", "keys"), [
    ("sbatch: error: CPU count per node can not be satisfied", "cpus_per_task"),
    ("sbatch: error: Batch job submission failed: Requested node configuration is not available", scheduler.SIZES),
    ("sbatch: error: invalid partition specified: gpu", "partition or cpu_partition"),
])  # fmt: skip
def test_a_refusal_names_the_keys_of_the_cluster_file(cluster, order, wrap, said, keys) -> None:
    wrap(f'echo "{said}" >&2; exit 1', "sbatch")
    with pytest.raises(UserError, match=f"correct {keys} in the cluster file"):
        order("--only", "evaluator")


def test_status_answers_in_two_seconds_of_processor_time_and_without_torch(cluster, order, finished) -> None:
    order()
    finished()
    program = (
        "import sys, runpy, time; sys.argv[1:] = ['status', '--profile', 'smoke']\n"
        "try: runpy.run_module('slurm', run_name='__main__')\n"
        "finally: print('torch' in sys.modules, time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = re.fullmatch(r"(True|False) ([\d.]+)", done.stdout.splitlines()[-1])
    assert found, done.stdout
    assert found[1] == "False"
    assert float(found[2]) < 2
    assert "toy_table-report" in done.stdout
