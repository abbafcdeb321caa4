"""Every table through its real command at smoke: the reports are there, and a second call has nothing left to do."""

import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import small_runs

from datamodules.storage.sources import SOURCES
from experiments import INDEX
from experiments.engine import cli, stages
from experiments.engine.cli import TableFlags, main
from experiments.figures import reporting
from experiments.runs import SampleRun, TrainRun
from experiments.spec import plan

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
NAMES = [entry.name for entry in INDEX]
QUICK = "table4"
"""The table that is done first; the others share its runs."""
REPORT = ("table.json", "metrics.json", "table.md", "table.tex", "table-full.tex", "table.csv")


def command(folder: Path, name: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", "--profile", "smoke", *flags],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Working folder in which the quick table is done."""
    folder = tmp_path_factory.mktemp("smoke")
    command(folder, QUICK)
    return folder


def files(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_second_call_computes_nothing(folder, monkeypatch) -> None:
    before = files(folder)

    def forbidden(*_: object) -> None:
        raise AssertionError("nothing was left to do")

    for stage in ("train", "sample", "score"):
        monkeypatch.setattr(stages, stage, forbidden)
    monkeypatch.setattr(reporting, "_draw", forbidden)
    told = json.loads((folder / "runs/smoke/tables" / QUICK / "table.json").read_text())
    monkeypatch.setattr(cli, "_command", lambda flags: told["command"])  # this process has another, and perhaps
    monkeypatch.setattr(reporting, "environment", lambda: dict(told["provenance"]))  # another state of the checkout
    monkeypatch.chdir(folder)
    table = importlib.import_module(f"experiments.{QUICK}").table
    main(table, TableFlags(profile="smoke"))
    changed = {p.relative_to(folder) for p, modified in files(folder).items() if before.get(p) != modified}
    report = Path("runs/smoke/tables") / QUICK
    changed = {path for path in changed if path.name != SOURCES}  # files were too new to be known by their times
    again = {report / name for name in (*REPORT, f"{QUICK}.html", "replicates.npz")}
    assert changed <= again, changed  # the notebook is current, so it is kept


@pytest.mark.slow
def test_only_does_one_run_and_no_report(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    run = folder / "runs" / "smoke" / "real-celeba"
    scores, weights = run / "metrics.json", folder / "runs" / "smoke" / "hair-expert" / "weights.safetensors"
    values, modified = json.loads(scores.read_text()), weights.stat().st_mtime_ns
    report = folder / "runs" / "smoke" / "tables" / QUICK / "table.json"
    before = report.read_bytes()
    scores.unlink()
    main(importlib.import_module(f"experiments.{QUICK}").table, TableFlags(profile="smoke", only=("real-celeba",)))
    again = json.loads(scores.read_text())
    assert again.keys() == values.keys()
    for protocol, entry in again.items():  # the number of threads differs
        assert entry["value"] == pytest.approx(values[protocol]["value"], rel=1e-4, abs=1e-4)
    assert weights.stat().st_mtime_ns == modified
    assert report.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_table_and_report(folder, name) -> None:
    if name != QUICK:
        printed = command(folder, name)
        assert "SMOKE: meaningless numbers" in printed
    report = folder / "runs" / "smoke" / "tables" / name
    for file in (*REPORT, f"{name}.ipynb", f"{name}.html"):
        assert (report / file).stat().st_size > 0, file
    table = importlib.import_module(f"experiments.{name}").table("smoke", 0)
    shows = any(row.sample and row.sample.method.makes_images and not row.sample.method.is_real for row in table.rows)
    assert bool(list(report.glob("gallery-*.png"))) == shows
    rows = json.loads((report / "metrics.json").read_text())["rows"]
    assert [row["label"] for row in rows] == [row.label for row in table.rows]
    for row, described in zip(rows, table.rows):
        if described.sample is not None:
            assert row["state"] == "measured", row["reason"]
            assert all(cell["value"] is not None for cell in row["cells"].values())
    for run in plan([table]):
        assert {"config.json"} <= {p.name for p in (folder / "runs" / "smoke" / run.name).iterdir()}


@pytest.mark.slow
def test_a_notebook_samples_again_with_another_reliability(folder) -> None:
    report = folder / "runs" / "smoke" / "tables" / QUICK
    notebook = json.loads((report / f"{QUICK}.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (again,) = [cell for cell in cells if cell.startswith("a = 0.25")]
    code = "\n".join(
        [cells[0], "def sample(a):", *(f"    {line}" for line in again.splitlines()[1:]), "    return images"]
    )
    code += "\nprint((sample(0.25) != sample(1.0)).double().mean().item(), (sample(0.5) == sample(0.5)).all().item())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", code], cwd=report, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    differ, same = done.stdout.splitlines()[-1].split()  # after what the first cell displays
    assert float(differ) > 0.1
    assert same == "True"


@pytest.mark.slow
def test_two_workers_share_the_runs_and_give_the_numbers_of_one(tmp_path) -> None:
    values = []
    for count in (1, 2):
        out = tmp_path / str(count)
        command(tmp_path, "table6", "--workers", str(count), "--out", str(out))
        rows = json.loads((out / "smoke/tables/table6/metrics.json").read_text())["rows"]
        values.append([cell["value"] for row in rows for cell in row["cells"].values()])
    # Which runs fall to the second worker is a matter of time; that some do is not.
    assert re.search(r"\[\d+/\d+\] (train|sample and score) ", (out / "smoke/workers/2.log").read_text())
    assert values[0] == values[1]


def test_seeds_give_intervals_over_seeds(tmp_path) -> None:
    data = small_runs.write_data(tmp_path / "data")
    main(small_runs.quick_table, TableFlags(profile="smoke", data=data, out=tmp_path / "runs", seeds=2))
    [row] = json.loads((tmp_path / "runs/smoke/tables/small/metrics.json").read_text())["rows"]
    cell = row["cells"]["SSIM"]
    assert cell["seeds"] == [0, 1]
    assert len(set(cell["seed_values"])) == 2
    low, high = cell["interval"]
    assert low <= cell["value"] <= high
    assert cell["value"] == pytest.approx(sum(cell["seed_values"]) / 2)


def test_seeds_of_a_table_are_runs_of_their_own() -> None:
    table = importlib.import_module(f"experiments.{QUICK}").table
    names = [{r.name for r in plan([table("smoke", seed)])} for seed in range(2)]
    shared = {"face-parser", "real-celeba"}
    assert names[0] & names[1] == shared
    [first, second] = [{r.name.removesuffix("-seed1"): r for r in plan([table("smoke", seed)])} for seed in range(2)]
    for name, run in first.items():
        if isinstance(run, TrainRun):
            sources = {role: getattr(run, role) for role in ("embedder", "autoencoder", "experts", "initial")}
            assert replace(second[name], seed=run.seed, name=run.name, **sources) == run
        elif isinstance(run, SampleRun):
            assert second[name].num_images == run.num_images
