"""The page of one table: standalone, with everything in one file, or as part of a site."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from markupsafe import Markup

from lightning_mmdiff.runtime.durations import duration
from reports import against, basis, charts, curves, deviations, figures, format, matrix, pictures, summary
from reports.costs import of_table
from reports.format import Footnotes
from reports.latex import latex
from reports.markdown import markdown
from reports.pictures import ShownGallery
from reports.schema import Row, State, TableResult
from reports.table_folder import TableFolder
from reports.templating import badge, render

FIXED = "fixed seeds, uncurated"
BARS = "bars: the intervals on one scale for each column; dotted: the ceiling; diamonds: published values, where comparable"
MOST_BYTES = 590_000
"""Size that a page in one file may have."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """Addresses in a site that its tables link to; a standalone page has none."""

    samples: dict[int, str] = field(default_factory=dict)
    """Row number -> address of its samples."""
    configs: dict[str, str] = field(default_factory=dict)
    """Run name -> address of its config.json."""
    sliders: str = ""
    """Page with sliders over reliability and weight; empty if the table has no such rows."""
    steps: str = ""
    """Page with a slider over the steps of sampling; empty if the table has no maps at steps."""


def standalone(table: TableResult) -> str:
    """Return a single HTML file that holds everything, pictures included, which are made small enough for ``MOST_BYTES``."""
    folder = TableFolder(table.folder)
    beside = [(folder.notebook(table.name), "Notebook"), (folder.csv, "CSV")]
    downloads = [(name, path.name) for path, name in beside if path.is_file()]

    def within(budget: int) -> str:
        return page(table, pictures.show(table, pictures.embed(table, budget)), downloads=downloads)

    text = within(pictures.EMBEDDED_BYTES)
    over = len(text.encode()) - MOST_BYTES
    return text if over <= 0 else within(pictures.smaller(text, over))


def page(
    table: TableResult,
    galleries: Sequence[ShownGallery],
    *,
    sheets: Mapping[int, str] | None = None,
    links: Links | None = None,
    downloads: Sequence[tuple[str, str]] = (),
    state: Markup | str = "",
    navigation: Markup | str = "",
) -> str:
    """Return the page of a table.

    Args:
        table: table of the page.
        galleries: its pictures.
        sheets: row number -> address of its first samples.
        links: addresses that the table links to.
        downloads: name and address of its other forms.
        state: line below the verdict.
        navigation: top of the page.
    """
    links = links or Links()
    quoted = [row for row in table.rows if _is_quoted(row)]
    strip, stages = pictures.first_strip(table, list(galleries)), of_table(table)
    return render(
        "table.html",
        title=table.title, watermark=table.watermark, navigation=navigation, table=table, state=state, fixed=FIXED,
        subtitle=_subtitle(table), verdict=summary.verdict(table), downloads=downloads, links=links,
        latex=latex(table), markdown=markdown(table), parts=matrix.parts(table.claims), columns=matrix.columns(table),
        strip=strip, strip_words=_strip_words(strip), rows=[row for row in table.rows if row not in quoted],
        against=[astuple(one) for one in against.comparisons(table)], explanations=list(against.explanations(table)),
        quoted=quoted, notes=Footnotes(), remarks=_remarks(table), figures=figures.draw(table),
        bars=BARS, bar=charts.interval, galleries=galleries, sheets=sheets or {},
        deviations=[(d.what, d.paper, d.here, d.why) for d in deviations.deviations(table)],
        settings=[(d.what, d.paper, d.here, d.why) for d in deviations.settings(table)],
        settings_known=table.profile == "paper" or any(run.paper_config for r in table.rows for run in r.runs),
        missing_rows=_missing(table), curves=curves.panels(curves.curves(table)), stages=stages,
        stages_seconds=sum(stage.seconds or 0.0 for stage in stages), stage_lines=list(_stage_lines(table, links)),
        origin_items={"command": table.command, "profile": table.profile, **table.provenance},
    )  # fmt: skip


def _is_quoted(row: Row) -> bool:
    return row.state == "not measured" and any(cell.published is not None for cell in row.cells)


def _subtitle(table: TableResult) -> str:
    seconds = sum(stage.seconds or 0.0 for stage in of_table(table))
    parts = [table.paper, f"{table.profile} profile", basis.usual(table)]
    parts += [f"{duration(seconds)} of computing"] if seconds else []
    commit = table.provenance.get("commit")
    return " · ".join([*filter(None, parts), *([f"commit {str(commit)[:12]}"] if commit else [])])


def _strip_words(strip: ShownGallery | None) -> str:
    row = next((s.row for s in strip.strips if s.row), "") if strip else ""
    return f"First test images, {FIXED}; samples of {row}. All rows are below." if strip else ""


def _remarks(table: TableResult) -> list[str]:
    texts = (basis.reading(table), basis.rows(table), basis.columns(table), format.verdict_legend(table))
    return [text for text in texts if text]


def _missing(table: TableResult) -> list[tuple[Any, ...]]:
    """Return the rows and cells without a number, each with its full reason."""
    alike: dict[tuple[State, str], list[Row]] = {}
    for row in table.unmeasured:
        alike.setdefault((row.state, row.reason), []).append(row)
    rows = [(format.titles(found), badge(state, state), reason) for (state, reason), found in alike.items()]
    partly = ((row, format.row_reason(row)) for row in table.measured)
    return [*rows, *((row.title, badge("partly", "running"), reason) for row, reason in partly if reason)]


def _stage_lines(table: TableResult, links: Links) -> Iterable[list[Any]]:
    """Yield a line for each stage of each run: time, memory and commit."""
    pairs = [(row, run) for row in table.rows for run in row.runs]
    for row, run in pairs:
        head = [row.title, run.seed, badge(run.state, run.state)]
        for stage in run.stages:
            times = [format.MISSING if s is None else duration(s) for s in (stage.seconds, stage.processor_seconds)]
            length = [format.MISSING if n is None else f"{n:,}" for n in (stage.steps, stage.images)]
            size = format.MISSING if stage.peak_memory_gib is None else f"{stage.peak_memory_gib:.2f} GiB"
            commit = (stage.commit or format.MISSING)[:12] + (" with local changes" if stage.dirty else "")
            yield [*head, _linked(stage.run, links), stage.name, *length, *times, size, commit]
            head = ["", "", ""]
        if not run.stages:
            yield [*head, _linked(run.name, links), *[format.MISSING] * 7]


def _linked(run: str, links: Links) -> Markup | str:
    address = links.configs.get(run)
    return Markup('<a href="{}">{}</a>').format(address, run) if address else run
