"""What stands behind the numbers of a table, in words that all renderings share: images, trainings, intervals, code, machine."""

from collections import Counter
from collections.abc import Iterable

from reports import format
from reports.schema import Cell, Over, Row, TableResult

MARK = "°"
"""Mark of intervals over images in a table that has intervals over trainings too."""
NO_INTERVAL = "no interval"
COVER: dict[Over, str] = {"trainings": "over trainings (Student's t)", "images": "over images (bootstrap)"}


def made_from(row: Row) -> str:
    """Return the images and seeds behind a row, or its state."""
    if row.state != "measured":
        return row.state
    seeds = sorted({s for cell in row.cells for s in cell.seeds})
    return f"{_images(row.cells)}, {'seed' if len(seeds) == 1 else 'seeds'} {' '.join(map(str, seeds))}"


def _images(cells: Iterable[Cell]) -> str:
    """Return ``n=256``, or the smallest and largest number of images, or that the numbers have no spread."""
    measured = [cell for cell in cells if cell.value is not None]
    counts = sorted({cell.n for cell in measured if cell.n is not None})
    if not counts:
        return NO_INTERVAL if measured and not any(cell.over for cell in measured) else "n unknown"
    return f"n={counts[0]}" if len(counts) == 1 else f"n={counts[0]}-{counts[-1]}"


def _covers(table: TableResult) -> set[Over]:
    return {cell.over for row in table.rows for cell in row.cells if cell.over}


def mark(table: TableResult, cell: Cell) -> str:
    """Return the mark of an interval over images if other intervals of the table are over trainings."""
    return MARK if cell.over == "images" and "trainings" in _covers(table) else ""


def interval(table: TableResult, column: int, cell: Cell) -> str:
    """Format an interval as ``[low, high]`` with its mark, or say that all images or trainings gave the same number."""
    if cell.interval is None:
        return ""
    decimals = format.decimals(table, column)
    if cell.interval[0] == cell.interval[1]:
        count = f"{cell.n} images" if cell.over == "images" else f"{len(cell.seeds)} trainings"
        return f"(all {count} alike)"
    low, high = (format.number(end, decimals) for end in cell.interval)
    return f"[{low}, {high}]{mark(table, cell)}"


def reading(table: TableResult) -> str:
    """Explain what a cell holds and what its interval covers."""
    covers = _covers(table)
    marked = f" where marked {MARK}" if len(covers) > 1 else ""
    kinds = [words + (marked if over == "images" else "") for over, words in COVER.items() if over in covers]
    every = [cell for row in table.rows for cell in row.cells]
    shown = "measured (published) verdict" if any(cell.printed for cell in every) else "measured"
    parts = [shown + (f", [95% interval {', or '.join(kinds)}]" if kinds else ""), "bold: best measured"]
    cells = [cell for cell in every if cell.interval]
    if any(cell.cut for cell in cells):
        parts.append("intervals end where the metric's range does")
    if any(cell.interval[0] == cell.interval[1] for cell in cells if cell.interval):
        parts.append("'alike' says nothing of other images or trainings")
    return "; ".join(parts)


def columns(table: TableResult) -> str:
    """Return the images and reference images behind each column, if the rows do not say all of it.

    Columns with the same are listed together.
    """
    same: dict[str, list[str]] = {}
    for i, metric in enumerate(table.metrics):
        cells = [row.cells[i] for row in table.rows if row.cells[i].value is not None]
        references = " or ".join(dict.fromkeys(cell.reference for cell in cells if cell.reference))
        text = _images(cells) + (f" against {references}" if references else "")
        if cells:
            same.setdefault(text, []).append(metric.protocol)
    if len(same) == 1 and not any(" against " in text for text in same):
        return ""
    return "; ".join(f"{text}: {', '.join(names)}" for text, names in same.items())


def usual(table: TableResult) -> str:
    """Return the images and seeds behind most measured rows; empty if nothing is measured."""
    found = Counter(made_from(row) for row in table.measured)
    return found.most_common(1)[0][0] if found else ""


def rows(table: TableResult) -> str:
    """Return the images and seeds behind the measured rows; the most frequent ones name no row."""
    same: dict[str, list[Row]] = {}
    for row in table.measured:
        same.setdefault(made_from(row), []).append(row)
    if not same:
        return "nothing measured yet"
    usual = max(same, key=lambda text: len(same[text]))
    others = [f"{text}: {format.titles(found)}" for text, found in same.items() if text != usual]
    return "; ".join([f"{usual}" + (" unless said" if others else ""), *others])


def commits(row: Row) -> str:
    """Return the commits that made a row, trainings included, separated by spaces; + marks local changes."""
    stages = [stage for run in row.runs for stage in run.stages if stage.commit]
    return " ".join(dict.fromkeys(f"{stage.commit}{'+' if stage.dirty else ''}" for stage in stages))


def hardware(row: Row) -> str:
    """Return the machines that made a row, trainings included."""
    stages = [stage for run in row.runs for stage in run.stages]
    return "; ".join(dict.fromkeys(stage.hardware for stage in stages if stage.hardware))


def checkpoints(table: TableResult) -> tuple[str, ...]:
    """Return the published files behind the numbers, each with the beginning of its SHA-256."""
    stages = (stage for row in table.rows for run in row.runs for stage in run.stages)
    return tuple(dict.fromkeys(format.plain(text) for stage in stages for text in stage.checkpoints))


def made_by(table: TableResult) -> str:
    """Return the origin of the numbers as one line."""
    provenance = table.provenance
    dirty = " with local changes" if provenance.get("dirty") else ""
    commit = str(provenance.get("commit") or "unknown")
    behind = [*provenance.get("runs", ()), *(text for row in table.rows for text in commits(row).split())]
    others = dict.fromkeys(text[:12] for text in behind if text[:12] != commit[:12])
    runs = f" (runs also of {', '.join(others)})" if others else ""
    machine = format.plain(provenance.get("hardware") or "")
    where = [text for origin in provenance.get("origins", ()) for text in origin["hardware"]]
    where += [text for row in table.rows for text in hardware(row).split("; ") if text]
    elsewhere = [text for text in dict.fromkeys(where) if text != machine]
    parts = [f"profile {table.profile}", f"commit {commit[:12]}{dirty}{runs}"]
    parts += [f"{machine} (runs also on {'; '.join(elsewhere)})" if elsewhere else machine] if machine else []
    parts += [format.plain(provenance["date"])] if provenance.get("date") else []
    if files := checkpoints(table):
        parts.append(f"published checkpoints {', '.join(files)}")
    return "; ".join(parts)
