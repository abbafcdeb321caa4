"""The profile of released models: what it needs, what it says of models that nobody published, all tables to the end."""

import importlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import stand_in_files
import stand_in_photographs
import stand_in_weights
from reduced import Reduction
from test_paper_walk import FEW, UNPUBLISHED, of_few_images, render

from experiments import doctor, prefetch
from experiments.core import costs
from experiments.engine.cli import TableFlags, main, tables_of
from experiments.figures import reporting
from experiments.protocols import catalogue
from experiments.protocols.needed_weights import needed_weights
from experiments.runs import Run, SampleRun
from experiments.spec import Table, plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics import frechet_infinity
from reports.write import write_all

FACE, SKETCH = "unite_and_conquer_face", "unite_and_conquer_sketch"
INADE = ("inade_generator", "inade_encoder")
NEEDED = {
    "table1": {FACE, *INADE},
    "table2": {FACE, *INADE},
    "table3": {"glide", "glide_upsampler", "adm_64"},
    "table4": {FACE},
    "reliability_sweep": {FACE},
    "four_modalities": {FACE, SKETCH},
    "table7": {"adm_128", "adm_classifier_128"},
    "table9": {"collaborative_256", "collaborative_512"},
    "table10": {"collaborative_256"},
    "influence_maps": {"collaborative_256"},
    "editing": {"collaborative_256"},
}
"""Table -> published diffusion models that it needs."""
MEASURED = {
    "table1": {"OURS"},
    "table3": {"GLIDE", "CompGen", "a = 0", "a = 0.5", "a = 1", "a = 4/9, null class 0 (released code)"},
    "table4": {"face expert alone", "one model, both conditions", "OURS"},
    "table7": {"ADM*", "ADM*, guided"},
    "table9": {"Composable", "Ours", "Ours, 512"},
    "table10": {"Ours w/o Spatial", "Ours w/o Temporal", "Ours"},
}
"""Table -> rows that must be measured, of those that the papers print or that stand beside them."""
reduction = Reduction()


def table(name: str) -> Table:
    return importlib.import_module(f"experiments.{name}").table("released", 0)


@pytest.mark.parametrize("name", NEEDED)
def test_nothing_is_trained_and_the_published_files_are_known(name: str) -> None:
    runs = plan([table(name)])
    assert all(isinstance(run, SampleRun) for run in runs)
    found = {weight.name for weight in needed_weights([table(name)], runs)}
    assert {n for n in found if weights.entry(n).converts} == NEEDED[name]
    assert ("bert_tokenizer" in found) == ("collaborative_256" in found)
    assert name != "four_modalities" or "farl" in found
    assert name != "table3" or {"gpt2_tokenizer", "niqe", "clip", "efficientnet_b7"} <= found


def test_a_dry_run_names_the_files(capsys) -> None:
    main(importlib.import_module("experiments.table4").table, TableFlags(profile="released", launcher="dry-run"))
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith("reads model_latest.pt") for line in lines if "real" not in line)
    assert len(lines) == 9


@pytest.mark.parametrize("name", MEASURED)
def test_rows_are_measured_or_say_why_not(name: str) -> None:
    rows = {row.label: row for row in table(name).rows if row.sample is not None}
    assert rows.keys() >= MEASURED[name]
    reasons = {row.why for row in table(name).rows if row.sample is None and row.published}
    assert all("published" in reason or "the paper reports" in reason for reason in reasons if reason)


def test_a_table_whose_models_nobody_published_says_so() -> None:
    module = importlib.import_module("experiments.table5")
    with pytest.raises(UserError, match="table5 has no released profile: nobody published adm-64, mt-x-64"):
        tables_of(module.table, "released", 1)


def test_scenes_are_united_at_64_pixels_and_drawn_again_at_256() -> None:
    rows = {row.label: row.sample for row in table("table3").rows if row.sample}
    released = rows["a = 4/9, null class 0 (released code)"]
    first, second = released.method.method.experts
    assert (first.run.name, second.run.name, released.method.upsampler.name) == ("adm_64", "glide", "glide_upsampler")
    assert [first.weight, second.weight] == [5, 5]
    assert [first.reliability, second.reliability] == pytest.approx([5 / 9, 4 / 9])
    assert (released.sampler.num_steps, released.sampler.name, released.num_images) == (100, "spaced-ddim", 500)
    assert rows["GLIDE"].sampler.name == "spaced-ddpm"
    assert {run.data.image_size for run in rows.values()} == {256}


def test_the_released_sampler_of_a_sketch() -> None:
    """Its null is that of the face network alone, and it weighs .6 (PITFALLS 8, 9)."""
    rows = {row.label: row for row in table("four_modalities").rows}
    uses = {use.conditions[0]: use for use in rows["hair map + face map + sketch + text"].sample.method.uses}
    assert {name: use.weight for name, use in uses.items()} == {"hair": 1.0, "skin": 1.0, "sketch": 0.6, "text": 1.25}
    assert {name: use.reliability for name, use in uses.items()} == {"hair": 1, "skin": 0, "sketch": 0, "text": 0}
    assert {use.run.name for name, use in uses.items() if name != "sketch"} == {FACE}
    maps = rows["hair map + face map"].sample.method.uses
    assert {use.run.name for use in maps} == {"unite_and_conquer_maps"}


@pytest.mark.parametrize("name", ["table3", "table4", "table9"])
def test_doctor_and_prefetch_name_what_is_missing(name: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv(weights.ENVIRONMENT_VARIABLE, str(tmp_path))
    code = doctor.main(doctor.DoctorFlags(table=name, profile="released", data=tmp_path, out=tmp_path / "runs"))
    printed = " ".join(capsys.readouterr().out.split())
    assert code == 1
    for needed in NEEDED[name]:
        assert f"weights {needed}" in printed
    assert "GPU hours" in printed
    assert f"about {sum(map(costs.calls, plan([table(name)]))):,} network calls" in printed
    assert "GB)" in printed
    assert set(prefetch._needed(name, "released")) >= NEEDED[name]
    for needed in NEEDED[name]:
        (tmp_path / weights.entry(needed).file).write_bytes(b"<!DOCTYPE html><title>Google Drive</title>")
    assert doctor.main(doctor.DoctorFlags(table=name, profile="released", data=tmp_path, out=tmp_path / "runs")) == 1
    assert "web page" in " ".join(capsys.readouterr().out.split())


def test_calls_are_those_of_both_stages() -> None:
    """Eq. 10 on two experts asks four times a step, and the upsampler once."""
    rows = {row.label: row.sample for row in table("table3").rows}
    assert costs.calls(rows["a = 0.5"]) == 500 * 100 * (4 + 1)
    assert costs.calls(rows["class model alone, guided, calls of a = 0.5"]) == 500 * (200 * 2 + 100)
    assert costs.calls(rows["real images"]) == 0


def test_memory_is_that_of_the_published_networks() -> None:
    """About 16 GiB of parameters for Collaborative Diffusion, beside activations."""
    run = next(row.sample for row in table("table9").rows if row.label == "Ours")
    found = costs.gpu_memory_gib(run)
    assert found is not None
    assert found > 4 * 1_056_078_663 / 2**30


def small_tables() -> dict[str, Table]:
    return {name: reduction(table(name)) for name in NEEDED}


def runs() -> list[Run]:
    return plan(small_tables().values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("released")
    (folder / "weights").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        stand_in_photographs.put_in_place(patch)
        render(folder / "data", runs())
        patch.setattr(catalogue, "PROTOCOLS", tuple(of_few_images(p) for p in catalogue.PROTOCOLS))
        patch.setattr(frechet_infinity, "LEAST_IMAGES", FEW)
        stand_in_weights.put_in_place(folder / "weights", patch)
        stand_in_files.publish(folder / "weights", set().union(*NEEDED.values()))
        patch.setattr(reporting, "write_all", partial(write_all, with_notebook=False))
        yield folder


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NEEDED)
def test_every_table_samples_scores_and_reports(name: str, folder: Path) -> None:
    """From files in the published layout, through the table's command; each row that has samples gets every number."""
    small = small_tables()[name]
    main(lambda profile, seed: small, TableFlags(profile="released", data=folder / "data", out=folder / "runs"))
    place = folder / "runs" / "released" / "tables" / name
    page = (place / f"{name}.html").read_text()
    for needed in NEEDED[name]:
        path = folder / "weights" / weights.entry(needed).file
        assert f"{path.name} (SHA-256 {weights.digest(path)[:12]})" in page
    rows = json.loads((place / "metrics.json").read_text())["rows"]
    for row, described in zip(rows, small.rows, strict=True):
        if described.sample is None and not described.best_of:
            assert row["state"] == "not measured"
            continue
        assert row["state"] == "measured", row["reason"]
        empty = {m.protocol for m in small.metrics if row["cells"][m.column]["value"] is None}
        unmeasurable = {m.protocol for m in small.metrics if catalogue.by_name(m.protocol).least_images > FEW}
        assert empty <= {UNPUBLISHED, *unmeasurable}, row["label"]
