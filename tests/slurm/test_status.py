"""What status says: the reason of a failure, whatever failed; done is what lies on disk."""

import json
import subprocess
from pathlib import Path

import pytest
from queries import started, state

from lightning_mmdiff.runtime.run_folder import RULES
from slurm import __main__ as commands
from slurm import scheduler
from slurm.logs import last_words

HERE = "/tmp/spool/job00014/slurm_script: line 5: "
LOGS = {
    "slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n"
    "srun: Job step aborted: Waiting up to 32 seconds for job step to finish.": (
        "JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT"
    ),
    "error: 17 of 3000 images\nsrun: error: n1: task 0: Exited with exit code 1": "17 of 3000 images",
    "error: 17 of 3000 images\n[W socket.cpp:1] closing": "17 of 3000 images",
    f"{HERE}.venv/bin/activate: No such file or directory": ".venv/bin/activate: No such file or directory",
    f"{HERE}module: command not found": "module: command not found",
    "srun: error: n1: tasks 0-3: Exited with exit code 2\nslurmstepd-n1: error: execve(): nope: No such file or directory": (
        "execve(): nope: No such file or directory"
    ),
    'Traceback (most recent call last):\nsrun: error: n1: task 0: Exited with exit code 1\n  File "x.py", line 1\n'
    "ModuleNotFoundError: No module named 'torch'\n\n": "ModuleNotFoundError: No module named 'torch'",
    "  3/60 steps\r  4/60 steps\rslurmstepd: error: Detected 1 oom_kill event in StepId=7.0": (
        "Detected 1 oom_kill event in StepId=7.0"
    ),
    "srun: error: n1: task 0: Killed\nsrun: Force Terminated StepId=18.0": "srun: Force Terminated StepId=18.0",
    "": "",
}


@pytest.mark.parametrize(("text", "reason"), LOGS.items())
def test_the_reason_is_the_last_line_that_says_why(text, reason, tmp_path) -> None:
    (tmp_path / "x.log").write_text(text)
    assert last_words([tmp_path / "x.log"]) == reason


def test_no_log_has_no_reason() -> None:
    assert last_words([]) == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('setup = ["source .venv/bin/activate"]', ".venv/bin/activate: No such file or directory"),
        ('modules = ["cuda"]', "module: command not found"),
        ('python = "/nowhere/python"', "/nowhere/python: No such file or directory"),
        ('container = "no-such-container exec"', "no-such-container: No such file or directory"),
        ('python = "python3 -c \\"import nowhere\\""', "python3 -c"),
    ],
)
def test_the_commonest_first_failures_are_named(line, reason, cluster, order, finished, capsys) -> None:
    (cluster / "cluster.toml").write_text(f"cpus_per_task = 1\n{line}\n")
    order("--only", "expert")
    finished()
    now = state(cluster)
    assert now["toy_table-data"].state == "failed"
    assert reason in now["toy_table-data"].detail
    assert (now["expert"].state, now["expert"].detail) == ("stopped", "never started: toy_table-data did not succeed")
    capsys.readouterr()
    commands.status(profile="smoke", out=cluster / "runs")
    assert reason[:20] in capsys.readouterr().out


def forget(wrap) -> None:
    """SLURM forgets ended jobs after minutes where there is no accounting."""
    wrap('echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1', "scontrol", "sacct")


def test_what_never_ran_is_not_done_when_slurm_has_forgotten_it(cluster, order, finished, wrap) -> None:
    (cluster / "wait-data").touch()
    order()
    finished(lambda: started(cluster) == ["data"])
    scheduler.cancel(reversed([queued.id for queued in scheduler.queue()]))
    finished()
    forget(wrap)
    now = state(cluster)
    assert {line.state for name, line in now.items() if name != "toy_table-data"} == {"stopped"}
    assert "CANCELLED" in now["toy_table-data"].detail
    assert now["toy_table-report"].detail == "never started: it left the queue without a log"


def test_what_is_done_is_done_when_slurm_has_forgotten_it(cluster, order, finished, wrap) -> None:
    order()
    finished()
    forget(wrap)
    assert {line.state for line in state(cluster).values()} == {"done"}
    for name in ("expert/weights.safetensors", "samples/metrics.json"):
        (cluster / "runs" / "smoke" / name).unlink()
    assert {name for name, line in state(cluster).items() if line.state != "done"} == {"expert", "samples"}


def test_samples_are_done_when_their_metrics_are_there_or_say_why_not(cluster, order, finished) -> None:
    order(table="second_table")
    finished()
    folder = cluster / "runs" / "smoke" / "other-samples"
    assert state(cluster)["other-samples"].state == "done"
    (folder / "metrics.json").write_text(json.dumps({"SSIM": {"value": 0.5, "rules": RULES}}))
    assert state(cluster)["other-samples"].state == "failed"
    (folder / "unmeasured.json").write_text('{"PD-EffNetLite0": "no weights here"}')
    line = state(cluster)["other-samples"]
    assert (line.state, line.detail) == ("done", "without PD-EffNetLite0: no weights here")


def test_what_was_ordered_and_not_submitted_is_listed(cluster, order, finished, wrap, capsys) -> None:
    wrap('echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1', "sbatch")
    with pytest.raises(ValueError, match="QOSMaxSubmitJobPerUserLimit"):
        order()
    commands.status(profile="smoke", out=cluster / "runs")
    said = capsys.readouterr().out
    assert "6 not submitted" in said
    assert "Go on with python -m slurm resubmit TABLE --profile smoke." in said
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout == ""
    assert Path(cluster / "runs/smoke/slurm/toy_table.order.json").exists()
