"""The files: a notebook that was executed, a page that asks the network for nothing, and no torch anywhere."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from site_files import Page

from reports import html, notebook
from reports.figures import plot, shrink
from reports.format import seconds
from reports.notebook import NotebookError
from reports.results import load_table
from reports.write import write_all

ROOT = Path(__file__).resolve().parents[2]


def check_page(text):
    page = Page(text)
    assert not {"script", "iframe", "object", "embed"} & set(page.tags)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"@import|url\(", text)
    return page


def test_write_all(make_table):
    folder = make_table()
    paths = write_all(folder)
    assert [p.name for p in paths] == [
        *("metrics.json", "table.md", "table.tex", "table.csv", "table1.ipynb", "table1.html")
    ]
    assert all(p.stat().st_size < 2_000_000 for p in paths)
    assert not list(folder.glob(".*"))

    executed = nbformat.read(paths[4], as_version=4)
    nbformat.validate(executed)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert all(cell.outputs for cell in code[1:])
    assert str(ROOT) not in paths[4].read_text()
    text = paths[5].read_text()
    page = check_page(text)
    assert page.tags.count("img") == 2  # the plot and the gallery that exists
    for expected in ("131.91", "✓ holds", "needs a StyleGAN2 checkpoint", "fixed seeds, uncurated", "1 min 35 s"):
        assert expected in text
    assert "gallery-lost.png is missing" in text

    before = paths[4].stat().st_mtime_ns
    write_all(folder)
    assert paths[4].stat().st_mtime_ns == before, "nothing changed, yet the notebook ran again"
    assert notebook.is_current(paths[4], notebook.fingerprint(load_table(folder / "table.json")))
    (folder / "../../ours/metrics.json").write_text('{"mIoU": {"value": 0.123}}')
    assert not notebook.is_current(paths[4], notebook.fingerprint(load_table(folder / "table.json")))


def test_page_without_a_kernel(make_table):
    folder = make_table("smoke")
    paths = write_all(folder, with_notebook=False)
    assert [p.suffix for p in paths] == [".json", ".md", ".tex", ".csv", ".html"]
    text = paths[-1].read_text()
    check_page(text)
    assert "SMOKE: meaningless numbers" in text
    assert "What was not measured" in text


def test_failing_notebook_leaves_the_other_files(make_table, monkeypatch):
    folder = make_table()
    monkeypatch.setattr(notebook, "SECTIONS", (("Broken", "", "1 / 0"),))
    with pytest.raises(NotebookError, match="did not run"):
        write_all(folder)
    assert {p.name for p in folder.glob("table*")} == {
        *("table.json", "table.md", "table.tex", "table.csv", "table1.html")
    }


def test_aggregated_json(make_table):
    folder = make_table()
    write_all(folder, with_notebook=False)
    stored = json.loads((folder / "metrics.json").read_text())
    row = next(row for row in stored["rows"] if row["label"] == "INADE")
    assert row["cells"]["FID"]["seed_values"] == [50, 52, 51]
    assert [c["decision"] for c in stored["claims"]][:3] == ["undecided", "undecided", "undecided"]


def test_settings_against_the_paper_profile(make_table):
    folder = make_table()
    twin = folder.parents[2] / "paper" / "ours"
    twin.mkdir(parents=True)
    (twin / "config.json").write_text((folder / "../../ours/config.json").read_text().replace("300", "500000"))
    assert "<td>experts[0].run.trainer.max_steps</td><td>300</td><td>500000</td>" in html.runs(
        load_table(folder / "table.json")
    )


def test_trainings_behind_a_row(make_table):
    text = html.runs(load_table(make_table() / "table.json"))
    budget = ("300", "9,600", "10 min 0 s", "18 min 20 s")  # steps, images seen, time, processor time
    cells = "".join(f'<td><span class="unbroken">{number}</span></td>' for number in budget)
    assert text.count(f"<td>face-model</td><td>train</td>{cells}") == 11  # every measured run needs it ...
    assert f"each counted once: {seconds(600 + 11 * 2 * 95.2)}." in text  # ... and it was trained once


def test_empty_table(make_table):
    def change(stored):
        for row in stored["rows"]:
            row["runs"], row["why"] = [], "not yet"
        stored["claims"] = stored["galleries"] = stored["notes"] = []

    folder = make_table("mini", change)
    text = write_all(folder, with_notebook=False)[-1].read_text()
    assert "This table has no claims to decide." in text
    assert plot(load_table(folder / "table.json")).startswith(b"\x89PNG")


def test_shrink(tmp_path):
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)).save(path)
    assert shrink(path, 2_000_000) == path.read_bytes()
    small = shrink(path, 30_000)
    assert len(small) <= 30_000
    assert Image.open(io.BytesIO(small)).format == "JPEG"


def test_embedded_images_are_whole(make_table):
    text = write_all(make_table(), with_notebook=False)[-1].read_text()
    for data in re.findall(r"base64,([^\"]+)", text):
        Image.open(io.BytesIO(base64.b64decode(data))).verify()


def test_command_line_without_torch(make_table):
    folder = make_table()
    code = (
        "import sys, runpy; sys.argv = ['reports', 'table1', '--out', sys.argv[1], '--no-notebook'];"
        "runpy.run_module('reports', run_name='__main__');"
        "heavy = [m for m in sys.modules if m in ('torch', 'lightning', 'datamodules', 'experiments')];"
        "print('LOADED', heavy)"
    )
    run = [sys.executable, "-c", code, str(folder.parents[2])]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    assert "60.00 (131.91)" in done.stdout
    assert (folder / "table1.html").is_file()


def test_command_line_names_what_is_there(make_table):
    folder = make_table()
    run = [sys.executable, "-m", "reports", "table7", "--out", str(folder.parents[2])]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no table.json for table7; there: table1; did you mean 'table1'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_ours_keeps_its_traceback(make_table):
    code = (
        "import sys, runpy, reports.write; sys.argv = ['reports', 'table1', '--out', sys.argv[1]];"
        "reports.write.write_all = lambda *_, **__: [][0]; runpy.run_module('reports', run_name='__main__')"
    )
    run = [sys.executable, "-c", code, str(make_table().parents[2])]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "IndexError" in done.stderr
    assert "error:" not in done.stderr.replace("IndexError:", "")
