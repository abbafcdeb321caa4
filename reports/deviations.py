"""Deviations from what is published and their reasons, gathered from the results themselves: nothing is written by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reports import basis, evidence, format
from reports.claims import MIN_SEEDS
from reports.schema import Claim, Row, TableResult
from reports.settings import ABSENT, differences

OTHER_RUN = re.compile(
    r"^(?:.*\.)?(?:run|initial|classifier|embedder|autoencoder|models?\[\d+\]|method\.model"
    r"|experts\[\d+\](?!\.(?:run|conditions|weight|reliability|type)))\."
)
"""Path prefix of a setting that belongs to a model behind the row; removed, as the setting is the same for every role."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One difference from the paper."""

    what: str
    paper: str
    here: str
    why: str


def deviations(table: TableResult) -> list[Deviation]:
    """Return the columns, rows and outcomes that differ from the publication; our own additions do not."""
    return [*_columns(table), *_rows(table), *_verdicts(table), *_claims(table)]


def _columns(table: TableResult) -> Iterator[Deviation]:
    for metric in table.metrics:
        if metric.source and metric.protocol != metric.column:
            what = f"column {metric.column}"
            yield Deviation(what=what, paper=metric.column, here=metric.protocol, why=metric.description)


def _rows(table: TableResult) -> Iterator[Deviation]:
    """Yield published rows that we did not measure, grouped by reason, and rows that the paper lacks."""
    by_reason: dict[tuple[str, str], list[Row]] = {}
    for r in table.rows:
        if r.state != "measured" and any(cell.published is not None for cell in r.cells):
            by_reason.setdefault((r.state, r.reason), []).append(r)
    for (state, reason), rows in by_reason.items():
        yield Deviation(what=format.titles(rows), paper="published", here=state, why=format.one_line(reason, 300))
    ours = [r for r in table.rows if all(cell.published is None for cell in r.cells)]
    if ours and len(ours) < len(table.rows):
        why = "ceilings, and comparisons that the paper does not print"
        yield Deviation(what=format.titles(ours), paper="no such row", here="added", why=why)


def settings(table: TableResult) -> Iterator[Deviation]:
    """Yield one line per setting in which first seeds differ from the paper profile, if that is known."""
    with_runs = [r for r in table.rows if r.runs]
    found: dict[str, dict[tuple[str, str], set[int]]] = {}
    for number, r in enumerate(with_runs):
        run = r.runs[0]
        for path, here, paper in differences(run.config, run.paper_config) if run.paper_config else ():
            setting = OTHER_RUN.sub("", path).replace("data[0].", "data.")
            unset = here in (None, ABSENT) and paper in (None, ABSENT)  # one config predates the setting
            if not unset and setting != "name" and not setting.startswith("fingerprints"):
                pair = format.plain(paper), format.plain(here)
                found.setdefault(setting, {}).setdefault(pair, set()).add(number)
    for setting, pairs in found.items():
        rows: set[int] = set().union(*pairs.values())
        here = [(value, len(users)) for (_, value), users in pairs.items()]
        yield Deviation(
            what=setting,
            paper="; ".join(dict.fromkeys(paper for paper, _ in pairs)),
            here=here[0][0] if len(here) == 1 else "; ".join(f"{value} ({count} rows)" for value, count in here),
            why=f"{table.profile} profile, {len(rows)} of {len(with_runs)} rows with runs",
        )


def _verdicts(table: TableResult) -> Iterator[Deviation]:
    for r in table.rows:
        for i, cell in enumerate(r.cells):
            if cell.verdict == "differs":
                value = format.number(cell.value, format.decimals(table, i))
                yield Deviation(
                    what=f"{r.title}, {cell.protocol}",
                    paper=cell.printed,
                    here=f"{value} {basis.interval(table, i, cell)}".strip(),
                    why=cell.reason,
                )


def _claims(table: TableResult) -> Iterator[Deviation]:
    """Yield the paper's claims that fail on some metric, stay undecided after enough trainings, or that it contradicts."""
    for same in evidence.grouped(claim for claim in table.claims if claim.source != ""):
        odd = [claim for claim in same if claim.contradicted or claim.decision == "fails" or _stays_undecided(claim)]
        if odd:
            published = [f"{c.protocol or c.metric} {evidence.published_pair(c)}" for c in odd if c.printed]
            outcomes = [f"{c.decision} on {c.protocol or c.metric} ({evidence.difference(c) or c.reason})" for c in odd]
            yield Deviation(
                what=f"claim {same[0].id}: {same[0].text}",
                paper="; ".join(published) or "claimed",
                here="; ".join(outcomes),
                why=same[0].note or "see the claims above",
            )


def _stays_undecided(claim: Claim) -> bool:
    return claim.decision == "undecided" and len(claim.seeds) >= MIN_SEEDS
