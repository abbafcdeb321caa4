"""Fragments of HTML, each made from a table alone, and the page around them. They need nothing from the network.

The notebook, the page of a table and a site of many tables are made of the same fragments: a new one is a function here
and a line in ``notebook.SECTIONS``.
"""

import json
from collections.abc import Iterable

from reports import format
from reports.format import Footnotes, escape_html
from reports.render import ARROWS, READING
from reports.schema import Cell, Row, Run, TableResult
from reports.settings import differences

MAX_CONFIG_CHARACTERS = 12_000

STYLE = """<style>
.report{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:#1b1f24}
.report table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums;background:#fff;color:#1b1f24}
.report th,.report td{padding:.32em .75em;border:0;border-bottom:1px solid #e4e7eb;text-align:left;vertical-align:top;
max-width:30em}
.report thead th{border-bottom:2px solid #1b1f24;vertical-align:bottom;font-weight:600}
.report tr.group td{font-style:italic;padding-top:.9em;border-bottom:1px solid #9aa4af}
.report tr.ceiling td{background:#eef6fb}
.report tr.idle td{color:#667}
.report .small{font-size:.82em;color:#5b6570;font-weight:400}
.report .best{font-weight:700}
.report .badge{display:inline-block;padding:0 .55em;border-radius:.8em;font-size:.85em;white-space:nowrap;
border:1px solid}
.report .holds,.report .agrees,.report .within{color:#116329;border-color:#116329;background:#eafbee}
.report .fails,.report .differs,.report .failed{color:#a40e26;border-color:#a40e26;background:#fdecee}
.report .undecided,.report .running{color:#7a4d00;border-color:#7a4d00;background:#fff6e0}
.report .not,.report .pending{color:#5b6570;border-color:#9aa4af;background:#f5f6f7}
.report .watermark{background:#a40e26;color:#fff;font-weight:700;padding:.4em 1em;letter-spacing:.06em}
.report pre{background:#f5f6f7;padding:.7em;font-size:.8em;overflow-x:auto;max-height:30em}
.report .unbroken{white-space:nowrap}
.report .scroll{overflow-x:auto}
</style>"""

PAGE_STYLE = """<style>
body{margin:0 auto;max-width:76rem;padding:1.5rem 2rem 4rem;background:#fff}
h1{font-size:1.7em;line-height:1.25;margin:.2em 0}
h2{font-size:1.25em;margin:2em 0 .3em;padding-bottom:.2em;border-bottom:1px solid #d0d7de}
h3{font-size:1.05em;margin:1.4em 0 .2em}
a.anchor-link{display:none}
img{max-width:100%;height:auto}
code{background:#f0f2f4;padding:.1em .35em;border-radius:3px}
.dataframe{font-size:.8em}
.output_subarea{overflow-x:auto}
</style>"""


def page(title: str, body: str, watermark: str = "") -> str:
    """A whole document around ``body`` (HTML)."""
    banner = _banner(watermark)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape_html(title)}</title>{STYLE}{PAGE_STYLE}</head>"
        f'<body class="report">{banner}{body}{banner}</body></html>\n'
    )


def results(table: TableResult) -> str:
    """Measured beside published, every row of the paper."""
    notes, body = Footnotes(), []
    heads = [
        f"{escape_html(m.protocol)} {ARROWS[m.better]}"
        + (f'<br><span class="small">paper: {escape_html(m.column)}</span>' if m.protocol != m.column else "")
        for m in table.metrics
    ]
    for group, rows in format.groups(table):
        if group:
            body.append(f'<tr class="group"><td colspan="{len(heads) + 2}">{escape_html(group)}</td></tr>')
        body += [_result_row(table, row, notes) for row in rows]
    reasons = "".join(f"<li>[{letter}] {escape_html(reason)}</li>" for reason, letter in notes.letters.items())
    legend = escape_html(f"{READING}. {format.verdict_legend(table)}")
    return _report(
        _banner(table.watermark)
        + _table(["row", *heads, "made from"], body)
        + f'<p class="small">{legend}</p><ul class="small" style="list-style:none;padding:0">{reasons}</ul>'
    )


def _result_row(table: TableResult, row: Row, notes: Footnotes) -> str:
    mark = notes.mark(format.row_reason(row))
    kind = "ceiling" if row.ceiling else "" if row.state == "measured" else "idle"
    label = escape_html(row.label) + (' <span class="small">ceiling</span>' if row.ceiling else "")
    cells = [_result_cell(table, i, cell) for i, cell in enumerate(row.cells)]
    origin = escape_html(format.made_from(row)) if row.state == "measured" else _badge(row.state, row.state)
    return _tr([label, *cells, origin + (f" [{mark}]" if mark else "")], kind)


def _result_cell(table: TableResult, column: int, cell: Cell) -> str:
    measured, printed = format.decimals(table, column)
    parts = [f'<span class="{"best" if cell.best else ""}">{format.number(cell.value, measured)}</span>']
    if cell.published is not None:
        parts.append(f'<span class="small">({format.number(cell.published, printed)})</span>')
    if cell.verdict:
        parts.append(_badge(format.verdict_symbol(cell), cell.verdict, f"{cell.verdict}: {cell.reason}"))
    if cell.interval:
        parts.append(f'<br><span class="small">{format.interval(cell.interval, measured)}</span>')
    return " ".join(parts)


def claims(table: TableResult) -> str:
    """What the paper says about who beats whom, decided by our numbers."""
    if not table.claims:
        return _report("<p>This table has no claims to decide.</p>")
    rows = [
        _tr(
            [
                f"<b>{escape_html(claim.id)}</b> {escape_html(claim.text)}"
                + (f'<br><span class="small">{escape_html(claim.note)}</span>' if claim.note else ""),
                _badge(format.decision(claim), claim.decision),
                escape_html(format.evidence(claim)),
                escape_html(format.published_pair(claim)),
            ]
        )
        for claim in table.claims
    ]
    return _report(_banner(table.watermark) + _table(["claim", "decision", "evidence", "published"], rows))


def protocols(table: TableResult) -> str:
    """What each column is."""
    rows = [
        _tr([f"<b>{escape_html(m.protocol)}</b>", escape_html(m.column), m.better, escape_html(m.description)])
        for m in table.metrics
    ]
    return _report(_table(["measured as", "column of the paper", "better", "how"], rows))


def runs(table: TableResult) -> str:
    """Every run and stage: time, memory, commit; its config, and what it changes against the paper profile."""
    body = [line for row in table.rows for run in row.runs for line in _stages(row, run)]
    if not body:
        return _report("<p>No row of this table has a run.</p>")
    stages = {stage for row in table.rows for run in row.runs for stage in run.stages}  # rows share trainings
    total = sum(stage.seconds or 0.0 for stage in stages)
    heads = ["row", "seed", "state", "run", "stage", "time", "peak memory", "commit"]
    configs = "".join(_config(row, row.runs[0]) for row in table.rows if row.runs)
    return _report(
        f"{_table(heads, body)}<p>Time of all stages listed, each counted once: {format.seconds(total)}.</p>"
        f"<p>Settings of each row (its first seed):</p>{configs}"
    )


def _stages(row: Row, run: Run) -> Iterable[str]:
    head = [escape_html(row.title), str(run.seed), _badge(run.state, run.state)]
    for stage in run.stages:
        time = format.MISSING if stage.seconds is None else format.seconds(stage.seconds)
        size = format.MISSING if stage.peak_memory_gib is None else f"{stage.peak_memory_gib:.2f} GiB"
        numbers = [f'<span class="unbroken">{text}</span>' for text in (time, size)]
        commit = escape_html((stage.commit or format.MISSING)[:12])
        yield _tr([*head, escape_html(stage.run), escape_html(stage.name), *numbers, commit])
        head = ["", "", ""]
    if not run.stages:
        yield _tr([*head, escape_html(run.name), *[format.MISSING] * 4])


def _config(row: Row, run: Run) -> str:
    if not run.config:
        return f"<p>{escape_html(row.title)}: no config.json.</p>"
    text = json.dumps(run.config, indent=1)
    if len(text) > MAX_CONFIG_CHARACTERS:
        text = text[:MAX_CONFIG_CHARACTERS] + "\n... the rest is in config.json of the run"
    if run.paper_config is None:
        against = "<p>The paper profile of this run is not on disk; the notes above say what is smaller here.</p>"
    else:
        changes = [
            _tr([escape_html(path), escape_html(format.plain(here)), escape_html(format.plain(there))])
            for path, here, there in differences(run.config, run.paper_config)
        ]
        against = _table(["setting", "here", "paper profile"], changes) if changes else "<p>As the paper profile.</p>"
    title = escape_html(f"{row.title}: {run.name}")
    return f"<details><summary>{title}</summary>{against}<pre>{escape_html(text)}</pre></details>"


def origin(table: TableResult) -> str:
    """Commit, versions, hardware, date, and the command."""
    items = {"command": table.command, "profile": table.profile, **table.provenance}
    rows = [_tr([f"<b>{escape_html(k)}</b>", escape_html(format.plain(v))]) for k, v in items.items()]
    return _report(_table(["", ""], rows))


def missing(table: TableResult) -> str:
    """Rows and cells without a number, each with its reason in full."""
    rows = [
        _tr([escape_html(row.title), _badge(row.state, row.state), f"<pre>{escape_html(row.reason)}</pre>"])
        if "\n" in row.reason
        else _tr([escape_html(row.title), _badge(row.state, row.state), escape_html(row.reason)])
        for row in table.unmeasured
    ]
    for row in table.measured:
        reason = format.row_reason(row)
        rows += [_tr([escape_html(row.title), _badge("partly", "running"), escape_html(reason)])] if reason else []
    return _report(_table(["row", "state", "why"], rows) if rows else "<p>Every row was measured.</p>")


def _report(inner: str) -> str:
    return f'{STYLE}<div class="report">{inner}</div>'


def _banner(watermark: str) -> str:
    return f'<div class="watermark">{escape_html(watermark)}</div>' if watermark else ""


def _badge(text: str, kind: str, tip: str = "") -> str:
    """A pill; its colour goes by the first word of ``kind``."""
    title = f' title="{escape_html(tip)}"' if tip else ""
    return f'<span class="badge {kind.split()[0]}"{title}>{escape_html(text)}</span>'


def _tr(cells: list[str], kind: str = "") -> str:
    return f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(heads: list[str], rows: list[str]) -> str:
    head = "".join(f"<th>{h}</th>" for h in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
