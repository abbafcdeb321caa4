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
from nbformat.v4 import new_code_cell
from PIL import Image
from site_files import Page, only_our_script

from lightning_mmdiff.runtime.durations import duration
from reports import notebook, pages
from reports.notebook import NotebookError
from reports.pictures import shrink
from reports.results import load_table
from reports.write import write_all

ROOT = Path(__file__).resolve().parents[2]


def check_page(text):
    page = Page(text)
    only_our_script(text)
    beside = ("table1.ipynb", "table.csv")
    assert all(address.startswith(("data:", "#")) or address in beside for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"@import|url\(", text)
    return page


def test_write_all(make_table):
    folder = make_table()
    paths = write_all(folder)
    assert [p.name for p in paths] == [
        *("metrics.json", "table.md", "table.tex", "table-full.tex", "table.csv", "table1.ipynb", "table1.html")
    ]
    assert all(p.stat().st_size < 600_000 for p in paths)
    assert not list(folder.glob(".*"))

    executed = nbformat.read(paths[5], as_version=4)
    nbformat.validate(executed)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert all(cell.outputs for cell in code[1:])
    assert str(ROOT) not in paths[5].read_text()
    text = paths[6].read_text()
    page = check_page(text)
    assert page.tags.count("img") == 1  # the gallery that exists
    for expected in ("131.91", "✓ holds", "needs a StyleGAN2 checkpoint", "fixed seeds, uncurated", "1 min 35 s"):
        assert expected in text
    assert "gallery-lost.png is missing" in text

    before = paths[5].stat().st_mtime_ns
    write_all(folder)
    assert paths[5].stat().st_mtime_ns == before, "nothing changed, yet the notebook ran again"
    assert notebook.is_current(paths[5], notebook.fingerprint(load_table(folder / "table.json")))
    (folder / "../../ours/metrics.json").write_text('{"mIoU": {"value": 0.123}}')
    assert not notebook.is_current(paths[5], notebook.fingerprint(load_table(folder / "table.json")))


def test_page_without_a_kernel(make_table):
    folder = make_table("smoke")
    paths = write_all(folder, with_notebook=False)
    assert [p.suffix for p in paths] == [".json", ".md", ".tex", ".tex", ".csv", ".html"]
    text = paths[-1].read_text()
    check_page(text)
    assert "SMOKE: meaningless numbers" in text
    assert "What was not measured" in text


def test_failing_notebook_leaves_the_other_files(make_table, monkeypatch):
    folder = make_table()
    monkeypatch.setattr(notebook, "cells", lambda table: [new_code_cell("1 / 0")])
    with pytest.raises(NotebookError, match="did not run"):
        write_all(folder)
    assert {p.name for p in folder.glob("table*")} == {
        *("table.json", "table.md", "table.tex", "table-full.tex", "table.csv", "table1.html")
    }


def test_aggregated_json(make_table):
    folder = make_table()
    write_all(folder, with_notebook=False)
    stored = json.loads((folder / "metrics.json").read_text())
    row = next(row for row in stored["rows"] if row["label"] == "INADE")
    assert row["cells"]["FID"]["seed_values"] == [50, 52, 51]
    assert [c["decision"] for c in stored["claims"]][:3] == ["undecided", "undecided", "undecided"]


def test_trainings_behind_a_row(make_table):
    text = re.sub(' data-on="[^"]*"', "", pages.standalone(load_table(make_table() / "table.json")))
    budget = ("300", "9,600", "10 min", "18 min 20 s")  # steps, images seen, time, processor time
    cells = "".join(f"<td>{number}</td>" for number in budget)
    assert text.count(f"<td>face-model</td><td>train</td>{cells}") == 11  # every measured run needs it ...
    assert f"each counted once: {duration(600 + 11 * 2 * 95.2)}." in text  # ... and it was trained once


def test_empty_table(make_table):
    def change(stored):
        for row in stored["rows"]:
            row["runs"], row["why"] = [], "not yet"
        stored["claims"] = stored["galleries"] = stored["notes"] = []

    folder = make_table("mini", change)
    text = write_all(folder, with_notebook=False)[-1].read_text()
    assert "Nothing is measured yet" in Page(text).words
    assert 'class="matrix"' not in text


def test_shrink():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)).save(buffer, format="PNG")
    assert shrink(buffer.getvalue(), 2_000_000) == buffer.getvalue()
    small = shrink(buffer.getvalue(), 30_000)
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
    assert "no table.json for table7; there: table1" in done.stderr
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
