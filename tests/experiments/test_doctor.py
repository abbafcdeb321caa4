"""The diagnosis of a table: complete, incomplete, damaged; the exit code."""

from dataclasses import replace
from pathlib import Path

import pytest
import small_runs

from datamodules.mini.layouts import write_celebamask_hq
from datamodules.storage import listing
from experiments import doctor, table1, table3, table6, table9
from experiments.core import costs
from experiments.core.cluster import Cluster, read_cluster
from experiments.recipes.unite_and_conquer import both_conditions, hair_expert
from experiments.spec import Row, plan


@pytest.fixture
def nothing(tmp_path, monkeypatch) -> Path:
    """A machine without weights, without a cluster file and without SLURM."""
    for name in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(costs, "_bytes", lambda *_, **__: 2**30)  # a trace takes seconds: see test_costs.py
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"), image_size=32)


def findings(tables, **flags) -> dict[str, doctor.Finding]:
    return {f.what: f for f in doctor.diagnose(tables, doctor.DoctorFlags(table="table1", **flags))}


def test_at_mini_everything_is_there(nothing, capsys) -> None:
    assert doctor.main(doctor.DoctorFlags(table="table1")) == 0
    printed = capsys.readouterr().out
    assert "Everything is there." in printed
    assert "celebamask_hq, ffhq: rendered when needed, 4000 images of 32 px" in " ".join(printed.split())


def test_at_paper_everything_that_is_missing_is_named(nothing, capsys) -> None:
    assert doctor.main(doctor.DoctorFlags(table="table1", profile="paper", data=nothing / "data")) == 1
    printed = " ".join(capsys.readouterr().out.split())
    for what in (
        "data celebamask_hq (hair, skin)",
        "data ffhq (skin, hair)",
        "weights inception",
        "weights face_parser",
    ):
        assert what in printed
    assert "prefetch alexnet" in printed


def test_a_data_set_that_is_read_in_several_ways_is_one_line(nothing, monkeypatch) -> None:
    """Any table: here one on ImageNet with and without masks and labels."""
    monkeypatch.setattr(costs, "size", lambda run: None)  # counting parameters takes seconds
    found = doctor.diagnose(
        [table6.table("paper", 0)], doctor.DoctorFlags(table="table6", profile="paper", data=nothing)
    )
    assert [f.what for f in found if f.what.startswith("data")] == ["data imagenet (label, masked_image)"]
    assert {f.state for f in found if f.what.startswith("weights")} == {"missing"}
    assert all("$MMDIFF_WEIGHTS" in f.remedy for f in found if f.what.startswith("weights"))


def test_a_part_of_a_data_set_is_enough_at_mini_but_not_at_paper(nothing, data) -> None:
    mini = findings([table1.table("mini", 0)], profile="mini", data=data)
    name = next(n for n in mini if n.startswith("data ffhq"))
    assert mini[name].state == "note"
    assert mini[name].found.startswith("40 images in ")
    paper = findings([table1.table("paper", 0)], profile="paper", data=data)
    assert paper["data ffhq (skin, hair)"].state == "missing"
    assert "30,000" in paper["data ffhq (skin, hair)"].remedy
    assert not list(data.glob("*/.packed"))  # nothing is packed by looking


def test_a_hole_in_a_data_set_is_reported_with_its_sentence(nothing, tmp_path) -> None:
    broken = small_runs.write_data(tmp_path / "data")
    (broken / "CelebAMask-HQ" / "CelebA-HQ-img" / "7.jpg").unlink()
    found = findings([table1.table("mini", 0)], profile="mini", data=broken)
    bad = next(f for name, f in found.items() if name.startswith("data celebamask_hq"))
    assert bad.state == "missing"
    assert "missing 7" in bad.found


def test_text_files_and_some_images_are_opened(nothing, tmp_path) -> None:
    broken = small_runs.write_data(tmp_path / "data", image_size=32) / "CelebAMask-HQ"
    flags = {"profile": "mini", "data": broken.parent}
    table = table9.table("mini", 0)
    assert {f.state for what, f in findings([table], **flags).items() if what.startswith("data")} == {"note"}
    captions = (broken / "captions_hq.json").read_text()
    (broken / "captions_hq.json").write_text("<!DOCTYPE html><html>Quota exceeded</html>")
    found = [
        f.found for what, f in findings([table], **flags).items() if f.state == "missing" and what.startswith("data")
    ]
    assert any("captions_hq.json: holds a web page instead of the file" in line for line in found)
    (broken / "captions_hq.json").write_text(captions)
    for path in (broken / "CelebA-HQ-img").iterdir():
        path.write_bytes(b"<html>Quota exceeded</html>")
    found = [
        f.found for what, f in findings([table], **flags).items() if f.state == "missing" and what.startswith("data")
    ]
    assert any(".jpg: cannot be read as an image" in line for line in found)


def test_an_unreadable_part_does_not_hide_the_rest(nothing, tmp_path, data, monkeypatch) -> None:
    (nothing / "broken.toml").write_text("partition = gpu")
    (nothing / "weights" / "alexnet-owt-7be5be79.pth").mkdir(parents=True)  # a folder in place of the file
    scan = listing.os.scandir

    def denied(folder):
        if "CelebAMask-HQ" in str(folder):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(listing.os, "scandir", denied)
    found = findings([table1.table("paper", 0)], profile="paper", data=data, cluster=nothing / "broken.toml")
    assert "cannot be listed (Permission denied)" in found["data celebamask_hq (hair, skin)"].found
    assert found["data ffhq (skin, hair)"].found.startswith("40 images")
    assert found["weights alexnet"].state == found["weights inception"].state == found["cluster"].state == "missing"
    assert "not readable as TOML" in found["cluster"].found
    assert "GiB to be written" in found["space"].found


def test_data_that_cannot_serve_the_table_are_missing(nothing, tmp_path) -> None:
    write_celebamask_hq(tmp_path / "data" / "CelebAMask-HQ", count=4, image_size=32)
    found = findings([table1.table("mini", 0)], profile="mini", data=tmp_path / "data")
    lines = [f.found for what, f in found.items() if what.startswith("data celebamask_hq")]
    assert any("1 of its 4 images are to test, but FD-EffNetLite0 needs 2 or more" in line for line in lines)


def test_weights_are_compared_with_their_checksums(nothing) -> None:
    (nothing / "weights").mkdir()
    for file in ("alexnet-owt-7be5be79.pth", "face_parsing.farl.lapa.main_ema_136500_jit191.pt"):
        (nothing / "weights" / file).write_bytes(b"half")
    found = findings([table1.table("paper", 0)], profile="paper", data=nothing)
    assert found["weights alexnet"].state == "missing"
    assert "sha256 begins with" in found["weights alexnet"].found
    assert found["weights face_parser"].state == "ok"
    assert "no checksum known" in found["weights face_parser"].found


def test_a_cluster_that_is_too_small(nothing, monkeypatch) -> None:
    (nothing / "small.toml").write_text("gpu_memory_gib = 11\nmax_hours = 4\n")
    flags = {"profile": "paper", "data": nothing, "cluster": nothing / "small.toml"}
    table = table1.table("paper", 0)
    found = findings([table], **flags)
    assert found["GPU memory"].state == "missing"
    assert "11 GiB a GPU" in found["GPU memory"].remedy
    assert found["hours"].state == "note"
    assert "are queued again" in found["hours"].remedy
    monkeypatch.setenv("PATH", "")
    assert findings([table], **flags)["cluster"].state == "missing"
    (nothing / "large.toml").write_text("gpu_memory_gib = 80\nmax_hours = 100\n")
    assert findings([table], **flags | {"cluster": nothing / "large.toml"})["GPU memory"].state == "ok"


def test_too_little_space(nothing, monkeypatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: doctor.shutil._ntuple_diskusage(10, 9, 1))
    found = findings([table1.table("mini", 0)])["space"]
    assert found.state == "missing"
    assert "GiB to be written" in found.found


def test_costs_grow_with_the_work_and_shrink_with_the_processes() -> None:
    run = hair_expert("paper", 0)
    four = replace(run, trainer=replace(run.trainer, devices=4))
    assert costs.hours(four, "paper") == pytest.approx(costs.hours(run, "paper") / 4)
    assert costs.hours(run, "paper", speed=2) == pytest.approx(costs.hours(run, "paper") / 2)
    twice = replace(run, trainer=replace(run.trainer, max_steps=2 * run.trainer.max_steps))
    assert costs.hours(twice, "paper") == pytest.approx(2 * costs.hours(run, "paper"))
    memory, less = costs.gpu_memory_gib(run), costs.gpu_memory_gib(four)
    assert memory is not None
    assert less is not None
    assert less < memory
    size = costs.size(both_conditions("paper", 0))
    assert size is not None
    assert 300e6 < size.trained < 320e6  # the README says 311M
    assert {type(costs.gpu_memory_gib(r)) for r in plan([table1.table("mini", 0)])} == {float}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partition = 3", "partition is 3; it must be of type str"),
        ("partitoin = 'gpu'", "unknown key partitoin; there are partition, "),
        ("modules = 'cuda'", "modules is 'cuda'; it must be a list of strings"),
        ("max_hours = 0", "max_hours is 0.0; it must be a finite number above 0"),
        ("max_hours = nan", "max_hours is nan; it must be a finite number above 0"),
        ("max_hours = inf", "max_hours is inf; it must be a finite number above 0"),
        ("gpu_memory_gib = nan", "gpu_memory_gib is nan; it must be"),
        ("memory_per_task_gib = -1", "memory_per_task_gib is -1; it must be"),
        ("gpu_option = '--gres=gpu:{type}:{gpus}'", "it must say where {gpus} goes, and have no other braces"),
        ("gpu_option = '--gres=gpu:{gpus'", "it must say where {gpus} goes"),
        ("gpu_option = '--gres=gpu:{gpus}{}'", "it must say where {gpus} goes"),
        ("gpu_option = '{gpus.x}{gpus}'", "it must say where {gpus} goes"),
        ('partition = "gpu\\ntouch /tmp/ran"', "it must be of one line"),
        ('account = "a\\u0000"', "it must be of one line"),
        ('options = ["--mail-type=FAIL\\nrm -r ~"]', "it must be of one line"),
        ('python = "python\\nrm"', "it must be of one line"),
        ("gpu_option = '--gres=gpu:2'", "it must say where {gpus} goes"),
        ("partition = gpu", "not readable as TOML"),
    ],
)
def test_a_wrong_cluster_file_is_explained(tmp_path, text, words) -> None:
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read_cluster(tmp_path / "cluster.toml")
    assert words in str(error.value)


def test_a_cluster_file_in_another_encoding_is_named_and_setup_may_have_lines(tmp_path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_bytes("# Grüße\n".encode("latin-1"))
    with pytest.raises(ValueError, match=rf"{path}: is not UTF-8 text"):
        read_cluster(path)
    path.write_text('setup = ["if true; then\\n  true\\nfi"]\nmemory_per_task_gib = 0\n')
    assert read_cluster(path).setup == ("if true; then\n  true\nfi",)


def test_the_example_is_the_defaults_and_names_every_key() -> None:
    example = Path(__file__).parents[2] / "slurm" / "cluster.example.toml"
    assert read_cluster(example) == Cluster()
    keys = {line.split(" = ")[0] for line in example.read_text().splitlines() if " = " in line and line[0] != "#"}
    assert keys == set(Cluster.__dataclass_fields__)
    with pytest.raises(FileNotFoundError, match="no cluster file"):
        read_cluster(example.with_name("nowhere.toml"))


def test_a_table_without_a_run_says_so(nothing) -> None:
    rows = (Row(label="a", why="nobody published it"),)
    found = findings([replace(table3.table("paper", 0), rows=rows)], profile="paper")
    assert found["runs"].found == "no row of this table can be made at paper"
    assert "hours" not in found
