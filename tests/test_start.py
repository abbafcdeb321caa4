"""Commands that only read start without PyTorch, in 1.5 seconds of processor time; work starts it; typos get a suggestion."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import INDEX
from experiments.core.run_config import as_json
from experiments.spec import plan
from lightning_mmdiff.runtime import stand_ins

ROOT = Path(__file__).parents[1]
MOST_SECONDS, TRIES = 1.5, 3
AT_EXIT = """
import atexit, os, sys
def note():
    with open(os.environ["NOTE"], "w") as file:
        file.write("torch" if "torch._C" in sys.modules else "")
atexit.register(note)
"""
PLANS = """
import importlib, json, sys
from lightning_mmdiff.runtime import stand_ins
stand_ins.install()
from experiments import INDEX
from experiments.core.run_config import as_json
from experiments.spec import plan
tables = [importlib.import_module(f"experiments.{e.name}") for e in INDEX]
runs = [as_json(r) for t in tables for p in ("smoke", "mini", "paper") for r in plan([t.table(p, 0)])]
assert "torch._C" not in sys.modules
print(json.dumps(runs))
"""


@pytest.fixture
def start(tmp_path):
    """Run a command; return its end, the processor seconds it took, and what it had loaded of PyTorch at its end."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(AT_EXIT)
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)]), "NOTE": str(tmp_path / "note"),
        "OMP_NUM_THREADS": "1", "COLUMNS": "80",
    }  # fmt: skip

    def run(*words: str):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return done, seconds, (tmp_path / "note").read_text()

    return run


@pytest.mark.parametrize(
    "words",
    [
        "mmdiff --help", "mmdiff list", "mmdiff run table1 --launcher dry-run", "experiments --profile paper",
        "experiments.table1 --help", "experiments.cifar10 --launcher dry-run --profile paper", "experiments.doctor --help",
        "mmdiff slurm --help",
    ],
)  # fmt: skip
def test_what_only_reads_starts_in_a_second_without_torch(start, words) -> None:
    for _ in range(TRIES):
        done, seconds, loaded = start(*words.split())
        assert (done.returncode, loaded) == (0, ""), done.stderr
        if seconds <= MOST_SECONDS:
            return
    pytest.fail(f"{seconds:.2f} processor seconds")


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        ("experiments.tabel1", "table1"),
        ("mmdiff run tabel1", "table1"),
        ("mmdiff rum table1", "run"),
        ("mmdiff run table1 --only hair-exprt", "hair-expert"),
        ("mmdiff run table1 --profil smoke", "--profile"),
        ("mmdiff run table1 --profile smok", "did you mean 'smoke'"),
        ("experiments.table1 --launcher dryrun", "did you mean 'dry-run'"),
        ("mmdiff report tabel1", "did you mean 'table1'"),
        ("mmdiff report --profle smoke", "did you mean '--profile'"),
        ("mmdiff prefetch --tabel table1", "did you mean '--table'"),
        ("mmdiff slurm statsu", "did you mean 'status'"),
        ("mmdiff slurm submit table1 --clustr x", "did you mean '--cluster'"),
        ("experiments.doctor tabel9", "table9"),
        ("mmdiff list tabel9", "table9"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(start, words, suggestion) -> None:
    done, _, loaded = start(*words.split())
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert suggestion in said
    assert "Traceback" not in said
    assert loaded == ""


def test_the_list_has_each_table_once_and_whole_notes_at_80_columns(start) -> None:
    done, *_ = start("experiments")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in done.stdout
    begin, end = (lines[0].index(heading) for heading in ("mini", "state"))
    for entry in INDEX:
        (first,) = [number for number, line in enumerate(lines) if line.split()[:1] == [entry.name]]
        rest = [line[begin:end] for line in lines[first : first + 4]]
        assert " ".join(" ".join(rest).split()).startswith(entry.mini), entry.name
    assert len(lines) <= 2 * len(INDEX)


def test_help_names_the_command_as_it_was_typed(start) -> None:
    assert "usage: python -m experiments.table4 " in start("experiments.table4", "--help")[0].stdout
    assert "usage: mmdiff run " in start("mmdiff", "run", "table4", "--help")[0].stdout


def test_a_completion_script_knows_commands_tables_and_flags(start) -> None:
    script = start("mmdiff", "--tyro-print-completion", "bash")[0].stdout
    assert all(word in script for word in ("prefetch", "resubmit", "reliability_sweep", "--launcher", "dry-run"))
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_work_loads_the_libraries_and_a_second_call_does_not(start) -> None:
    """Table 11 reads its numbers off a configuration; counting them takes PyTorch."""
    words = ("experiments.table11", "--profile", "smoke")
    done, _, loaded = start(*words)
    assert done.returncode == 0, done.stderr
    assert loaded == "torch"
    first = done.stdout
    for _ in range(TRIES):
        done, seconds, loaded = start(*words)
        assert (done.returncode, loaded) == (0, ""), done.stderr
        if seconds <= MOST_SECONDS:
            break
    assert seconds <= MOST_SECONDS
    shown, _, end = done.stdout.rpartition("\n\n")
    assert end == "Nothing to do. The report is runs/smoke/tables/table11/table11.html\n"
    assert shown in first


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what is loaded from /proc")
def test_ctrl_c_while_the_libraries_load_is_a_sentence(tmp_path) -> None:
    """It was a traceback through half of PyTorch (F6)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.table1", "--profile", "smoke"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), stand_ins.LOADED: "1"},
    )  # fmt: skip
    mapped = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "libtorch_cpu" not in mapped.read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "Stopped. Run the same command again to go on.\n"
    assert process.returncode in (130, -signal.SIGINT)


def test_plans_are_the_same_with_and_without_the_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANS], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )  # fmt: skip
    tables = [importlib.import_module(f"experiments.{entry.name}") for entry in INDEX]
    profiles = ("smoke", "mini", "paper")
    runs = [as_json(run) for table in tables for p in profiles for run in plan([table.table(p, 0)])]
    assert json.loads(done.stdout) == json.loads(json.dumps(runs))
