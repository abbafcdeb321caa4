"""Submitting again, from another table or interpreter, with or without records: nothing alive is made twice or forgotten."""

import sys
from pathlib import Path

import pytest
from queries import started, state

from slurm import __main__ as commands
from slurm import scheduler

FIRST = {"toy_table-data", "evaluator", "expert", "samples", "real", "toy_table-report"}


def words(lines: list[str]) -> dict[str, str]:
    """Label -> what was done about it."""
    return {line.split()[1]: line.split()[0] for line in lines}


def queued() -> list[str]:
    return sorted(job.name.rpartition(".")[0] for job in scheduler.queue())


@pytest.fixture
def held(cluster, order) -> Path:
    """The toy table in the queue, its first job held up."""
    (cluster / "wait-data").touch()
    assert set(words(order()).values()) == {"submitted"}
    return cluster


def test_two_tables_in_turn_share_their_runs_and_all_jobs_are_known(held, order, capsys) -> None:
    second = words(order(table="second_table"))
    assert {label for label, what in second.items() if what == "queued"} == {"evaluator", "expert"}
    assert second["samples"] == "submitted"  # another metric, after the images of the first job
    assert set(words(order()).values()) == {"queued"}
    assert set(words(order(table="second_table")).values()) == {"queued"}
    assert queued() == sorted(
        [*FIRST, "second_table-data", "samples", "real", "other-expert", "other-samples", "second_table-report"]
    )
    assert set(state(held)) == set(queued())
    assert {line.state for line in state(held).values()} <= {"waiting", "running"}
    capsys.readouterr()
    commands.cancel(profile="smoke", out=held / "runs")
    assert capsys.readouterr().out.startswith("Cancelled 12 jobs: ")
    assert not [job for job in scheduler.queue() if job.state == "PENDING"]


def test_both_tables_are_finished(held, order, finished) -> None:
    order(table="second_table")
    order()
    (held / "wait-data").unlink()
    finished()
    assert {line.state for line in state(held).values()} == {"done"}
    for table in ("toy_table", "second_table"):
        assert set(words(order(table=table, out=Path("runs"))).values()) == {"done", "submitted"}
    assert [started(held).count(name) for name in ("expert", "evaluator", "other-expert", "samples")] == [1, 1, 1, 2]


def test_another_interpreter_and_another_spelling_of_the_folder_ask_for_the_same_jobs(held, order) -> None:
    (held / "cluster.toml").write_text(f'cpus_per_task = 1\npython = "{Path(sys.prefix) / "bin" / "python3"}"\n')
    assert set(words(order()).values()) == {"queued"}
    assert set(words(order(out=held / "runs")).values()) == {"queued"}


def test_a_job_without_a_record_is_known_by_its_name(held, order, finished, capsys) -> None:
    for path in (held / "runs" / "smoke" / "slurm").glob("*.json"):
        path.unlink()
    assert set(state(held)) == FIRST
    again = words(order())
    assert {label for label, what in again.items() if what == "queued"} == {"evaluator", "expert"}
    commands.cancel(("expert",), profile="smoke", out=held / "runs")
    assert "Cancelled 1 job: " in capsys.readouterr().out
    assert "expert" not in queued()
    (held / "wait-data").unlink()
    finished()
    assert state(held)["evaluator"].state == "done"


def test_the_jobs_of_one_table_alone(held, order, capsys) -> None:
    order(table="second_table")
    capsys.readouterr()
    commands.status(("second_table",), "smoke", held / "runs")
    assert "toy_table-report" not in capsys.readouterr().out
    commands.cancel(("second_table",), "smoke", held / "runs")
    said = capsys.readouterr().out
    assert said.startswith("Cancelled 4 jobs: ")
    assert "Left alone: expert, for which toy_table waits" in said
    commands.cancel(("toy_table", "expert"), "smoke", held / "runs")
    assert not [job for job in scheduler.queue() if job.state == "PENDING"]


def test_cancelling_a_run_stops_the_job_that_works_on_it(cluster, order, finished) -> None:
    (cluster / "wait-expert").touch()
    order("--only", "expert")
    finished(lambda: "expert" in started(cluster))
    order("--only", "expert", table="second_table")
    commands.cancel(("expert",), "smoke", cluster / "runs")
    finished()
    assert started(cluster).count("expert") == 1
