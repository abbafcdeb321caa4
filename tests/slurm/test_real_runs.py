"""Training, sampling and scoring through a real SLURM: time limit, preemption, two processes, a whole table."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import small_runs

from experiments.core.cluster import Cluster
from slurm import chain, scheduler, submit
from slurm.status import survey_jobs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data) -> Path:
    """The expert, trained by the same command without SLURM and without interruption."""
    out = tmp_path_factory.mktemp("whole")
    small_runs_path = f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests/slurm'}"
    command = [
        sys.executable,
        "-m",
        "real_table",
        "--profile",
        "smoke",
        "--data",
        data,
        "--out",
        out,
        "--only",
        "expert",
    ]
    environment = {"PYTHONPATH": small_runs_path, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, cwd=out, check=True, timeout=300)
    return out / "smoke" / "expert"


@pytest.fixture
def send(cluster, data) -> Callable[..., dict[str, str]]:
    """Submit; returns label -> job number."""

    def send(table: str, *words: str) -> dict[str, str]:
        flags = [table, "--profile", "smoke", "--cluster", "cluster.toml", *words]
        lines = submit.main(submit.tyro.cli(submit.SubmitFlags, args=[str(word) for word in flags]))
        return {line.split()[1]: line.split()[-1] for line in lines}

    return send


def assert_same(folder: Path, whole: Path) -> None:
    assert (folder / "loss.csv").read_text() == (whole / "loss.csv").read_text()
    assert (folder / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def rows(folder: Path) -> int:
    path = folder / "loss.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def running(number: str) -> bool:
    return any(queued.number == number and queued.state != "PENDING" for queued in scheduler.queue())


def log(cluster: Path, label: str, number: str) -> str:
    return (cluster / "runs" / "smoke" / "slurm" / f"{label}-{number}.log").read_text()


@pytest.mark.slow
def test_preemption_ends_with_the_weights_of_an_undisturbed_run(
    cluster, data, whole, send, finished, monkeypatch
) -> None:
    monkeypatch.setenv("SLOW", "0.2")
    folder = cluster / "runs" / "smoke" / "expert"
    number = send("real_table", "--data", data, "--only", "expert")["expert"]
    finished(lambda: rows(folder) >= 2, seconds=120)
    scheduler.run("scontrol", "requeue", number)
    finished(lambda: not running(number))
    saved = sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt"))
    assert saved
    finished(seconds=180)
    assert "Restarts=1" in scheduler.run("scontrol", "show", "job", number)
    assert "Stopped by SIGTERM" in log(cluster, "expert", number)
    assert_same(folder, whole)
    assert {line.state for line in survey_jobs(cluster / "runs" / "smoke")} == {"done"}


@pytest.mark.slow
def test_a_time_limit_ends_with_the_weights_of_an_undisturbed_run(
    cluster, data, whole, send, finished, monkeypatch
) -> None:
    monkeypatch.setenv("SLOW", "1")  # 120 s of training in jobs of 2 minutes, told to save 20 to 80 s before
    (cluster / "cluster.toml").write_text("cpus_per_task = 1\nmax_hours = 0.0334\nnotice_seconds = 20\n")
    numbers = send("real_table", "--data", data, "--only", "expert")
    assert "--time=0-00:02:00" in (cluster / "runs/smoke/slurm/expert.sbatch").read_text()
    finished(seconds=300)
    number = numbers["expert"]
    assert re.search(r"Restarts=[1-9]", scheduler.run("scontrol", "show", "job", number))  # more on a slow machine
    assert f"Saved; job {number} is back in the queue" in log(cluster, "expert", number)
    assert_same(cluster / "runs" / "smoke" / "expert", whole)


@pytest.mark.slow
def test_cancelling_does_not_bring_the_job_back(cluster, data, send, finished, monkeypatch) -> None:
    monkeypatch.setenv("SLOW", "0.2")
    number = send("real_table", "--data", data, "--only", "expert")["expert"]
    finished(lambda: rows(cluster / "runs" / "smoke" / "expert") >= 1, seconds=120)
    scheduler.cancel([number])
    finished(seconds=60)
    assert "JobState=CANCELLED" in scheduler.run("scontrol", "show", "job", number)
    assert list((cluster / "runs/smoke/expert/checkpoints").glob("*.ckpt"))


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(cluster, data, send, finished) -> None:
    send("real_table", "--data", data, "--only", "parser-1", "parser-2")
    assert "#SBATCH --ntasks-per-node=2" in (cluster / "runs/smoke/slurm/parser-2.sbatch").read_text()
    finished(seconds=240)
    who = sorted(path.name for path in cluster.glob("process-*"))
    assert who == ["process-0-of-1", "process-0-of-2", "process-1-of-2"]
    curves = []
    for devices in (1, 2):
        text = (cluster / "runs" / "smoke" / f"parser-{devices}" / "loss.csv").read_text()
        curves.append([float(line.split(",")[1]) for line in text.splitlines()[1:]])
        assert (cluster / "runs" / "smoke" / f"parser-{devices}" / "weights.safetensors").exists()
    assert len(curves[0]) == 6
    assert curves[0][-1] < 0.7 * curves[0][0]
    assert curves[1] == pytest.approx(curves[0], rel=2e-3)


@pytest.mark.slow
def test_jobs_that_share_the_images_of_a_run_make_those_of_one_process(cluster, data, whole, send, finished) -> None:
    alone = whole.parents[1]
    flags = ["--profile", "smoke", "--data", data, "--out", alone, "--only", "samples"]
    subprocess.run([sys.executable, "-m", "real_table", *flags], check=True, timeout=300)
    (cluster / "cluster.toml").write_text("cpus_per_task = 1\nsampling_jobs = 3\n")
    send("real_table", "--data", data, "--only", "expert", "samples")
    assert "#SBATCH --array=0-2" in (cluster / "runs/smoke/slurm/samples.sbatch").read_text()
    finished(seconds=300)
    shared, single = cluster / "runs" / "smoke" / "samples", alone / "smoke" / "samples"
    names = sorted(path.name for path in (single / "samples").glob("*.npy"))
    assert sorted(path.name for path in (shared / "samples").glob("*.npy")) == names
    assert len(names) == 8
    for name in names:
        assert (shared / "samples" / name).read_bytes() == (single / "samples" / name).read_bytes()
    assert json.loads((shared / "metrics.json").read_text()) == json.loads((single / "metrics.json").read_text())


@pytest.mark.slow
def test_a_chain_with_a_failed_job_ends_with_the_report_of_the_others(cluster, data, send, finished) -> None:
    send("torn_table", "--data", data)
    finished(seconds=300)
    now = {line.name: line for line in survey_jobs(cluster / "runs" / "smoke")}
    assert {name: line.state for name, line in now.items()} == {
        "torn_table-data": "done", "first-expert": "done", "first-expert-samples": "done", "second-expert": "failed",
        "second-expert-samples": "stopped", "torn_table-report": "done",
    }  # fmt: skip
    assert "The loss is" in now["second-expert"].detail
    folder = cluster / "runs" / "smoke" / "tables" / "torn_table"
    states = [row["state"] for row in json.loads((folder / "metrics.json").read_text())["rows"]]
    assert states[0] == "measured"
    assert states[1] != "measured"
    assert (folder / "gallery-1.png").stat().st_size > 0
    assert "Not sampled yet: second-expert-samples" in (folder / "torn_table.html").read_text()


@pytest.mark.slow
def test_table1_at_smoke_is_a_chain_that_ends_with_its_report(cluster, send, finished) -> None:
    numbers = send("table1")
    assert len(numbers) > 10
    finished(seconds=900)
    now = survey_jobs(cluster / "runs" / "smoke")
    assert {line.state for line in now} == {"done"}, [line for line in now if line.state != "done"]
    report = cluster / "runs" / "smoke" / "tables" / "table1"
    measured = [r["state"] for r in json.loads((report / "metrics.json").read_text())["rows"]]
    assert "measured" in measured
    assert (report / "table1.html").stat().st_size > 0
    assert "done" in {
        line.split()[0] for line in chain.submit(submit.Order(table="table1", profile="smoke"), Cluster())
    }
