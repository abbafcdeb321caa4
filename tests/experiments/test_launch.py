"""What SLURM and containers leave in the environment never ends in a traceback, and never in waiting for nobody."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import small_runs
import torch

from experiments.core.energy import gpu_energy_wh
from experiments.engine.cli import TableFlags, main
from experiments.engine.launch import check_gpu, check_launch, is_group
from experiments.engine.phases import phases
from experiments.engine.requeue import job_id
from experiments.runs import TrainRun
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.locks import WorkLocks

ONE = small_runs.expert(steps=2)
TWO = replace(ONE, trainer=replace(ONE.trainer, devices=2))
SAMPLES = small_runs.samples(ONE)
STEP = {"SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "x"}


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch) -> None:
    for name in [n for n in os.environ if n.startswith("SLURM_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("profile", "variables", "words"),
    [
        ("mini", {"SLURM_JOB_GPUS": "0,1"}, "although SLURM_JOB_GPUS is '0,1'"),
        ("mini", {"SLURM_JOB_GPUS": "0"}, "although SLURM_JOB_GPUS is '0'"),
        ("smoke", {"SLURM_GPUS_ON_NODE": "1"}, "although SLURM_GPUS_ON_NODE is '1'"),
        ("paper", {}, "although the paper profile is not for CPUs"),
        ("mini", {}, ""),
        ("mini", {"SLURM_GPUS_ON_NODE": "0", "SLURM_JOB_GPUS": ""}, ""),
    ],
)
def test_a_job_for_a_gpu_that_sees_none_is_refused(monkeypatch, profile, variables, words) -> None:
    """It would train on the CPU and be queued again and again (D10)."""
    for name, value in {"SLURM_JOB_ID": "7", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_gpu(profile)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if not words:
        check_gpu(profile)
        return
    with pytest.raises(UserError, match=f"Job 7 sees no GPU, {words}: torch .* is built for .*nvidia-smi"):
        check_gpu(profile)
    monkeypatch.delenv("SLURM_JOB_ID")
    check_gpu(profile)


def test_the_command_asks_before_it_packs_or_trains(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="Job 7 sees no GPU"):
        main(small_runs.quick_table, TableFlags(profile="smoke", out=tmp_path / "out", data=tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("run", "variables", "sentence"),
    [
        (ONE, {"SLURM_NTASKS": "4"}, "SLURM_NTASKS is 4, but srun did not start this process, so the other 3 do not"),
        (
            ONE,
            {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"},
            "put srun before the command, or unset SLURM_NTASKS",
        ),
        (TWO, {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"}, "put srun before the command"),
        (ONE, {"SLURM_NTASKS": ""}, "SLURM_NTASKS is '' in the environment; expected a whole number"),
        (ONE, {"SLURM_NTASKS": "1", "SLURM_LOCALID": "1(x2)"}, r"SLURM_LOCALID is '1\(x2\)'"),
        (ONE, {"SLURM_NTASKS": "4", **STEP}, r"SLURM started 4 process\(es\) of this command, and expert takes 1"),
        (TWO, {"SLURM_NTASKS": "2", **STEP}, "set --ntasks-per-node"),
        (TWO, {"SLURM_NTASKS": "1", **STEP}, "and expert takes 2"),
        (SAMPLES, {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", **STEP}, "and samples takes 1"),
    ],
)
def test_processes_that_do_not_fit_are_one_sentence(run, variables, sentence, monkeypatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence):
        check_launch([run])


@pytest.mark.parametrize(
    ("run", "variables"),
    [
        (TWO, {}),
        (ONE, {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "x"}),
        (TWO, {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "interactive"}),
        (TWO, {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", **STEP}),
        (SAMPLES, {"SLURM_NTASKS": "1", **STEP}),
    ],
)
def test_processes_that_fit_start(run, variables, monkeypatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    check_launch([run])


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5"])
def test_a_variable_without_a_number_counts_as_absent(value, monkeypatch, tmp_path) -> None:
    for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_NUM_NODES"):
        monkeypatch.setenv(name, value)
    with WorkLocks(tmp_path / "locks").try_acquire("piece") as mine:
        assert mine
    assert gpu_energy_wh() is None or gpu_energy_wh() >= 0
    monkeypatch.setenv("SLURM_JOB_ID", "")
    assert job_id() is None


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"SLURM_NTASKS": "4"}, 1, "error: SLURM_NTASKS is 4, but srun did not start this process"),
        ({"SLURM_RESTART_COUNT": "", "SLURM_JOB_ID": "", "SLURM_JOB_NUM_NODES": ""}, 0, "train expert-seed0"),
    ],
)
def test_the_command_itself(variables, code, sentence, warm, tmp_path) -> None:
    data, log = small_runs.write_data(tmp_path / "data"), tmp_path / "log.txt"
    flags = ("--data", data, "--out", tmp_path / "out", "--only", "expert-seed0")
    assert warm.wait(warm.start("quick_table", *flags, log=log, **variables)) == code
    assert sentence in log.read_text()
    assert "Traceback" not in log.read_text()
    assert code == 0 or not Path(tmp_path / "out").exists()


def test_a_process_of_a_group_that_nobody_needs_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("experiments.engine.launch.is_first_process", lambda: False)
    check_launch([TWO])  # a rank of this training
    with pytest.raises(UserError, match="start the command once"):
        check_launch([ONE])


def test_only_a_training_on_several_devices_has_a_group(monkeypatch) -> None:
    assert is_group([TWO])
    assert not is_group([ONE])
    assert not is_group([TWO, SAMPLES])
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert is_group([TWO, ONE])


def test_trainings_on_several_devices_come_between_what_single_processes_share() -> None:
    def named(name: str, run: TrainRun = ONE) -> TrainRun:
        return replace(run, name=name)

    first, second, plain, tuned = named("first", TWO), named("second", TWO), named("plain"), named("tuned")
    tuned = replace(tuned, initial=first)
    evaluator = named("evaluator", TWO)
    of_tuned = replace(small_runs.samples(tuned), name="of tuned")
    of_plain = replace(small_runs.samples(plain), name="of plain")
    measured = replace(small_runs.table_of(of_plain), evaluators=(evaluator,))
    runs = [first, evaluator, tuned, plain, of_tuned, of_plain, second]
    found = [[run.name for run in part] for part in phases(runs, [measured])]
    assert found == [["plain"], ["first"], ["tuned", "of tuned"], ["evaluator"], ["of plain"], ["second"]]
    assert phases([plain, of_plain], []) == [[plain, of_plain]]
