"""File names of a run's and of a table's folder stand in one place each; what is done is told by the files alone."""

import ast
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import small_runs

from experiments.core.results import has_results, protocols_of
from lightning_mmdiff.metrics.results import MetricResult, save_results
from lightning_mmdiff.runtime.run_folder import RULES, RunFolder
from reports.table_folder import TableFolder

ROOT = Path(__file__).parents[1]
HOMES = {"lightning_mmdiff/runtime/run_folder.py": RunFolder, "reports/table_folder.py": TableFolder}
ELSEWHERE = {
    "lightning_mmdiff/weights/table.py",  # config.json of a published model
    *("lightning_mmdiff/metrics/features.py", "lightning_mmdiff/metrics/reference_cache.py"),  # .locks of caches
    "lightning_mmdiff/hub.py",  # table.json and metrics.json of the tables beside a run, which the package reports knows
    "lightning_mmdiff/methods/collaborative/imagic.py",  # checkpoints of an edit
    # Still to be changed:
    *("experiments/core/build.py", "experiments/engine/stages.py"),
    *("experiments/protocols/costs.py", "experiments/protocols/samples.py", "experiments/protocols/score.py"),
}


def names(kind: type) -> set[str]:
    """Names of files, and of hidden folders, in a folder of ``kind``."""
    paths = [getattr(kind(Path("/x")), name) for name, value in vars(kind).items() if isinstance(value, property)]
    return {path.name for path in paths if isinstance(path, Path) and "." in path.name}


def spelled(source: str) -> set[str]:
    return {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


@pytest.mark.parametrize("package", ["lightning_mmdiff", "experiments", "reports", "slurm", "benchmarks"])
def test_no_other_file_spells_the_name_of_a_file_of_a_run_or_a_table(package: str) -> None:
    known = names(RunFolder) | names(TableFolder)
    assert {"config.json", "weights.safetensors", ".locks", "table.json", "table.md"} <= known
    for file in (ROOT / package).rglob("*.py"):
        path = file.relative_to(ROOT).as_posix()
        if path not in ELSEWHERE and path not in HOMES:
            assert not spelled(file.read_text()) & known, path


@pytest.mark.parametrize("kind", HOMES.values())
def test_no_two_files_of_a_folder_share_a_name(kind: type) -> None:
    assert [field.name for field in fields(kind)] == ["path"]
    properties = [name for name, value in vars(kind).items() if isinstance(value, property)]
    paths = [path for name in properties if isinstance(path := getattr(kind(Path("/x")), name), Path)]
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {Path("/x")}


def write_values(folder: RunFolder, **values: float) -> None:
    """Write measured values as scoring leaves them."""
    results = [
        MetricResult(protocol=name, value=value, n=2, better="higher", replicates=np.full(3, value))
        for name, value in values.items()
    ]
    save_results(folder.path, results)


def test_runs_that_have_begun_have_settings(tmp_path) -> None:
    for name in ("b", "a", "tables"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        RunFolder(tmp_path / name).config.touch()
    assert [folder.name for folder in RunFolder.begun(tmp_path)] == ["a", "b"]


def test_what_is_missing_of_the_values(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.missing(["FID", "SSIM"]) == ["FID", "SSIM"]
    write_values(folder, SSIM=0.5)
    assert folder.missing(["FID", "SSIM"]) == ["FID"]


@pytest.mark.filterwarnings("ignore:.*counts as missing")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", ""), ("metrics.json", '{"SSIM": {"va'), ("metrics.json", "[]"), ("metrics.json", '{"SSIM": null}'),
        ("metrics.json", '{"SSIM": {}}'), ("metrics.json", '{"SSIM": {"value": null}}'),
        ("metrics.json", '{"SSIM": {"value": NaN}}'), ("replicates.npz", ""), ("replicates.npz", "PK"), ("replicates.npz", None),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_missing(tmp_path, name, content) -> None:
    folder = RunFolder(tmp_path)
    write_values(folder, SSIM=0.5)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    assert folder.missing(["FID", "SSIM"]) == ["FID", "SSIM"]


def test_a_value_of_older_rules_is_there_and_made_again(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    write_values(folder, FID=20.0, SSIM=0.5)
    values = json.loads(folder.metrics.read_text())
    assert [values[name].pop("rules") for name in ("FID", "SSIM")] == [RULES, RULES]
    values["SSIM"]["rules"] = RULES
    folder.metrics.write_text(json.dumps(values))
    assert folder.missing(["FID", "SSIM"]) == ["FID"]
    assert folder.measured()["FID"][0]["value"] == 20


def test_a_run_has_results_when_every_table_has_what_it_asks_for(tmp_path) -> None:
    expert = small_runs.expert(steps=2)
    samples = small_runs.samples(expert)
    tables = [small_runs.table_of(samples, ("SSIM",)), small_runs.table_of(samples, ("SSIM", "FID"))]
    assert protocols_of(samples, tables) == ("SSIM", "FID")
    folder = RunFolder(tmp_path)
    assert not has_results(folder, samples, tables)
    write_values(folder, SSIM=0.5)
    assert not has_results(folder, samples, tables)
    assert has_results(folder, samples, tables[:1])
    assert not has_results(folder, expert, tables)
    folder.weights.touch()
    assert has_results(folder, expert, tables)
