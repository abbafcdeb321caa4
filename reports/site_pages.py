"""The pages of a site that belong to no single table: the index and the list of all runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from lightning_mmdiff.runtime.durations import duration
from reports import evidence, format, matrix, summary
from reports.costs import add_up, energy, hours
from reports.overview import ORDER, Overview, Standing
from reports.pictures import ShownGallery, ShownStrip
from reports.progress import TableProgress, time_left
from reports.runs import stages
from reports.schema import Claim
from reports.templating import badge, render

CARD_STRIPS = 3


def by_source(overview: Overview) -> dict[str, list[Standing]]:
    """Return the started tables under the paper that they are of, in the order of the index."""
    found: dict[str, list[Standing]] = {}
    for table in overview.started:
        found.setdefault(table.source.partition(",")[0] or "Others", []).append(table)
    return found


def navigation(overview: Overview, addresses: Mapping[str, str], here: str) -> Markup:
    """Return the links at the top of every page; ``here`` is the table that is shown, "index" or "runs"."""
    sources = {
        source: [(t.name, addresses[t.name], t.result.title if t.result else "") for t in tables]
        for source, tables in by_source(overview).items()
    }
    return render("navigation.html", here=here, sources=sources)


def index(
    overview: Overview,
    addresses: Mapping[str, str],
    strips: Mapping[str, ShownGallery | None],
    exports: Sequence[str],
    now: datetime,
) -> str:
    """Return the index.

    Args:
        overview: state of the profile.
        addresses: table -> its page, for the tables that have one.
        strips: table -> its first pictures.
        exports: files with all tables together, relative to the index.
        now: time at which the site is made.
    """
    results = [(t, t.result) for t in overview.started if t.result]
    every = once(claim for _, result in results for claim in result.claims)
    return render(
        "index.html", title=f"All tables, {overview.profile}", watermark=next((r.watermark for _, r in results), ""),
        navigation=navigation(overview, addresses, "index"), made=f"{now:%Y-%m-%d %H:%M} UTC", overview=overview,
        numbers=_numbers(overview, every), addresses=addresses, exports=exports,
        sources={source: [_card(t, addresses, strips.get(t.name)) for t in tables]
                 for source, tables in by_source(overview).items()},
        waiting=[(t.name, t.shows, t.source, t.budget) for t in overview.tables if not t.result and not t.trouble],
        claims=[(t, matrix.parts(r.claims), matrix.columns(r)) for t, r in results if r.claims],
        legend=evidence.legend(every), tally=evidence.tally(every),
        row_counts={t.name: ", ".join(f"{t.rows[s]} {s}" for s in ORDER if t.rows[s]) for t, _ in results},
        row_lines={t.name: [(row.title, badge(row.state, row.state), format.one_line(format.row_reason(row), 160))
                            for row in result.rows] for t, result in results},
    )  # fmt: skip


def once(claims: Iterable[Claim]) -> list[Claim]:
    """Return the claims without those that another table has decided by the same numbers."""
    unique: dict[tuple, Claim] = {}
    for claim in claims:
        key = (claim.text, claim.source, claim.protocol or claim.metric, claim.better, claim.worse, claim.difference)
        unique.setdefault(key, claim)
    return list(unique.values())


def _numbers(overview: Overview, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Return the profile in a few numbers; a claim counts once, however many metrics and tables decide it."""
    rows: Counter[str] = sum((t.rows for t in overview.tables), Counter())
    cost = add_up(stage for run in overview.runs for stage in stages(run.folder))
    numbers = [
        (f"{len(overview.started)} of {len(overview.tables)}", "tables started"),
        (f"{rows['measured']} of {sum(rows.values())}", "rows measured"),
    ]
    for whose, counts in summary.tally(claims).items():
        numbers.append((f"{counts['holds']} of {sum(counts.values())}", f"{whose.lower()} hold; {_rest(counts)}"))
    numbers.append((hours(cost), "computed so far"))
    numbers += [(energy(cost), "energy of GPUs")] if cost.energy_wh is not None else []
    seconds, unknown = time_left(overview.runs)
    more = f"; {_unknown(unknown)}" if unknown else ""
    numbers.append((duration(seconds) if seconds else "none", f"computing left, one run after the other{more}"))
    failed = sum(run.state == "failed" for run in overview.runs)
    return [*numbers, (str(failed), "runs failed")] if failed else numbers


def _rest(counts: Counter[str]) -> str:
    others = ", ".join(f"{count} {decision}" for decision, count in counts.items() if decision != "holds")
    return others or "all of them"


def _card(table: Standing, addresses: Mapping[str, str], strip: ShownGallery | None) -> dict[str, Any]:
    assert table.result
    total = sum(table.rows.values())
    return {
        "table": table, "address": addresses[table.name], "strips": _few(strip.strips) if strip else (),
        "tally": summary.tally(table.result.claims), "total": total,
        "percent": round(100 * table.rows["measured"] / max(total, 1)),
        "others": [(s, table.rows[s]) for s in ORDER[1:] if table.rows[s]],
        "computed": hours(add_up(table.stages)) if table.stages else "", "left": left(table.runs, table.unclaimed),
    }  # fmt: skip


def _few(strips: Sequence[ShownStrip]) -> list[ShownStrip]:
    """Return a condition, then the samples: at most ``CARD_STRIPS`` strips."""
    given, made = [s for s in strips if not s.row], [s for s in strips if s.row]
    return [*given[-1:], *made][:CARD_STRIPS]


def left(runs: Iterable[TableProgress], unclaimed: int) -> str:
    """Return the time left, noting if part of it is unknown."""
    seconds, unknown = time_left(runs)
    unknown += unclaimed
    if not unknown:
        return duration(seconds) if seconds else "none"
    more = _unknown(unknown)
    return f"{duration(seconds)} and {more}" if seconds else more


def _unknown(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''} of unknown cost"


def all_runs(
    overview: Overview, addresses: Mapping[str, str], configs: Mapping[str, str], watermark: str, now: datetime
) -> str:
    """Return the page of runs: the progress of each, its cost, and the code that made it.

    Args:
        overview: state of the profile.
        addresses: table -> its page.
        configs: run -> address of its config.json.
        watermark: text above and below the page.
        now: time at which the site is made.
    """
    recorded = {run.name: list(stages(run.folder)) for run in overview.runs}
    everything = [stage for found in recorded.values() for stage in found]
    commits = Counter((stage.commit or "unknown", stage.dirty) for stage in everything)
    tree = {True: "with local changes", False: "clean", None: "unknown"}
    return render(
        "runs.html", title=f"All runs, {overview.profile}", watermark=watermark, stages=everything,
        navigation=navigation(overview, addresses, "runs"),
        lines=[_run_line(run, configs, now, hours(add_up(recorded[run.name]))) for run in overview.runs],
        commits=[(commit, tree[dirty], count) for (commit, dirty), count in commits.items()],
    )  # fmt: skip


def _run_line(run: TableProgress, configs: Mapping[str, str], now: datetime, spent: str) -> list[Any]:
    done = format.MISSING if run.total is None else f"{run.done} of {run.total} {run.unit}"
    rest = "unknown" if run.left is None else duration(run.left) if run.left else format.MISSING
    address = configs.get(run.name)
    name = Markup('<a href="{}">{}</a>').format(address, run.name) if address else run.name
    return [name, badge(run.state, run.state), done, rest, spent, _age(run, now), format.one_line(run.reason, 200)]


def _age(run: TableProgress, now: datetime) -> str:
    """Return when a file of the run last changed and, for a running one, how long ago that was."""
    if run.written is None:
        return format.MISSING
    when = datetime.fromtimestamp(run.written, UTC)
    quiet = f", {duration(max(0.0, (now - when).total_seconds()))} ago" if run.state == "running" else ""
    return f"{when:%Y-%m-%d %H:%M} UTC{quiet}"
