"""A table as LaTeX (booktabs)."""

from reports import basis, format
from reports.format import Footnotes, escape_latex, one_line
from reports.schema import Row, TableResult

ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}


def latex(table: TableResult) -> str:
    r"""Return a ``table`` environment for ``\usepackage{booktabs}``: measured, with its interval, beside published if any is."""
    notes, escape = Footnotes(), escape_latex
    printed = [any(row.cells[i].published is not None for row in table.rows) for i in range(len(table.metrics))]
    total = 1 + sum(map(_width, printed))
    body = []
    for group, rows in format.groups(table):
        body += [r"\midrule"]
        body += [rf"\multicolumn{{{total}}}{{l}}{{\emph{{{escape(group)}}}}} \\"] if group else []
        body += [_row(table, row, printed, notes) for row in rows]
    watermark = rf"\textbf{{{escape(table.watermark)}.}} " if table.watermark else ""
    caption = f"{escape(table.title)}. {escape(basis.made_by(table))}."
    remarks = [basis.reading(table), basis.rows(table), basis.columns(table), format.verdict_legend(table)]
    remarks = [f"{remark}." for remark in remarks if remark]
    remarks += [f"({letter}) {reason}." for reason, letter in notes.letters.items()]
    label = "".join(c for c in table.name if c.isalnum() or c == "-")
    lines = [
        rf"% {one_line(basis.made_by(table))}",
        rf"% {one_line(table.command)}; needs \usepackage{{booktabs}} and, for check marks, \usepackage{{amssymb}}",
        *(r"\begin{table}", r"\centering", rf"\caption{{{watermark}{caption}}}", rf"\label{{tab:{label}}}"),
        *(rf"\begin{{tabular}}{{l{'r' * (total - 1)}}}", r"\toprule"),
        *(*_heads(table, printed), *body),
        *(r"\bottomrule", r"\end{tabular}"),
        *([r"\par\smallskip\footnotesize " + " ".join(escape(remark) for remark in remarks)] if remarks else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _width(printed: bool) -> int:
    return 2 if printed else 1


def _heads(table: TableResult, printed: list[bool]) -> list[str]:
    heads, rules, names, column = [""], [], [""], 2
    for metric, beside in zip(table.metrics, printed):
        width = _width(beside)
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(metric.protocol)} {ARROWS[metric.better]}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        names += ["measured", f"{escape_latex(metric.column)}, paper"] if beside else ["measured"]
        column += width
    return [" & ".join(heads) + r" \\", "".join(rules), " & ".join(names) + r" \\"]


def _row(table: TableResult, row: Row, printed: list[bool], notes: Footnotes) -> str:
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
