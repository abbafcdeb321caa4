"""What the provenance of a run says about its cost."""

import json
import subprocess
from pathlib import Path

from experiments.core import provenance
from experiments.core.provenance import peak_memory_gib, recorded
from lightning_mmdiff.runtime.run_folder import RunFolder


def record(folder: Path) -> dict:
    return json.loads(RunFolder(folder).provenance.read_text())["stage"]["train"]


def test_times_of_a_resumed_stage_add_up_and_what_one_part_did_not_measure_stays_unknown(tmp_path) -> None:
    with recorded(tmp_path, "train"):
        sum(range(1_500_000))
    first = record(tmp_path)
    assert 0 < first["processor_seconds"] <= first["seconds"] + 0.1
    with recorded(tmp_path, "train"):
        sum(range(1_500_000))
    assert record(tmp_path)["processor_seconds"] > first["processor_seconds"]
    path = RunFolder(tmp_path).provenance
    path.write_text(path.read_text().replace("processor_seconds", "of_an_older_version"))
    with recorded(tmp_path, "train"):
        pass
    assert record(tmp_path)["processor_seconds"] is None
    assert record(tmp_path)["seconds"] > 0


def test_a_stage_shared_by_processes_keeps_the_memory_of_the_largest(tmp_path) -> None:
    with recorded(tmp_path, "train"):
        pass
    own, path = record(tmp_path)["peak_memory_gib"], RunFolder(tmp_path).provenance
    assert 0 < own == round(peak_memory_gib(), 2)
    for of_another, kept in ((own + 1.5, own + 1.5), (0.01, own)):
        path.write_text(json.dumps({"stage": {"train": {**record(tmp_path), "peak_memory_gib": of_another}}}))
        with recorded(tmp_path, "train"):
            pass
        assert record(tmp_path)["peak_memory_gib"] == kept


def test_recorded_tables_and_pictures_are_no_local_changes(tmp_path, monkeypatch) -> None:
    core, docs = tmp_path / "experiments" / "core", tmp_path / "docs" / "results"
    for folder in (core, docs):
        folder.mkdir(parents=True)
        (folder / "file.py").touch()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (("init",), ("add", "."), (*identity, "commit", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(provenance, "__file__", str(core / "provenance.py"))
    monkeypatch.setattr(provenance, "gpu_names", list)

    def dirty() -> bool:
        return provenance.environment.__wrapped__()["dirty"]

    assert not dirty()
    (docs / "file.py").write_text("changed")
    (docs / "table1.json").touch()
    assert not dirty()
    (core / "file.py").write_text("changed")
    assert dirty()
