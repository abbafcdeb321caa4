"""A report on another person's folder of runs runs nothing from it and touches nothing behind its links (D4, D8)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from half_runs import training
from PIL import Image

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.links import require_own
from reports import notebook
from reports.__main__ import main
from reports.results import load_table
from reports.site import write_site
from reports.write import write_all

PLANTED = (
    *("pandas.py", "numexpr.py", "bottleneck.py", "torch.py", "json.py", "IPython.py", "matplotlib.py", "reports.py"),
    *("sitecustomize.py", "usercustomize.py", "ipython_config.py", "ipython_kernel_config.py", "jupyter_config.py"),
)
SECRET = "a private key"


def test_a_notebook_imports_nothing_from_its_folder(make_table, monkeypatch) -> None:
    folder = make_table()
    write_all(folder, with_notebook=False)
    marker = folder / "ran.txt"
    code = f"open({str(marker)!r}, 'a').write(__name__ + chr(10))\n"
    beside = folder.parents[1]  # looks like a checkout, so that the notebook might add it to the path
    (beside / "reports").mkdir()
    (beside / "reports" / "results.py").write_text(code)
    for place in (folder, beside):
        for name in PLANTED:
            (place / name).write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)  # two empty entries: the working folder
    executed, _ = notebook.make(folder)
    assert any(cell.get("outputs") for cell in executed.cells)
    assert not marker.exists(), marker.read_text()


@pytest.fixture
def private(tmp_path) -> Path:
    """What a link in the foreign folder leads to."""
    folder = tmp_path / "private"
    folder.mkdir()
    for name in ("config.json", "failed.txt", "index.html", "step=9.ckpt", "table.md", "2.log", "loss.csv"):
        (folder / name).write_text(json.dumps({"key": SECRET}))
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "photo.png")
    np.save(folder / "00000.npy", np.zeros((4, 3, 16, 16), np.uint8))
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("face-model/config.json", "config.json"),
        ("pix2pixhd/failed.txt", "failed.txt"),
        ("face-model/loss.csv", "loss.csv"),
        ("face-model/checkpoints", "."),
        ("ours/samples/00001.npy", "00000.npy"),
        ("ours/samples/deep/further.npy", "00000.npy"),
        ("tables/table1/table.md", "table.md"),
        ("tables/table2", "."),
        ("site", "."),
        ("workers", "."),
        ("workers/2.log", "2.log"),
        ("slurm", "."),
        ("stranger", "."),
    ],
)
@pytest.mark.parametrize("command", ["site", "table"])
def test_no_link_leads_out(profile, private, link, target, command) -> None:
    path, before = profile / link, everything(private)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(private / target)
    tables = ("table1",) if command == "table" else ()
    with pytest.raises(UserError, match=rf"{path} leads to .*nothing is read or written there"):
        main(tables, profile="mini", out=profile.parent, notebook=False)
    assert everything(private) == before
    assert not list(profile.rglob("index.html"))


def test_a_whole_run_may_lie_elsewhere_and_links_inside_a_folder_are_its_own(profile, tmp_path) -> None:
    other = training(tmp_path / "elsewhere", steps=300, seconds=1.0)
    (profile / "elsewhere").symlink_to(other)
    (profile / "ours" / "newest.npy").symlink_to(profile / "ours" / "samples" / "00001.npy")
    (profile / "again").symlink_to(profile / "ours")
    require_own(profile)
    assert write_site(profile, (), with_notebooks=False)[0].is_file()


@pytest.mark.parametrize(
    "name", ["/private", "../../../private", "../../../../private", "../../ours/samples", "../..", "."]
)
def test_a_row_is_a_run_beside_the_tables(make_table, private, name) -> None:
    folder = make_table("mini", lambda stored: stored["rows"][8]["runs"][0].update(folder=name))
    with pytest.raises(UserError, match=f"table.json: ours is said to lie at .* not in {folder.parents[1]}"):
        load_table(folder / "table.json")


@pytest.mark.parametrize("name", ["../../../../private/photo.png", "/private/photo.png", "..", "", 3])
def test_a_picture_lies_beside_its_table(make_table, private, name) -> None:
    folder = make_table("mini", lambda stored: stored["galleries"][0].update(file=name))
    with pytest.raises(UserError, match="only pictures of this folder are shown"):
        load_table(folder / "table.json")


@pytest.mark.parametrize("name", ["../../private", "/private", "..", "."])
def test_the_trainings_of_a_run_lie_beside_it(make_table, name) -> None:
    folder = make_table()
    path = folder.parents[1] / "ours" / "config.json"
    path.write_text(path.read_text().replace("face-model", name))
    row = next(row for row in load_table(folder / "table.json").rows if row.label == "Ours")
    assert row.runs[0].trainings == ()


def test_the_settings_at_paper_are_read_from_this_folder_alone(make_table, private) -> None:
    folder = make_table()
    paper = folder.parents[2] / "paper"
    paper.mkdir()
    (paper / "ours").symlink_to(private)
    row = next(row for row in load_table(folder / "table.json").rows if row.label == "Ours")
    assert not row.runs[0].paper_config
