"""``docs/results.md``, generated: recorded tables (``reports/recorded.py``) between texts that people write.

``docs/results/page.md`` is the page, with ``{table1}`` where the section of a table goes; ``docs/results/table1.md`` is the
section, with ``{table}`` and ``{claims}`` where those go. ``{table: FD-EffNetLite0, SSIM}`` shows some columns alone;
``{costs}`` on the page is what the recorded tables cost, ``{picture faces.png: OURS (Combined)}`` a picture (``doc_pictures``).
"""

import dataclasses
import re
from functools import cache
from pathlib import Path

from lightning_mmdiff.errors import UserError
from reports import basis, doc_pictures, evidence, format, quotes, recorded, table_costs
from reports.format import escape_markdown, header
from reports.markdown import cell, label, pipes
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder

COSTS = "{costs}"
SECTION = re.compile(r"^\{(?!costs\})([\w-]+)\}$", re.MULTILINE)
TABLE = re.compile(r"^\{table(?:: ([^{}]+))?\}$", re.MULTILINE)
CLAIMS = re.compile(r"^\{claims\}$", re.MULTILINE)
EMPTY = re.compile(r"\n{3,}")
NEW_SECTION = "## {title}\n\n{{table}}\n\n{{claims}}\n"


def generate(folder: Path) -> str:
    """Return the page of the recorded tables in ``folder``.

    Raises:
        UserError: if a text quotes a number that its table does not have, or a file is missing.
    """

    @cache
    def table_of(name: str) -> TableResult:
        return recorded.read(folder / f"{name}.json")

    def section(match: re.Match[str]) -> str:
        name = match[1]
        text = _text(folder / f"{name}.md")
        said = doc_pictures.PICTURE.sub("", CLAIMS.sub("", TABLE.sub("", text)))
        lost.extend(quotes.missing(said, name, table_of))
        text = TABLE.sub(lambda place: _table(_only(table_of(name), place[1])), text.strip())
        text = quotes.fill(CLAIMS.sub(lambda _: _claims(table_of(name)), text))
        text = doc_pictures.PICTURE.sub(lambda place: doc_pictures.shown(place, folder.parent), text)
        return EMPTY.sub("\n\n", text).strip()

    lost: list[str] = []
    page = _text(folder / "page.md")
    spent = table_costs.page([table_of(name) for name in SECTION.findall(page)] if COSTS in page else [])
    page = SECTION.sub(section, page.replace(COSTS, spent and f"## Costs\n\n{spent}"))
    if lost:
        raise UserError(f"{folder}: texts quote numbers that their tables do not have: {'; '.join(lost)}.")
    return page.rstrip() + "\n"


def record(profile: Path, name: str, folder: Path) -> Path:
    """Write the numbers of one table of a profile's runs into ``folder``, with a section if it has none; return the file."""
    table = load_table(TableFolder.of(profile, name).table)
    path, text, page = (folder / file for file in (f"{name}.json", f"{name}.md", "page.md"))
    spent = table_costs.costs(table, path)
    recorded.write(dataclasses.replace(table, provenance={**table.provenance, "costs": spent}), path)
    if not text.exists():
        text.write_text(NEW_SECTION.format(title=table.title), encoding="utf-8")
        before, found, after = _text(page).partition(COSTS)
        end = f"\n{found}{after}" if found else ""
        page.write_text(f"{before.rstrip()}\n\n{{{name}}}\n{end}", encoding="utf-8")
    return path


def record_pass(profile: Path, name: str, folder: Path) -> Path:
    """Add what a pass of one table cost to its file in ``folder``, whose numbers stay; return the file.

    Raises:
        UserError: if the table is not recorded, or its command did not run from its start to its report without a break.
    """
    path = folder / f"{name}.json"
    known, spent = recorded.read(path), table_costs.costs(load_table(TableFolder.of(profile, name).table), path)
    if not TableFolder.of(profile, name).costs.exists():
        raise UserError(f"{name} was not measured in one pass; remove {profile} for another, or name another folder.")
    before = known.provenance.get("costs") or {**spent, "passes": []}
    costs = {**before, "passes": spent["passes"]}
    recorded.write(dataclasses.replace(known, provenance={**known.provenance, "costs": costs}), path)
    return path


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file; it holds what people write about the recorded tables.")
    return path.read_text(encoding="utf-8")


def _only(table: TableResult, protocols: str | None) -> TableResult:
    """Return the table with some of its columns alone."""
    if protocols is None:
        return table
    names = protocols.split(", ")
    places = [i for i, metric in enumerate(table.metrics) if metric.protocol in names]
    if len(places) != len(names):
        known = ", ".join(metric.protocol for metric in table.metrics)
        raise UserError(f"{table.name} has not all of the columns {protocols}; it has {known}.")
    rows = (dataclasses.replace(row, cells=tuple(row.cells[i] for i in places)) for row in table.rows)
    return dataclasses.replace(table, metrics=tuple(table.metrics[i] for i in places), rows=tuple(rows))


def _table(table: TableResult) -> str:
    """Return rows and columns, and below them what stands behind the numbers."""
    comparability, table = _comparability(table), _without_incomparable(table)
    lines = pipes(["row", *(escape_markdown(header(metric)) for metric in table.metrics)], head=True)
    for group, rows in format.groups(table):
        if group:
            lines += pipes([f"*{escape_markdown(group)}*", *("" for _ in table.metrics)])
        for row in rows:
            lines += pipes([label(row), *(cell(table, i, found) for i, found in enumerate(row.cells))])
    behind = [basis.reading(table), basis.rows(table), basis.columns(table), comparability]
    behind += [*dict.fromkeys(row.reason for row in table.rows if row.reason), basis.made_by(table)]
    return "\n".join([*lines, "", *(f"{escape_markdown(text)}." for text in behind if text)])


def _without_incomparable(table: TableResult) -> TableResult:
    """Return the table without the published numbers that ours are not comparable with."""
    rows = []
    for row in table.rows:
        apart = [found.verdict in (None, "not comparable") for found in row.cells]
        cells = (
            dataclasses.replace(found, printed="", verdict=None) if alone else found
            for found, alone in zip(row.cells, apart, strict=True)
        )
        rows.append(dataclasses.replace(row, cells=tuple(cells)))
    return dataclasses.replace(table, rows=tuple(rows))


def _comparability(table: TableResult) -> str:
    """Say whether the numbers are comparable with published ones, and why not."""
    cells = [found for row in table.rows for found in row.cells if found.verdict]
    apart = [found for found in cells if found.verdict == "not comparable"]
    why = "; ".join(dict.fromkeys(reason for found in apart for reason in found.reason.split(" and ")))
    if not cells:
        return "nothing published to compare with"
    return f"not comparable with published values: {why}" if apart else "comparable with published values"


def _claims(table: TableResult) -> str:
    """Return a line for each claim, a column for each metric, published claims first; empty without claims."""
    if not table.claims:
        return ""
    metrics = tuple(dict.fromkeys(claim.protocol for claim in table.claims))
    lines = pipes(["claim", "source", *(escape_markdown(name) for name in metrics)], head=True)
    for claims in evidence.by_source(table.claims).values():
        for same in evidence.grouped(claims):
            on = {c.protocol: f"{c.decision}, {evidence.difference(c)}" for c in same}
            words = [f"{same[0].id}: {same[0].text}", evidence.source(same[0]), *(on.get(name, "") for name in metrics)]
            lines += pipes([escape_markdown(text) for text in words])
    counts = dict.fromkeys(evidence.counts(claim) for claim in table.claims if claim.seeds)
    behind = (f"differences: {' or '.join(counts)}", evidence.tally(table.claims))
    return "\n".join([*lines, "", *(f"{escape_markdown(text)}." for text in behind)])
