"""Fragments of HTML, each made from a table alone, that need nothing from the network.

The notebook, the page of a table and the site share these fragments. To add one, write a function here or in a file of
its own and add a line to ``pages.SECTIONS``.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from reports import basis, evidence, format
from reports.format import ARROWS, Footnotes, escape_html
from reports.schema import Cell, Claim, Row, Run, State, TableResult
from reports.settings import differences
from reports.style import badge, banner, grid, line

MAX_CONFIG_CHARACTERS = 12_000


@dataclass(frozen=True, kw_only=True)
class Links:
    """Addresses in a site that its tables link to; a standalone page has none."""

    samples: dict[int, str] = field(default_factory=dict)
    """Row number -> address of its samples."""
    configs: dict[str, str] = field(default_factory=dict)
    """Run name -> address of its config.json."""


NO_LINKS = Links()


def results(table: TableResult, links: Links = NO_LINKS) -> str:
    """Return measured beside published values for every row; numbers link to the samples they were measured on."""
    notes, body = Footnotes(), []
    heads = [
        f"{escape_html(m.protocol)} {ARROWS[m.better]}"
        + (
            f'<br><span class="small">paper: {escape_html(m.column)}</span>'
            if m.source and m.protocol != m.column
            else ""
        )
        for m in table.metrics
    ]
    for group, rows in format.groups(table):
        if group:
            body.append(f'<tr class="group"><td colspan="{len(heads) + 2}">{escape_html(group)}</td></tr>')
        body += [_result_row(table, row, notes, links.samples.get(table.rows.index(row))) for row in rows]
    reasons = "".join(f"<li>[{letter}] {escape_html(reason)}</li>" for reason, letter in notes.letters.items())
    legend = "<br>".join(
        escape_html(f"{text}.")
        for text in (basis.reading(table), basis.columns(table), format.verdict_legend(table))
        if text
    )
    return _report(
        banner(table.watermark)
        + grid(["row", *heads, "made from"], body, "results")
        + f'<p class="small">{legend}</p><ul class="small notes">{reasons}</ul>'
    )


def _result_row(table: TableResult, row: Row, notes: Footnotes, samples: str | None) -> str:
    mark = notes.mark(format.row_reason(row))
    kind = "ceiling" if row.ceiling else "" if row.state == "measured" else "idle"
    label = escape_html(row.label) + (' <span class="small">ceiling</span>' if row.ceiling else "")
    cells = [_result_cell(table, i, cell, samples) for i, cell in enumerate(row.cells)]
    made_from = f'<span class="unbroken">{escape_html(basis.made_from(row))}</span>'
    origin = made_from if row.state == "measured" else badge(row.state, row.state)
    return line([label, *cells, origin + (f" [{mark}]" if mark else "")], kind)


def _result_cell(table: TableResult, column: int, cell: Cell, samples: str | None) -> str:
    value = format.number(cell.value, format.decimals(table, column))
    if samples and cell.value is not None:
        value = f'<a href="{escape_html(samples)}">{value}</a>'
    parts = [f'<span class="best">{value}</span>' if cell.best else value]
    if cell.printed:
        parts.append(f'<span class="small">({escape_html(cell.printed)})</span>')
    if cell.verdict:
        parts.append(badge(format.verdict_symbol(cell), cell.verdict, f"{cell.verdict}: {cell.reason}"))
    if cell.interval:
        parts.append(f'<br><span class="small unbroken">{escape_html(basis.interval(table, column, cell))}</span>')
    return " ".join(parts)


def claims(table: TableResult) -> str:
    """Return the claims, decided by our numbers: published ones, then our own; a heading for each, a line for each metric."""
    if not table.claims:
        return _report("<p>This table has no claims to decide.</p>")
    parts = [f"<h3>{heading}</h3>{_claims(found)}" for heading, found in evidence.by_source(table.claims).items()]
    rule = "" if table.watermark else f'<p class="small">{escape_html(evidence.RULE)}</p>'
    return _report(banner(table.watermark) + rule + "".join(parts))


def _claims(found: list[Claim]) -> str:
    body = []
    for same in evidence.grouped(found):
        words = f"<b>{escape_html(same[0].id)}</b> {escape_html(same[0].text)}"
        words += f' <span class="small">{escape_html(same[0].source)}</span>' if same[0].source else ""
        pair = escape_html(f"{same[0].better} − {same[0].worse}")
        note = f"<br>{escape_html(same[0].note)}" if same[0].note else ""
        body.append(f'<tr class="group"><td colspan="4">{words}<br><span class="small">{pair}{note}</span></td></tr>')
        body += [_claim(claim) for claim in same]
    tally = f'<p class="small">{escape_html(evidence.tally(found))}.</p>'
    return grid(["decision", "metric", "difference [95%]", "published"], body, "claims") + tally


def _claim(claim: Claim) -> str:
    value, _, interval = evidence.difference(claim).partition(" ")
    lines = [escape_html(value or format.MISSING), f'<span class="unbroken">{escape_html(interval)}</span>']
    why = claim.reason if claim.decision == "undecided" else ""
    remark = escape_html("; ".join(part for part in (evidence.counts(claim), why) if part))
    return line(
        [
            badge(evidence.decision(claim), claim.decision, claim.reason),
            escape_html(claim.protocol or claim.metric),
            f'{" ".join(lines)}<br><span class="small">{remark}</span>',
            escape_html(evidence.published_pair(claim)),
        ]
    )


def protocols(table: TableResult) -> str:
    """Return the protocol of each column."""
    rows = [
        line(
            [
                f"<b>{escape_html(m.protocol)}</b>",
                escape_html(f"{m.column}: {m.source}" if m.source else "our own column"),
                escape_html(m.better),
                escape_html(m.description),
            ],
            text=(3,),
        )
        for m in table.metrics
    ]
    return _report(grid(["measured as", "published as", "better", "how"], rows))


def runs(table: TableResult, links: Links = NO_LINKS) -> str:
    """Return the time, memory and commit of every stage, and each config with its changes from the paper profile."""
    body = [cells for row in table.rows for run in row.runs for cells in _stages(row, run, links)]
    if not body:
        return _report("<p>No row of this table has a run.</p>")
    stages = {stage for row in table.rows for run in row.runs for stage in run.stages}  # rows share trainings
    total = sum(stage.seconds or 0.0 for stage in stages)
    heads = [
        "row",
        "seed",
        "state",
        "run",
        "stage",
        "steps",
        "images seen",
        "time",
        "processor time",
        "peak memory",
        "commit",
    ]
    configs = "".join(_config(row, row.runs[0]) for row in table.rows if row.runs)
    return _report(
        f"<details><summary>All {len(stages)} stages</summary>{grid(heads, body)}</details>"
        f"<p>Time of all stages listed, each counted once: {format.seconds(total)}.</p>"
        f"<p>Settings of each row (its first seed):</p>{configs}"
    )


def _stages(row: Row, run: Run, links: Links) -> Iterable[str]:
    head = [escape_html(row.title), str(run.seed), badge(run.state, run.state)]
    for stage in run.stages:
        times = [format.MISSING if s is None else format.seconds(s) for s in (stage.seconds, stage.processor_seconds)]
        length = [format.MISSING if n is None else f"{n:,}" for n in (stage.steps, stage.images)]
        size = format.MISSING if stage.peak_memory_gib is None else f"{stage.peak_memory_gib:.2f} GiB"
        numbers = [f'<span class="unbroken">{text}</span>' for text in (*length, *times, size)]
        commit = escape_html((stage.commit or format.MISSING)[:12]) + (" with local changes" if stage.dirty else "")
        yield line([*head, _linked(stage.run, links), escape_html(stage.name), *numbers, commit])
        head = ["", "", ""]
    if not run.stages:
        yield line([*head, _linked(run.name, links), *[format.MISSING] * 7])


def _linked(run: str, links: Links) -> str:
    """Return the name of a run, linked to its config if that is known."""
    address = links.configs.get(run)
    return f'<a href="{escape_html(address)}">{escape_html(run)}</a>' if address else escape_html(run)


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
            line([escape_html(path), escape_html(format.plain(here)), escape_html(format.plain(there))])
            for path, here, there in differences(run.config, run.paper_config)
        ]
        against = grid(["setting", "here", "paper profile"], changes) if changes else "<p>As the paper profile.</p>"
    title = escape_html(f"{row.title}: {run.name}")
    return f"<details><summary>{title}</summary>{against}<pre>{escape_html(text)}</pre></details>"


def origin(table: TableResult) -> str:
    """Return the commit, versions, hardware, date and command."""
    items = {"command": table.command, "profile": table.profile, **table.provenance}
    rows = [line([f"<b>{escape_html(k)}</b>", escape_html(format.plain(v))], text=(1,)) for k, v in items.items()]
    return _report(grid(["", ""], rows))


def missing(table: TableResult) -> str:
    """Return the rows and cells without a number, each with its full reason."""
    alike: dict[tuple[State, str], list[Row]] = {}
    for row in table.unmeasured:
        alike.setdefault((row.state, row.reason), []).append(row)
    rows = [
        line([escape_html(format.titles(found)), badge(state, state), _reason(reason)], text=(0, 2))
        for (state, reason), found in alike.items()
    ]
    for row in table.measured:
        reason = format.row_reason(row)
        cells = [escape_html(row.title), badge("partly", "running"), escape_html(reason)]
        rows += [line(cells, text=(0, 2))] if reason else []
    return _report(grid(["row", "state", "why"], rows, "missing") if rows else "<p>Every row was measured.</p>")


def _reason(text: str) -> str:
    return f"<pre>{escape_html(text)}</pre>" if "\n" in text else escape_html(text)


def _report(inner: str) -> str:
    return f'<div class="report">{inner}</div>'
