"""The pages of a site that belong to no single table: the index and the list of all runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from reports import evidence, format
from reports.costs import add_up, breakdown, energy, hours
from reports.format import escape_html
from reports.overview import ORDER, Overview, Standing
from reports.progress import TableProgress, time_left
from reports.runs import stages
from reports.style import badge, banner, grid, line

UNLISTED = (
    '<p class="small">Tables that were never run are not listed: there is no tables/index.json yet; the command of any '
    "table writes it.</p>"
)


def index(overview: Overview, addresses: Mapping[str, str], exports: Sequence[str], now: datetime) -> str:
    """Return the body of the index.

    Args:
        overview: state of the profile.
        addresses: table -> its page, for the tables that have one.
        exports: files with all tables together, relative to the index.
        now: time at which the site is made.
    """
    files = " · ".join(f'<a href="{escape_html(name)}">{escape_html(name)}</a>' for name in exports)
    unread = [t for t in overview.tables if t.trouble]
    troubles = "".join(f"<p>{badge('unreadable', 'failed')} {escape_html(t.trouble)}</p>" for t in unread)
    return (
        f"<h1>All tables, profile {escape_html(overview.profile)}</h1>"
        f'<p class="small">Made {now:%Y-%m-%d %H:%M} UTC from what was on disk; make it again with '
        f"<code>python -m reports --profile {escape_html(overview.profile)}</code>.</p>"
        f"{_figures(overview)}{troubles}<h2>Tables</h2>{_tables(overview, addresses)}{'' if overview.complete else UNLISTED}"
        f"<p>All tables in one file: {files}</p>"
        f'<section id="claims"><h2>Claims</h2>{_claims(overview, addresses)}</section>'
        f'<section id="rows"><h2>Rows</h2>{"".join(_rows(t, addresses) for t in overview.started)}</section>'
    )


def _figures(overview: Overview) -> str:
    """Return the profile in a few numbers."""
    rows: Counter[str] = sum((t.rows for t in overview.tables), Counter())
    claims: Counter[str] = sum((t.claims for t in overview.tables), Counter())
    cost = add_up(stage for run in overview.runs for stage in stages(run.folder))
    numbers = [
        (f"{len(overview.started)} of {len(overview.tables)}", "tables started"),
        (f"{rows['measured']} of {sum(rows.values())}", "rows measured"),
        *((str(claims[d]), f"claims: {d}") for d in evidence.DECISION_SYMBOLS if claims[d]),
        (hours(cost), "computed so far"),
    ]
    numbers += [(energy(cost), "energy of GPUs")] if cost.energy_wh is not None else []
    seconds, unknown = time_left(overview.runs)
    more = f"; {_unknown(unknown)}" if unknown else ""
    numbers.append((format.seconds(seconds) if seconds else "none", f"computing left, one run after the other{more}"))
    numbers += [(str(failed), "runs failed")] if (failed := sum(r.state == "failed" for r in overview.runs)) else []
    parts = (f"<div><b>{escape_html(n)}</b><span>{escape_html(text)}</span></div>" for n, text in numbers)
    return f'<div class="figures">{"".join(parts)}</div>'


def left(runs: Iterable[TableProgress], unclaimed: int) -> str:
    """Return the time left, noting if part of it is unknown."""
    seconds, unknown = time_left(runs)
    unknown += unclaimed
    if not unknown:
        return format.seconds(seconds) if seconds else "none"
    more = _unknown(unknown)
    return f"{format.seconds(seconds)} and {more}" if seconds else more


def _unknown(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''} of unknown cost"


def _tables(overview: Overview, addresses: Mapping[str, str]) -> str:
    heads = ["table", "state", "rows measured", "claims", "computed", "left"]
    shared = '<p class="small">A run that several tables share counts in each of them.</p>'
    return grid(heads, [_table_line(table, addresses) for table in overview.tables], "tables") + shared


def _table_line(table: Standing, addresses: Mapping[str, str]) -> str:
    what = f'{_link(table.name, addresses)}<br><span class="small">{escape_html(table.source)}</span>'
    if table.result is None:
        budget = f"; takes {escape_html(table.budget)}" if table.budget else ""
        words = f'<span class="small">{escape_html(table.shows)}{budget}</span>'
        return line([what, badge(table.state, table.state), words, "", "", ""], "idle", text=(0, 2))
    total, count = sum(table.rows.values()), table.rows["measured"]
    bar = f'<span class="bar"><i style="width:{100 * count / max(total, 1):.0f}%"></i></span>'
    others = "".join(f"<br>{badge(f'{table.rows[s]} {s}', s)}" for s in ORDER[1:] if table.rows[s])
    decided = " ".join(badge(f"{table.claims[d]} {d}", d) for d in evidence.DECISION_SYMBOLS if table.claims[d])
    rest = escape_html(left(table.runs, table.unclaimed))
    cells = [
        f"{count} of {total} {bar}{others}",
        decided or format.MISSING,
        _unbroken(hours(add_up(table.stages))),
        rest,
    ]
    return line([what, badge(table.state, table.state), *cells], text=(0,))


def _claims(overview: Overview, addresses: Mapping[str, str]) -> str:
    """Return a line for each claim, with a badge for each metric."""
    body = []
    for table in overview.started:
        found = table.result.claims if table.result else ()
        if found:
            body.append(f'<tr class="group"><td colspan="2">{_link(table.name, addresses, "#claims")}</td></tr>')
        for same in evidence.grouped(found):
            pills = " ".join(
                badge(
                    f"{evidence.DECISION_SYMBOLS[c.decision]} {c.protocol or c.metric}",
                    c.decision,
                    evidence.sentence(c),
                )
                for c in same
            )
            where = f' <span class="small">{escape_html(evidence.source(same[0]))}</span>'
            words = f"<b>{escape_html(same[0].id)}</b> {escape_html(same[0].text)}{where}"
            body.append(line([words, pills], text=(0, 1)))
    if not body:
        return "<p>No table with claims was started.</p>"
    occurring = {claim.decision for t in overview.started if t.result for claim in t.result.claims}
    legend = "; ".join(f"{symbol} {word}" for word, symbol in evidence.DECISION_SYMBOLS.items() if word in occurring)
    watermark = next((t.result.watermark for t in overview.started if t.result), "")
    tally = evidence.tally(claim for t in overview.started if t.result for claim in t.result.claims)
    intro = f'<p class="small">{legend}. {escape_html(tally)}.</p>'
    return banner(watermark) + intro + grid(["claim", "on"], body)


def _rows(table: Standing, addresses: Mapping[str, str]) -> str:
    assert table.result
    counts = ", ".join(f"{table.rows[s]} {s}" for s in ORDER if table.rows[s])
    lines = []
    for row in table.result.rows:
        why = format.one_line(format.row_reason(row), 160)
        lines.append(line([escape_html(row.title), badge(row.state, row.state), escape_html(why)], text=(0, 2)))
    inside = f"<p>{_link(table.name, addresses)}</p>{grid(['row', 'state', 'why'], lines)}"
    return f"<details><summary><b>{escape_html(table.name)}</b>: {counts}</summary>{inside}</details>"


def _link(name: str, addresses: Mapping[str, str], anchor: str = "") -> str:
    address = addresses.get(name)
    return f'<a href="{escape_html(address + anchor)}">{escape_html(name)}</a>' if address else escape_html(name)


def all_runs(overview: Overview, configs: Mapping[str, str], now: datetime) -> str:
    """Return the body of the page of runs: the progress of each, its cost, and the code that made it."""
    recorded = {run.name: list(stages(run.folder)) for run in overview.runs}
    everything = [stage for found in recorded.values() for stage in found]
    lines = [_run_line(run, configs, now, hours(add_up(recorded[run.name]))) for run in overview.runs]
    commits = Counter((stage.commit or "unknown", stage.dirty) for stage in everything)
    code = [line([escape_html(commit), {True: "with local changes", False: "clean", None: "unknown"}[dirty], str(count)])
            for (commit, dirty), count in commits.items()]  # fmt: skip
    return (
        f"<h1>All runs, profile {escape_html(overview.profile)}</h1>"
        f"{grid(['run', 'state', 'done', 'left', 'computed', 'last change', 'reason'], lines)}"
        f"<h2>Cost</h2>{breakdown(everything) if everything else '<p>Nothing has been timed yet.</p>'}"
        f"<h2>Code</h2>{grid(['commit', 'working tree', 'stages'], code)}"
    )


def _run_line(run: TableProgress, configs: Mapping[str, str], now: datetime, spent: str) -> str:
    done = format.MISSING if run.total is None else f"{run.done} of {run.total} {run.unit}"
    rest = "unknown" if run.left is None else format.seconds(run.left) if run.left else format.MISSING
    numbers = [_unbroken(text) for text in (done, rest, spent, _age(run, now))]
    name = _link(run.name, configs)
    return line([name, badge(run.state, run.state), *numbers, escape_html(format.one_line(run.reason, 200))], text=(0,))


def _unbroken(text: str) -> str:
    return f'<span class="unbroken">{escape_html(text)}</span>'


def _age(run: TableProgress, now: datetime) -> str:
    """Return when a file of the run last changed and, for a running one, how long ago that was."""
    if run.written is None:
        return format.MISSING
    when = datetime.fromtimestamp(run.written, UTC)
    quiet = f", {format.seconds(max(0.0, (now - when).total_seconds()))} ago" if run.state == "running" else ""
    return f"{when:%Y-%m-%d %H:%M} UTC{quiet}"
