"""From tables to scripts, without a SLURM: what is asked for, what waits for what, what is refused."""

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toy_table

from experiments import INDEX, table1
from experiments.core.cluster import Cluster
from experiments.core.run_config import as_json
from experiments.engine import cli
from experiments.runs import SampleRun, TrainRun
from experiments.spec import plan
from lightning_mmdiff.runtime.files import write_json
from slurm import __main__ as commands
from slurm import chain, scheduler, submit
from slurm import jobs as jobs_module
from slurm.jobs import jobs
from slurm.order import Order, job_name
from slurm.script import options, render, time_limit

ROOT = Path(__file__).parents[2]
PAPER = Order(table="table1", profile="paper", data=Path("/data"))


def by_label(order: Order, cluster: Cluster | None = None) -> dict[str, jobs_module.Job]:
    return {job.label: job for job in jobs(order, cluster or Cluster())}


def test_every_run_of_the_plan_is_one_job_after_what_it_needs() -> None:
    found = by_label(PAPER)
    runs = plan([table1.table("paper", 0)])
    assert list(found) == ["table1-data", *(run.name for run in runs), "table1-report"]
    for run in runs:
        assert set(found[run.name].needs) == {"table1-data", *(need.name for need in run.needs)}
        assert found[run.name].kind == ("train" if isinstance(run, TrainRun) else "sample")
    assert set(found["table1-report"].needs) == set(found) - {"table1-report"}


@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
def test_every_table_becomes_jobs_in_the_order_of_their_needs(name) -> None:
    before: set[str] = set()
    for job in jobs(Order(table=name, profile="paper", seeds=2), Cluster(nodes=64)):
        assert set(job.needs) <= before, job.label
        before.add(job.label)
    assert {f"{name}-data", f"{name}-report"} <= before  # nothing else where no row can be made at paper


def test_samples_wait_for_the_evaluators_that_score_them() -> None:
    found = by_label(Order(table="table1", profile="mini"))
    for job in found.values():
        assert ("face-parser" in job.needs) == (job.kind in ("sample", "report"))


def test_the_command_is_the_local_one_and_it_parses() -> None:
    found = by_label(replace(PAPER, seeds=2), Cluster(python="python", container="apptainer exec --nv my.sif"))
    command = found["real-celeba"].command
    assert command == (
        "apptainer exec --nv my.sif python -m experiments.table1 --profile paper --out runs --data /data --seeds 2 "
        "--only real-celeba"
    )
    flags = cli.tyro.cli(cli.TableFlags, args=command.split()[7:])
    assert flags == cli.TableFlags(profile="paper", data=Path("/data"), seeds=2, only=("real-celeba",))
    for part in ("data", "report"):
        assert cli.tyro.cli(cli.TableFlags, args=found[f"table1-{part}"].command.split()[7:]).part == part


def test_every_seed_is_a_job_of_its_own_and_images_are_shared_by_an_array() -> None:
    two = by_label(replace(PAPER, seeds=2))
    assert {"hair-expert", "hair-expert-seed1", "ours-celeba", "ours-celeba-seed1"} <= set(two)
    assert "hair-expert-seed1" in two["ours-celeba-seed1"].needs
    assert "hair-expert" not in two["ours-celeba-seed1"].needs
    assert two["hair-expert-seed1"].command.endswith("--seeds 2 --only hair-expert-seed1")
    shared = by_label(PAPER, Cluster(sampling_jobs=4))
    assert shared["ours-celeba"].workers == 4
    assert shared["hair-expert"].workers == 1
    assert "#SBATCH --array=0-3" in render(shared["ours-celeba"], PAPER, Cluster())
    assert shared["ours-celeba"].minutes < two["ours-celeba"].minutes
    numbers = {"table1-data": ["3"], "hair-expert": ["7", "9"], "unknown": ["8"]}
    assert chain.dependency(shared["ours-celeba"], numbers) == "afterok:3,afterok:7,afterok:9,singleton"
    assert chain.dependency(two["table1-report"], {"hair-expert": ["7"]}) == "afterany:7,singleton"


def test_resources_come_from_the_recipe_and_the_cluster_file() -> None:
    job = next(iter(j for j in jobs(PAPER, Cluster()) if j.label == "hair-expert"))
    large = replace(job, nodes=2, processes=4, gpus=4)
    cluster = Cluster(
        partition="gpu", account="me", qos="high", options=("--mail-type=FAIL",), gpu_option="--gres=gpu:a100:{gpus}",
        memory_per_task_gib=16, cpus_per_task=6, notice_seconds=300, modules=("cuda", "gcc"), setup=("source env",),
    )  # fmt: skip
    found = options(large, PAPER, cluster)
    for option in (
        "--nodes=2", "--ntasks-per-node=4", "--gres=gpu:a100:4", "--mem=64G", "--cpus-per-task=6", "--partition=gpu",
        "--account=me", "--qos=high", "--mail-type=FAIL", "--signal=SIGUSR1@300", "--requeue", "--open-mode=append",
        f"--job-name={job_name(PAPER.runs, 'hair-expert')}",
    ):  # fmt: skip
        assert option in found
    text = render(large, PAPER, cluster)
    assert "module load cuda gcc\nsource env\n" in text
    assert "HF_HUB_OFFLINE=1" in text
    mini = by_label(Order(table="table1"))["hair-expert"]
    assert not [o for o in options(mini, Order(table="table1"), cluster) if "gres" in o]
    report = by_label(PAPER)["table1-report"]
    assert "--partition=cpu" in options(report, PAPER, replace(cluster, cpu_partition="cpu"))
    assert "--requeue" not in options(report, PAPER, cluster)
    assert not [o for o in options(report, PAPER, cluster) if "partition" in o]  # it has no use for GPUs


def test_time_limits_are_those_of_the_work_within_those_of_the_cluster() -> None:
    slow, fast = by_label(PAPER, Cluster(max_hours=100)), by_label(PAPER, Cluster(max_hours=100, gpu_speed=2))
    assert slow["hair-expert"].minutes == pytest.approx(2 * fast["hair-expert"].minutes, abs=2)
    assert {job.minutes for job in by_label(PAPER, Cluster(max_hours=0.5)).values()} <= {15, 30}
    assert time_limit(61) == "0-01:01:00"
    assert time_limit(2 * 1440 + 5) == "2-00:05:00"


def test_names_differ_between_folders_and_not_between_calls(tmp_path) -> None:
    assert job_name(PAPER.runs, "x") == job_name(Path("runs").resolve() / "paper", "x")
    assert job_name(PAPER.runs, "x") != job_name(tmp_path / "paper", "x")
    assert re.fullmatch(r"x\.[0-9a-f]{6}", job_name(PAPER.runs, "x"))


def test_what_cannot_be_submitted_is_refused_before_anything_is(tmp_path, monkeypatch) -> None:
    with pytest.raises(ValueError, match="--only nonsense: no such run"):
        jobs(replace(PAPER, only=("nonsense",)), Cluster())
    for name in ("table99", "os", "rich.table", "", ".table1", "../table1", "table1.py"):
        with pytest.raises(ValueError, match=f"No table is called '{name}'; there are table1"):
            jobs(replace(PAPER, table=name), Cluster())
    for seeds in (0, -1):
        with pytest.raises(ValueError, match=f"--seeds is {seeds}; it must be at least 1"):
            jobs(replace(PAPER, seeds=seeds), Cluster())
    plain = Order.tables

    def wide(self):
        [table] = plain(self)
        expert = next(r for r in plan([table]) if isinstance(r, TrainRun))
        trainer = replace(expert.trainer, devices=16)
        return [replace(table, evaluators=(replace(expert, trainer=trainer, batch_size=16, name="wide"),))]

    monkeypatch.setattr(Order, "tables", wide)
    with pytest.raises(
        ValueError, match=r"wide needs 1 node\(s\) with 16 GPU\(s\) each; the cluster file grants 1 with 8"
    ):
        jobs(PAPER, Cluster())


def test_only_keeps_the_dependencies_among_what_is_left() -> None:
    found = by_label(replace(PAPER, only=("hair-expert", "ours-celeba")))
    assert list(found) == ["table1-data", "hair-expert", "ours-celeba"]
    assert set(found["ours-celeba"].needs) == {"table1-data", "hair-expert"}


def test_another_setting_under_the_same_name_is_found_before_a_job_waits(tmp_path, monkeypatch) -> None:
    order = Order(table="toy_table", profile="smoke", out=tmp_path)
    run = next(r for r in plan([toy_table.table("smoke", 0)]) if isinstance(r, SampleRun))
    write_json(tmp_path / "smoke" / run.name / "config.json", as_json(replace(run, num_images=4)))
    with pytest.raises(ValueError, match="num_images: 4 there, 32 now"):
        chain.submit(order, Cluster(), dry_run=True)


def test_a_planted_order_chooses_no_cluster_file_and_a_planted_link_no_folder(tmp_path, monkeypatch) -> None:
    """A cluster file runs shell lines in every job; the one that an order.json named was taken (D8)."""
    folder = tmp_path / "smoke" / "slurm"
    (tmp_path / "evil.toml").write_text('setup = ["touch ran"]')
    for name in ("toy_table.order.json", "order.json"):
        write_json(
            folder / name, {"data": None, "seeds": 1, "only": [], "jobs": [], "cluster": str(tmp_path / "evil.toml")}
        )
    monkeypatch.setattr(commands, "read_cluster", lambda path: Cluster(cpus_per_task=3) if path is None else None)
    monkeypatch.setattr(chain.scheduler, "queue", lambda: [])
    monkeypatch.setattr(chain.scheduler, "submit", lambda path, after: "1")
    commands.resubmit("toy_table", "smoke", tmp_path)
    scripts = [path.read_text() for path in folder.glob("*.sbatch")]
    assert scripts
    assert all("--cpus-per-task=3" in text and "touch ran" not in text for text in scripts)
    (tmp_path / "private").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "slurm").symlink_to(tmp_path / "private")
    (tmp_path / "smoke").rename(tmp_path / "old")
    (tmp_path / "other").rename(tmp_path / "smoke")
    with pytest.raises(ValueError, match="smoke/slurm leads to .*private"):
        list(chain.submit(Order(table="toy_table", profile="smoke", out=tmp_path), Cluster(), dry_run=True))
    assert not list((tmp_path / "private").iterdir())


def test_a_dry_run_writes_scripts_that_bash_understands(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    order = Order(table="toy_table", profile="smoke", out=tmp_path, seeds=2)
    said = list(chain.submit(order, Cluster(), dry_run=True))
    assert {line.split()[0] for line in said} == {"written"}
    scripts = sorted((tmp_path / "smoke" / "slurm").glob("*.sbatch"))
    assert len(scripts) == len(said)
    for script in [*scripts, ROOT / "slurm/template.sbatch", ROOT / "slurm/table1_paper.sbatch"]:
        subprocess.run(["bash", "-n", script], check=True)


def test_the_files_to_submit_by_hand_ask_for_what_the_code_asks_for() -> None:
    job = by_label(PAPER)["hair-expert"]
    ours = {o.partition("=")[0] for o in options(job, PAPER, Cluster())} - {"--chdir"}
    for name in ("template", "table1_paper"):
        text = (ROOT / "slurm" / f"{name}.sbatch").read_text()
        theirs = set(re.findall(r"^#SBATCH (--[\w-]+)", text, re.MULTILINE))
        assert theirs == ours, name
        (command,) = re.findall(r"^ +python -m experiments\.\S+ (.*)$", text, re.MULTILINE)
        flags = re.sub(r'"\$\{\w+:-([^}]+)\}"', r"\1", command).split()
        assert cli.tyro.cli(cli.TableFlags, args=flags).profile == "paper"


def test_launcher_slurm_hands_the_same_flags_over(monkeypatch) -> None:
    seen: list[list[str]] = []

    def run(words, check):
        seen.append(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(cli.subprocess, "run", run)
    monkeypatch.setattr(cli, "_module", lambda: "experiments.table1")
    cli.main(
        table1.table,
        cli.TableFlags(profile="paper", launcher="slurm", data=Path("/d"), seeds=2, only=("hair-expert",)),
    )
    flags = submit.tyro.cli(submit.SubmitFlags, args=seen[0][3:])
    assert flags == submit.SubmitFlags(table="table1", profile="paper", data=Path("/d"), seeds=2, only=("hair-expert",))
    with pytest.raises(ValueError, match="--part data is done here"):
        cli.main(table1.table, cli.TableFlags(launcher="slurm", part="data"))


def test_the_accounting_is_asked_first(tmp_path, monkeypatch) -> None:
    """Where there is accounting; the tests' own SLURM has none."""
    sacct = tmp_path / "sacct"
    sacct.write_text("#!/bin/sh\necho '7_0|COMPLETED|0:0|None'\necho '7_1|CANCELLED by 1000|0:15|None'\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert scheduler.ended("7_1") == scheduler.Ended(state="CANCELLED", exit_code="0:15", reason="None")
    assert scheduler.ended("7_0").state == "COMPLETED"


def test_without_slurm_there_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="squeue is not to be found; run this on a login node"):
        scheduler.queue()


@pytest.mark.parametrize(
    ("module", "words", "sentence"),
    [
        ("slurm", ["cancel", "expert"], "error: expert: no such job in "),
        ("slurm.submit", ["table99"], "error: No table is called 'table99'; there are table1, "),
        ("experiments.doctor", ["table99"], "error: Unknown table 'table99': choose from table1, "),
    ],
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*")
def test_a_mistake_is_one_sentence_and_a_fault_of_ours_a_traceback(
    module: str, words: list[str], sentence: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "argv", [module, *words, "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(module, run_name="__main__")
    assert str(stop.value).startswith(sentence)
    assert "\n" not in str(stop.value)

    def fault(*_: object, **__: object) -> None:
        raise ValueError("ours")

    (tmp_path / "mini" / "slurm").mkdir(parents=True, exist_ok=True)
    for place in ("slurm.records.read", "slurm.jobs.jobs", "experiments.core.cluster.read_cluster"):
        monkeypatch.setattr(place, fault)
    monkeypatch.setattr("experiments.INDEX", None)
    with pytest.raises((ValueError, TypeError), match=r"ours|not iterable"):
        runpy.run_module(module, run_name="__main__")


def test_a_table_that_cannot_import_something_is_not_called_unknown(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_table.py").write_text("import nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        Order(table="broken_table").tables()
