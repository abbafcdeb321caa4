"""Terminal, Markdown, LaTeX and CSV: every row is there, and no text is taken for markup."""

import io
import re

import pandas as pd
import pytest
from rich.console import Console

from reports.format import Footnotes, escape_latex, escape_markdown
from reports.latex import full, latex
from reports.markdown import markdown
from reports.pages import standalone
from reports.render import terminal
from reports.results import load_table
from reports.values import csv


@pytest.fixture
def table(make_table):
    return load_table(make_table() / "table.json")


def text_of(table, width=140):
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal(table))
    return console.file.getvalue()


def test_terminal_says_everything_without_color(table):
    text = text_of(table)
    for expected in ("60.00 (131.91)", "[56.40, 63.60]", "not measured [a]", "needs a StyleGAN2 checkpoint", "ceiling"):
        assert expected in text
    for expected in ("✓ holds", "✗ fails", "? undecided", "UC1", "UC2", "UC3", "[red]*bold*", "FD-EffNetLite0 ↓"):
        assert expected in text
    assert "SMOKE" not in text


def test_terminal_marks_the_best_bold(table):
    console = Console(file=io.StringIO(), width=140, force_terminal=True, color_system="standard")
    console.print(terminal(table))
    assert console.file.getvalue().count("\x1b[1m40.00") == 2


@pytest.mark.parametrize("render", [text_of, markdown, latex, full])
def test_smoke_is_watermarked(make_table, render):
    assert "SMOKE: meaningless numbers" in render(load_table(make_table("smoke") / "table.json"))


def test_markdown_table_is_rectangular_and_harmless(table):
    text = markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert widths == {5, 7}  # the results have 4 columns, the claims 6
    assert "<script>" not in text
    assert r"\| a\_b &amp; 50% \$x\$ \[red\]\*bold\*" in text
    assert "**40.00** (26.09) n/c" in text
    assert "](gallery-main.png)" in text
    assert "gallery-lost" not in text


@pytest.mark.parametrize(("render", "cells"), [(latex, 2), (full, 4)])
def test_latex_is_balanced(table, render, cells):
    text = render(table)
    plain = re.sub(r"\\[{}]", "", text)
    depth = 0
    for c in plain:
        depth += {"{": 1, "}": -1}.get(c, 0)
        assert depth >= 0
    assert depth == 0
    opened = re.findall(r"\\begin{(\w+)}", text)
    assert opened == (["table", "minipage", "tabular"] if render is latex else ["table", "tabular"])
    assert re.findall(r"\\end{(\w+)}", text) == opened[::-1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 1 + len(table.rows if render is full else table.measured)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {cells}
    assert not re.search(r"(?<!\\)[%_#]", body)
    assert not re.search(r"\\\\\s*[\[*]", body)  # they would be read as arguments of the line break


@pytest.mark.parametrize("render", [text_of, markdown, full, standalone])
def test_only_what_the_paper_prints_is_called_its_column(make_table, render):
    def change(stored):
        stored["metrics"][0]["source"], stored["metrics"][1]["source"] = "", "A paper, Table 1"
        stored["metrics"][1]["protocol"] = "mIoU-Mini"
        for row in stored["rows"]:
            row["published"] = {"mIoU": 0.5}

    text = " ".join(render(load_table(make_table("mini", change) / "table.json")).split())
    assert "paper: mIoU" in text or "mIoU, paper" in text
    assert "paper: FID" not in text
    assert "FID, paper" not in text


def test_claims_stand_under_whose_they_are(table):
    text = markdown(table)
    ours = text.index("### Our own questions")
    assert text.index("### Published claims") < text.index("UC1: ") < ours < text.index("UC3: ")
    assert "| UC3: Combined training/SPADE beats Fine-tuning/SPADE on FID | ours |" in text
    assert "| Table 1 | ✓ holds |" in text


def test_tables_of_earlier_versions_do_not_say_whose_their_claims_are(make_table):
    def change(stored):
        for claim in stored["claims"]:
            del claim["source"]

    table = load_table(make_table("mini", change) / "table.json")
    assert [metric.source for metric in table.metrics] == ["Unite and Conquer (Nair et al., CVPR 2023)"] * 2
    text = markdown(table)
    assert "### Published or our own" in text
    assert "### Published claims" not in text


def test_escapes():
    assert escape_latex(r"a\b_c^~") == r"a\textbackslash{}b\_c\textasciicircum{}\textasciitilde{}"
    assert escape_markdown("`x`\n<b>") == r"\`x\` &lt;b&gt;"


def test_csv_round_trip(table):
    read = pd.read_csv(io.StringIO(csv(table)), keep_default_na=True)
    assert len(read) == len(table.rows) * 2
    cells = [cell for row in table.rows for cell in row.cells]
    values = [None if pd.isna(v) else v for v in read["value"]]
    assert values == [cell.value for cell in cells]
    assert list(read["row"]) == [row.label for row in table.rows for _ in row.cells]
    line = read[(read["row"] == "INADE") & (read["column"] == "FID")].iloc[0]
    assert line["seed_values"] == "50.0 52.0 51.0"
    assert line["low"] == pytest.approx(47.94, abs=1e-3)


def test_equal_reasons_share_a_letter():
    notes = Footnotes()
    assert [notes.mark(r) for r in ("x", "y", "x", "")] == ["a", "b", "a", ""]


def test_many_reasons():
    notes = Footnotes()
    assert [notes.mark(str(i)) for i in range(28)][24:] == ["y", "z", "aa", "bb"]
