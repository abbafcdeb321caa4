"""The cells of a table's notebook: what they say, and which code of ``notebook_code`` they hold."""

import re
from collections.abc import Iterator

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from reports import evidence, format, matrix, summary
from reports.basis import made_by
from reports.format import escape_markdown
from reports.markdown import pipes, results
from reports.notebook_code import AGAIN, INTERVALS, LINES, ONE_IMAGE, PICTURES, RECOMPUTE, SETUP
from reports.schema import TableResult
from reports.templating import sentence


def cells(table: TableResult) -> list[NotebookNode]:
    """Return the cells: the verdict, the table, pictures, and cells to go on with."""
    made = [
        new_markdown_cell(_verdict(table)),
        _hidden(SETUP),
        new_markdown_cell("## Table\n\n" + unbroken("\n".join(results(table)))),
    ]
    made += [new_markdown_cell("## Claims\n\n" + "\n".join(_claims(table)))] if table.claims else []
    made += list(_code("Figure", "As the paper draws it.", LINES)) if table.figures else []
    made += list(_code("Measured values with their intervals", "", INTERVALS)) if table.measured else []
    if sheets := [i for i, gallery in enumerate(table.galleries) if gallery.strips]:
        made += list(_code("Pictures", "First test images, fixed seeds, uncurated.", PICTURES))
        made += [_hidden(f"sheet({i})") for i in sheets]  # a cell each: Jupyter puts a long output into a box
        made += list(_code("Image i across all rows", "", ONE_IMAGE, hidden=False))
    if any(run.replicates for row in table.rows for run in row.runs):
        words = "From the values of the seeds, and from the bootstrap replicates over images in `replicates.npz`."
        made += list(_code("Recompute an interval", words, RECOMPUTE, hidden=False))
    if run := _united(table):
        words = "The trained experts with another reliability in Eq. 10. Not run when the report was made."
        made += list(_code("Sample again with another a", words, AGAIN.format(**run), hidden=False))
        made[-1].metadata["tags"] = ["skip-execution"]
    for i, cell in enumerate(made):
        cell["id"] = f"cell-{i}"
    return made


def _united(table: TableResult) -> dict[str, str]:
    """Return names of table, profile and run of the first row that unites two experts or more; empty if none does."""
    for run in (run for row in table.rows for run in row.runs[:1]):
        method = run.config.get("method")
        if isinstance(method, dict) and method.get("type") == "Unite" and len(method.get("experts") or ()) > 1:
            names = {"name": table.name, "profile": table.profile, "run": run.name}
            return (
                names if all(text.replace("-", "_").replace(".", "_").isidentifier() for text in names.values()) else {}
            )
    return {}


def _verdict(table: TableResult) -> str:
    words = "".join(_spaced(w.text, "**" if w.strong else "") for w in summary.verdict(table)).strip()
    lines = [f"# {escape_markdown(table.title)}", "", words, "", f"{escape_markdown(sentence(table.paper))}. "]
    lines[-1] += f"{escape_markdown(made_by(table))}. Made by `{format.one_line(table.command).replace('`', '')}`."
    lines += ["", f"**{table.watermark}**"] if table.watermark else []
    return "\n".join([*lines, "", *(f"- {escape_markdown(note)}" for note in table.notes)])


def _spaced(text: str, mark: str) -> str:
    """Escape a piece of a sentence, put ``mark`` on both sides, and keep the spaces around it outside."""
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{start}{mark}{escape_markdown(text)}{mark}{end}"


def unbroken(text: str) -> str:
    """Return the text with intervals that a narrow column does not break."""
    return re.sub(r"(?<=\d), (?=[-+]?\d)", ",\u00a0", text)


def _claims(table: TableResult) -> list[str]:
    columns = [name for name, _ in matrix.columns(table)]
    lines = pipes(["claim", *(f"{escape_markdown(name)} {arrow}" for name, arrow in matrix.columns(table))], head=True)
    for part in matrix.parts(table.claims):
        lines += pipes([f"*{escape_markdown(part.heading)}*", *("" for _ in columns)])
        for line in part.lines:
            on = [line.on.get(name) for name in columns]
            decisions = [f"{evidence.decision(c)} {evidence.difference(c)}" if c else "" for c in on]
            lines += pipes([unbroken(escape_markdown(text)) for text in (line.text, *decisions)])
    rule = [] if table.watermark else [evidence.RULE]
    tallies = [f"{heading}: {evidence.tally(found)}." for heading, found in evidence.by_source(table.claims).items()]
    return [*lines, "", escape_markdown(" ".join(rule + tallies))]


def _code(heading: str, text: str, code: str, *, hidden: bool = True) -> Iterator[NotebookNode]:
    yield new_markdown_cell("\n\n".join(part for part in (f"## {heading}", text) if part))
    yield _hidden(code) if hidden else new_code_cell(code)


def _hidden(code: str) -> NotebookNode:
    """Return a cell whose code Jupyter folds away; its outputs stay."""
    return new_code_cell(code, metadata={"jupyter": {"source_hidden": True}, "tags": ["hide-input"]})
