r"""A table as LaTeX: ``table.tex`` for a paper, in the width of a page, and ``table-full.tex`` with everything that is known.

Both need ``\usepackage{booktabs,graphicx}``; the full one also ``amssymb`` for check marks.
"""

from collections.abc import Iterator, Sequence

from reports import basis, format
from reports.format import Footnotes, escape_latex, one_line
from reports.schema import Cell, Metric, Row, TableResult

ARROWS = {"lower": r"$\,\downarrow$", "higher": r"$\,\uparrow$", "neither": ""}
COLUMNS = 5
"""Most columns side by side; further ones stand below, or in a table of their own, with the rows again."""
LINES = 54
"""Most lines in one table: with more, the height of a page would make the text smaller than three quarters."""
LABEL_WIDTH = 24
"""Characters of a line of a label."""
NEEDS = r"needs \usepackage{booktabs,graphicx}"
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes what follows as wide as the text, if it is wider."""
FIT_HEIGHT = r"\resizebox*{!}{\ifdim\totalheight>.8\textheight .8\textheight\else\totalheight\fi}{"
"""Leaves room for the caption on a page, if what follows is higher."""


def latex(table: TableResult) -> str:
    """Return what was measured as one or more ``table`` environments that can be read on a page each.

    Best in bold, intervals small, n and seeds in the caption.
    """
    columns = [i for i in range(len(table.metrics)) if any(row.cells[i].value is not None for row in table.measured)]
    side = -(-len(columns) // max(1, -(-len(columns) // COLUMNS)))  # alike in all blocks
    blocks = [columns[i : i + side] for i in range(0, len(columns), side or 1)]
    together = len(blocks) * _height(table) <= LINES
    left_out = len(table.rows) - len(table.measured)
    lines = [
        *_comments(table),
        *([f"% {left_out} rows that are not measured are in table-full.tex"] if left_out else []),
    ]
    for number, part in enumerate([blocks] if together else [[block] for block in blocks]):
        lines += _environment(table, part, number)
    return "\n".join(lines) + "\n"


def _height(table: TableResult) -> int:
    """Return about how many lines the rows take, headings included."""
    groups = {row.group for row in table.measured if row.group}
    return 3 + len(groups) + sum(-(-len(row.label) // LABEL_WIDTH) for row in table.measured)


def _environment(table: TableResult, blocks: Sequence[Sequence[int]], number: int) -> Iterator[str]:
    """Yield a ``table`` with these blocks of columns below each other; ``number`` counts those before it."""
    yield from (r"\begin{table}", r"\centering", r"\small", r"\setlength{\tabcolsep}{3pt}")
    yield rf"\caption{{{escape_latex(table.title) + ', further columns.' if number else _caption(table)}}}"
    yield rf"\label{{{_label(table)}{f'-{number + 1}' if number else ''}}}"
    yield FIT_HEIGHT + r"\begin{minipage}{\linewidth}\centering"
    for i, block in enumerate(blocks):
        yield from [r"\par\medskip"] if i else []
        yield from (FIT, *_block(table, block), "}")
    yield from (r"\end{minipage}}", r"\end{table}")


def _comments(table: TableResult) -> Iterator[str]:
    yield f"% {one_line(basis.made_by(table))}"
    yield f"% {one_line(table.command)}; {NEEDS}"


def _label(table: TableResult) -> str:
    return f"tab:{''.join(c for c in table.name if c.isalnum() or c == '-')}"


def _caption(table: TableResult) -> str:
    watermark = rf"\textbf{{{escape_latex(table.watermark)}.}} " if table.watermark else ""
    chosen = [f"{row.label}: {row.reason}" for row in table.measured if row.chosen]
    reading = [basis.rows(table), *chosen, *_meaning_of_intervals(table), "bold: best measured"]
    profile = "" if table.profile == "paper" else f"{table.profile} profile; "
    return f"{watermark}{escape_latex(table.title)}. {escape_latex(profile + '; '.join(filter(None, reading)))}."


def _meaning_of_intervals(table: TableResult) -> Iterator[str]:
    covers = {cell.over for row in table.measured for cell in row.cells if cell.over}
    if covers:
        words = [basis.COVER[over] for over in ("trainings", "images") if over in covers]
        yield f"95% intervals {', or '.join(words)}" + (f" where marked {basis.MARK}" if len(covers) > 1 else "")


def _block(table: TableResult, columns: Sequence[int]) -> Iterator[str]:
    yield rf"\begin{{tabular}}{{@{{}}p{{10em}}{'r' * len(columns)}@{{}}}}"
    yield r"\toprule"
    yield " & ".join(["", *(_head(table.metrics[i]) for i in columns)]) + r" \\"
    for group, rows in format.grouped(table.measured):
        yield r"\midrule"
        if group:
            yield rf"\multicolumn{{{len(columns) + 1}}}{{@{{}}l}}{{\emph{{{escape_latex(group)}}}}} \\"
        for row in rows:
            label = escape_latex(row.label) + (" (ceiling)" if row.ceiling else "")
            cells = [_cell(table, i, row.cells[i]) for i in columns]
            yield " & ".join([rf"\raggedright {label}", *cells]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _head(metric: Metric) -> str:
    r"""Return the heading of a column, broken at the hyphens of long names."""
    name = escape_latex(metric.protocol)
    broken = name.replace("-", r"-\\") if len(metric.protocol) > 8 else name
    return rf"\shortstack[r]{{{broken}{ARROWS[metric.better]}}}"


def _cell(table: TableResult, column: int, cell: Cell) -> str:
    text = format.number(cell.value, format.decimals(table, column))
    text = "---" if cell.value is None else rf"\textbf{{{text}}}" if cell.best else text
    interval = _interval(table, column, cell)
    published = f" ({escape_latex(cell.printed)})" if cell.printed and cell.verdict != "not comparable" else ""
    return text + (rf"\,{{\scriptsize {interval}}}" if interval else "") + published


def _interval(table: TableResult, column: int, cell: Cell) -> str:
    """Return an interval as ``+-`` half its width, or as its ends where the value is not in its middle."""
    if cell.interval is None or cell.value is None or cell.interval[0] == cell.interval[1]:
        return ""
    decimals = format.decimals(table, column)
    low, high = cell.interval
    mark = escape_latex(basis.mark(table, cell))
    if abs((low + high) / 2 - cell.value) < 0.5 * 10**-decimals:
        return rf"$\pm${format.number((high - low) / 2, decimals)}{mark}"
    return f"{{[}}{format.number(low, decimals)}, {format.number(high, decimals)}]{mark}"


def full(table: TableResult) -> str:
    """Return everything as a ``table`` environment: every row, published values, footnotes and the origin of the numbers."""
    notes, escape = Footnotes(), escape_latex
    printed = [any(row.cells[i].published is not None for row in table.rows) for i in range(len(table.metrics))]
    total = 1 + sum(map(_width, printed))
    body = []
    for group, rows in format.groups(table):
        body += [r"\midrule"]
        body += [rf"\multicolumn{{{total}}}{{l}}{{\emph{{{escape(group)}}}}} \\"] if group else []
        body += [_full_row(table, row, printed, notes) for row in rows]
    watermark = rf"\textbf{{{escape(table.watermark)}.}} " if table.watermark else ""
    caption = f"{escape(table.title)}. {escape(basis.made_by(table))}."
    remarks = [basis.reading(table), basis.rows(table), basis.columns(table), format.verdict_legend(table)]
    remarks = [f"{remark}." for remark in remarks if remark]
    remarks += [f"({letter}) {reason}." for reason, letter in notes.letters.items()]
    lines = [
        *_comments(table),
        *(r"\begin{table}", r"\centering", rf"\caption{{{watermark}{caption}}}", rf"\label{{{_label(table)}-full}}"),
        *(FIT, rf"\begin{{tabular}}{{l{'r' * (total - 1)}}}", r"\toprule"),
        *(*_full_heads(table, printed), *body),
        *(r"\bottomrule", r"\end{tabular}}"),
        *([r"\par\smallskip\footnotesize " + " ".join(escape(remark) for remark in remarks)] if remarks else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _width(printed: bool) -> int:
    return 2 if printed else 1


def _full_heads(table: TableResult, printed: list[bool]) -> list[str]:
    heads, rules, names, column = [""], [], [""], 2
    for metric, beside in zip(table.metrics, printed):
        width = _width(beside)
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(metric.protocol)} {ARROWS[metric.better]}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        names += ["measured", f"{escape_latex(metric.column)}, paper"] if beside else ["measured"]
        column += width
    return [" & ".join(heads) + r" \\", "".join(rules), " & ".join(names) + r" \\"]


def _full_row(table: TableResult, row: Row, printed: list[bool], notes: Footnotes) -> str:
    mark = notes.mark(format.row_reason(row))
    label = escape_latex(row.label) + (" (ceiling)" if row.ceiling else "")
    cells = [label + (rf"\,\textsuperscript{{{mark}}}" if mark else "")]
    for i, cell in enumerate(row.cells):
        text = format.number(cell.value, format.decimals(table, i))
        text = "---" if cell.value is None else rf"\textbf{{{text}}}" if cell.best else text
        text += rf" {{\scriptsize {escape_latex(basis.interval(table, i, cell))}}}" if cell.interval else ""
        published = f"{cell.printed or format.MISSING} {format.verdict_symbol(cell)}".rstrip()
        cells += [text, *([escape_latex(published)] if printed[i] else [])]
    return " & ".join(cells) + r" \\"
