"""Jobs that take no time through a real SLURM: the order of a chain, failure, submitting twice, status, logs, cancel."""

import pytest
from queries import started, state

from slurm import __main__ as commands
from slurm import scheduler


def test_the_chain_runs_in_the_order_of_needs_and_a_second_submission_changes_nothing(cluster, order, finished) -> None:
    (cluster / "wait-expert").touch()
    first = order()
    assert [line.split()[0] for line in first] == ["submitted"] * 6
    assert [line.split()[0] for line in order()] == ["queued"] * 6
    finished(lambda: "expert" in started(cluster) and state(cluster)["evaluator"].state == "done")
    now = state(cluster)
    assert now["expert"].state == "running"
    assert now["expert"].detail.startswith("time limit in ")
    assert (now["samples"].state, now["samples"].detail) == ("waiting", "after expert")
    assert now["toy_table-report"].state == "waiting"
    (cluster / "wait-expert").unlink()
    finished()
    names = started(cluster)
    assert sorted(names) == ["data", "evaluator", "expert", "real", "report", "samples"]
    assert names[0] == "data"
    assert names[-1] == "report"
    assert names.index("samples") > max(names.index("expert"), names.index("evaluator"))
    assert {line.state for line in state(cluster).values()} == {"done"}
    again = [line.split()[0] for line in order()]
    assert again == ["submitted", "done", "done", "done", "done", "submitted"]  # data and report take no time
    finished()
    assert started(cluster).count("expert") == 1


def test_a_failing_run_stops_what_needs_it_and_the_reason_is_readable(cluster, order, finished, capsys) -> None:
    (cluster / "fail-expert").touch()
    order()
    finished()
    now = state(cluster)
    assert (now["evaluator"].state, now["real"].state) == ("done", "done")
    assert now["expert"].state == "failed"
    assert now["expert"].detail == "FAILED, exit code 1:0: the disk of this node is full"
    assert (now["samples"].state, now["samples"].detail) == ("stopped", "never started: expert did not succeed")
    assert started(cluster)[-1] == "report"
    assert "samples" not in started(cluster)
    capsys.readouterr()
    commands.status(profile="smoke", out=cluster / "runs")
    printed = capsys.readouterr().out
    assert "the disk of this node is full" in printed
    assert "4 done, 1 failed, 1 stopped" in printed
    (cluster / "fail-expert").unlink()
    commands.resubmit("toy_table", "smoke", cluster / "runs", cluster / "cluster.toml")
    finished()
    assert {line.state for line in state(cluster).values()} == {"done"}
    assert started(cluster).count("evaluator") == 1


def test_a_seed_that_fails_stops_no_other_and_more_seeds_need_no_second_start(cluster, order, finished) -> None:
    (cluster / "fail-expert-seed1").touch()
    (cluster / "wait-expert").touch()
    order()
    assert [line.split()[0] for line in order("--seeds", "2") if "seed1" in line] == ["submitted"] * 2
    assert [line.split()[0] for line in order("--seeds", "2") if "expert " in line] == ["queued"]
    (cluster / "wait-expert").unlink()
    finished()
    now = state(cluster)
    assert {n: now[n].state for n in ("expert", "expert-seed1", "samples", "samples-seed1")} == {
        "expert": "done", "expert-seed1": "failed", "samples": "done", "samples-seed1": "stopped",
    }  # fmt: skip
    (cluster / "fail-expert-seed1").unlink()
    commands.resubmit("toy_table", "smoke", cluster / "runs", cluster / "cluster.toml")
    finished()
    assert {line.state for line in state(cluster).values()} == {"done"}
    assert started(cluster).count("expert") == 1


def test_cancel_and_logs(cluster, order, finished, capfd) -> None:
    (cluster / "wait-evaluator").touch()
    (cluster / "fail-expert").touch()
    order("--only", "evaluator", "expert", "samples")
    finished(lambda: {"evaluator", "expert"} <= set(started(cluster)) and state(cluster)["expert"].state == "failed")
    capfd.readouterr()
    commands.logs("expert", "smoke", cluster / "runs")
    assert "error: the disk of this node is full" in capfd.readouterr().out
    with pytest.raises(ValueError, match="samples has no log yet"):
        commands.logs("samples", "smoke", cluster / "runs")
    commands.cancel(profile="smoke", out=cluster / "runs")
    finished()
    assert state(cluster)["evaluator"].state == "stopped"
    assert "CANCELLED" in state(cluster)["evaluator"].detail
    assert not scheduler.queue()
