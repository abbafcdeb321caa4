"""LaTeX that fits a page: every recorded table is compiled, and no line is wider than the text."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reports import recorded
from reports.latex import full, latex
from reports.results import load_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = r"\usepackage[T1]{{fontenc}}\usepackage{{booktabs,graphicx,amssymb}}"
DOCUMENT = rf"\documentclass{{{{article}}}}{PACKAGES}\begin{{{{document}}}}{{}}\end{{{{document}}}}"


BEGIN = r"\begin{table}"


def has_booktabs():
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    return bool(found) and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode == 0


def compiled(tables, folder):
    """The log of pdflatex, with a page for each table."""
    text = "\n".join(table.replace(BEGIN, rf"\clearpage{BEGIN}[p]") for table in tables)
    (folder / "tables.tex").write_text(DOCUMENT.format(text), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    log = (folder / "tables.log").read_text(errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


@pytest.mark.slow
@pytest.mark.skipif(not has_booktabs(), reason="needs LaTeX (Debian: apt-get install texlive-latex-recommended)")
@pytest.mark.parametrize("render", [latex, full])
def test_recorded_tables_fit_a_page(render, tmp_path):
    tables = [recorded.read(path) for path in sorted((ROOT / "docs" / "results").glob("*.json"))]
    texts = [render(table) for table in tables]
    log = compiled(texts, tmp_path)
    assert "Overfull" not in log, re.findall(r"Overfull[^\n]*", log)
    assert f"({sum(text.count(BEGIN) for text in texts)} pages" in log
    assert "Float too large" not in log


@pytest.mark.slow
@pytest.mark.skipif(not has_booktabs(), reason="needs LaTeX (Debian: apt-get install texlive-latex-recommended)")
def test_no_text_breaks_the_document(make_table, tmp_path):
    """Labels with every special character, missing numbers, footnotes and published values."""
    table = load_table(make_table() / "table.json")
    compiled([latex(table), full(table)], tmp_path)


def test_a_paper_gets_what_was_measured(make_table):
    def change(stored):
        stored["metrics"].append(
            {"column": "Never", "protocol": "Never", "better": "lower", "description": "No row has it."}
        )

    table = load_table(make_table("mini", change) / "table.json")
    text = latex(table)
    assert "Never" not in text
    assert "Never" in full(table)
    assert "TediGAN" not in text
    assert "n=500, seed 0" in text[text.index(r"\caption") :]
    assert text.index("commit") < text.index(BEGIN)  # a comment
    assert text.count(BEGIN) == 1
    assert r"\textbf{40.00}\,{\scriptsize $\pm$" in text
    assert r"51.00\,{\scriptsize $\pm$3.06}" in text  # never narrower than over images: 6 % of 51


def test_columns_that_would_be_tiny_below_each_other_get_a_table_of_their_own(make_table):
    """Six columns of 28 rows: two tables, each with all rows; of 14 rows: one."""
    table = load_table(make_table() / "table.json")

    def wide(rows):
        cells = [replace(row, cells=row.cells * 3, label=f"row {i}") for i, row in enumerate(rows)]
        return replace(table, metrics=table.metrics * 3, rows=tuple(cells))

    measured = list(table.measured)
    short, long = latex(wide(measured * 2)), latex(wide(measured * 4))
    assert (short.count(BEGIN), long.count(BEGIN)) == (1, 2)
    for text in (short, long):
        labels = re.findall(r"\\label\{(.*?)\}", text)
        assert len(set(labels)) == len(labels) == text.count(BEGIN)
    for environment in long.split(BEGIN)[1:]:
        assert environment.count(r"\raggedright") == 4 * len(measured)
        assert environment.count(r"\begin{tabular}") == 1
    assert ", further columns." in long
