"""All tables in one command: order, time left, what is kept when one fails, and how it stops."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import INDEX, record
from experiments.core.provenance import peak_memory_gib
from experiments.record import RecordFlags, chosen, minutes, run, words
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.interruption import Interrupted, raising
from reports import doc_pictures, recorded, results_page
from reports.table_folder import TableFolder

ROOT = Path(__file__).parents[2]


def test_tables_keep_the_order_of_the_index() -> None:
    assert chosen(()) == list(INDEX)
    assert [entry.name for entry in chosen(("table10", "table1"))] == ["table1", "table10"]
    with pytest.raises(UserError, match="Unknown table 'tabel1': choose from table1, .*did you mean"):
        chosen(("tabel1",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24 min", 24), ("6 min after table1", 6), ("seconds after table1", 0.5), ("about 30 min", 30)],
)
def test_minutes_are_read_from_the_index(text: str, expected: float) -> None:
    assert minutes(replace(INDEX[0], mini=text)) == expected


def test_a_table_gets_the_flags() -> None:
    given = words("table1", RecordFlags(seeds=3, workers=2, out=Path("o"), data=Path("d")))
    assert " ".join(given) == "-m experiments.table1 --profile mini --seeds 3 --workers 2 --out o --data d"


SPENT = {"seconds": 90.0, "processor_seconds": 120.0, "peak_memory_gib": 1.5}


def test_a_failed_table_is_named_after_all_others_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, kept = [], []
    monkeypatch.setattr(record, "write_pass", lambda folder, spent: None)
    monkeypatch.setattr(
        record, "run", lambda arguments: ran.append(arguments[1]) or (int("table4" in arguments[1]), SPENT)
    )
    monkeypatch.setattr(results_page, "record", lambda profile, name, folder: kept.append((profile, name)) or folder)
    with pytest.raises(UserError, match=r"not recorded: table4 \(exit code 1\); the others are"):
        record.main(RecordFlags(tables=("table2", "table4", "table11"), out=tmp_path, docs=tmp_path))
    assert ran == ["experiments.table2", "experiments.table4", "experiments.table11"]
    assert kept == [(tmp_path / "mini", "table2"), (tmp_path / "mini", "table11")]


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of tables write nothing but a table.json, in 90 seconds each."""

    def run(arguments: list[str]) -> tuple[int, dict[str, float]]:
        folder = TableFolder.of(tmp_path / "mini", arguments[1].removeprefix("experiments."))
        folder.path.mkdir(parents=True, exist_ok=True)
        origin = {"commit": "abc", "dirty": False, "hardware": "2 cores", "date": "today", "versions": {}}
        folder.table.write_text(json.dumps({"provenance": origin}))
        return 0, SPENT

    monkeypatch.setattr(record, "run", run)
    monkeypatch.setattr(results_page, "record", lambda profile, name, folder: folder)
    monkeypatch.setattr(doc_pictures, "draw", lambda profile, name, docs: [docs / f"{name}.png"])


def test_the_time_left_follows_what_the_tables_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(tmp_path, monkeypatch)
    times = {"table2": "7 min after table1", "table4": "3 min after table1", "night2day": "6 min"}
    entries = [replace(INDEX[0], name=name, mini=text) for name, text in times.items()]
    monkeypatch.setattr(record, "chosen", lambda names: entries)
    record.main(RecordFlags(seeds=1, out=tmp_path))
    said = " ".join(capsys.readouterr().out.split()).split(" of 3] ")[1:]
    assert "table2: about 7 min by the index, less what is done; 16 min to the end" in said[0]
    assert "table4: about 39 s by the index, less what is done; 1 min 56 s" in said[1]  # as 7 min took 90 s
    assert "docs/night2day.png drawn" in said[2]
    assert "night2day: about 1 min 48 s by the index, less what is done; 1 min 48 s" in said[2]  # as 10 min took 180 s


def test_a_pass_is_kept_if_nothing_of_the_table_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch)
    flags = RecordFlags(tables=("table2", "table4"), seeds=2, workers=2, out=tmp_path)
    record.main(flags)
    first, second = (TableFolder.of(tmp_path / "mini", name).costs for name in flags.tables)
    origin = {"commit": "abc", "dirty": False, "hardware": "2 cores", "date": "today"}
    assert json.loads(first.read_text()) == {**SPENT, **origin, "workers": 2, "seeds": 2, "after": []}
    assert json.loads(second.read_text())["after"] == ["table2"]
    first.unlink()
    record.main(flags)  # goes on with what is there, or has nothing to do
    assert not first.exists()
    assert second.exists()


def test_exit_codes_of_a_command() -> None:
    assert run(["-c", "raise SystemExit(3)"])[0] == 3
    for stopped in ("raise SystemExit(130)", "import os; os.kill(os.getpid(), 2 * 9 // 2)"):
        with pytest.raises(Interrupted):
            run(["-c", stopped])


def test_time_and_memory_of_a_command_are_those_of_all_its_processes() -> None:
    size = peak_memory_gib() + 0.2  # more than this process, whose copy the command is at first
    child = f"import time; x = b'x' * {round(size * 2**30)}\nwhile time.process_time() < .6: pass"
    code, spent = run(["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"])
    assert code == 0
    assert 0.6 < spent["processor_seconds"] < spent["seconds"] + 1
    assert size < spent["peak_memory_gib"] < size + 0.1


def test_sigterm_reaches_the_table_and_waits_for_it(tmp_path: Path) -> None:
    saves = tmp_path / "saved"
    script = (
        "import signal, sys, time; from pathlib import Path\n"
        f"def save(*_): time.sleep(.5); Path({str(saves)!r}).touch(); sys.exit(143)\n"
        f"signal.signal(signal.SIGTERM, save); Path({str(tmp_path / 'ready')!r}).touch(); time.sleep(60)"
    )

    def stop() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted), raising():
        run(["-c", script])
    assert saves.exists()


@pytest.mark.slow
def test_a_real_table_is_run_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "results" / "page.md", folder)
    flags = ["table11", "--seeds", "1", "--out", str(tmp_path / "runs"), "--docs", str(tmp_path / "docs")]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.record", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = recorded.read(folder / "table11.json")
    metrics = json.loads(TableFolder.of(tmp_path / "runs" / "mini", "table11").metrics.read_text(encoding="utf-8"))
    assert [row.label for row in kept.rows] == [row["label"] for row in metrics["rows"]]
    assert "[1 of 1] table11: about" in done.stdout
    costs = kept.provenance["costs"]
    (one,) = costs["passes"]
    assert 0 < costs["first_seed"] == costs["processor_seconds"] == costs["added"] < one["processor_seconds"]
    assert (one["workers"], one["seeds"], one["after"]) == (1, 1, [])
    assert 0.05 < costs["peak_memory_gib"] <= one["peak_memory_gib"] + 0.01
    assert one["commit"] == kept.provenance["commit"]
