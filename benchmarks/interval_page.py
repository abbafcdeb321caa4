"""The tables of ``benchmarks.intervals``: as printed, as kept in docs/statistics.md, and what in them lies outside the bands."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path, read_text

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- begin: python -m benchmarks.intervals --write -->", "<!-- end -->"
COVERED = (0.93, 0.97)
"""How often a 95% interval should hold the right value."""
DECIDED = 0.07
"""How often equally good rows may be told apart, at most."""
LEAST = 64
"""Images from which on the bands apply."""
ERRORS = 2
"""Standard errors by which a rate may be outside, since it is measured in so many trials."""
WHAT_IS_BOLD = (
    f"Bold: at {LEAST} images or more, covered outside {COVERED[0]} to {COVERED[1]}, or apart (0) or decided above {DECIDED}, "
    f"by more than {ERRORS} standard errors."
)
FEW_OUTCOMES = "few outcomes are possible, and Wilson's interval must hold the likeliest of them"
SEVERAL = "within the band for one training; intervals of several are never narrower than the mean one over images"
HALVES = "a recall falls as images are added where few of them are near real ones, and half of the images spread more than all"
REAL = "real images differ from the reference by chance alone, and there influences spread more than the distance does"
OUTSIDE = {
    "share of images, .97": ("wide", FEW_OUTCOMES),
    "share of images, .99": ("wide", FEW_OUTCOMES),
    "copies, 0.00": ("wide", FEW_OUTCOMES),
    "inception score, 10 classes": ("wide", SEVERAL),
    "inception score, 1000 classes": ("wide", SEVERAL),
    "Frechet distance over real, 32 features": ("wide", REAL),
    "Frechet distance over real, 100 features": ("wide", REAL),
    "precision, same distribution": ("wide", SEVERAL),
    "coverage, same distribution": (
        "wide",
        "pseudo-values spread more than new images where most real images are covered",
    ),
    "recall, moved": ("wide", HALVES),
    "coverage, moved": ("wide", SEVERAL),
    "recall, far": ("wide", HALVES),
    "precision, few outliers": ("wide", FEW_OUTCOMES),
    "recall, few outliers": ("narrow", "one or two images make the recall, and sets without them show no spread"),
    "coverage, few outliers": ("wide", SEVERAL),
}
"""Metric -> whether its intervals are too wide, which decides less than it could, or too narrow; and why."""


def outside(rate: float, error: float, *, decided: bool) -> bool:
    """Return whether a rate lies outside its band, by more than chance explains.

    Args:
        rate: share of cases.
        error: standard error of the rate.
        decided: whether it is the rate of decisions between equally good rows, not one of coverage.
    """
    low, high = (0.0, DECIDED) if decided else COVERED
    return not low - ERRORS * error <= rate <= high + ERRORS * error


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]


def rows_of(lines: Sequence[str], header: Sequence[str]) -> list[list[str]]:
    """Return the rows of the table with ``header`` among ``lines``; none if it is not there."""
    first = table(header, [])[0]
    if first not in lines:
        return []
    rows = []
    for line in lines[lines.index(first) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def merged(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the rows of both, by metric and number of images; a new row takes the place of an old one."""
    rows = {(row[0], row[1]): row for row in (*old, *new)}
    order = list(dict.fromkeys(name for name, _ in rows))
    return sorted(rows.values(), key=lambda row: (order.index(row[0]), int(row[1])))


def reasons(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a line for each metric with a rate outside its band (bold), which must have its reason."""
    found = dict.fromkeys(row[0] for row in rows if any(cell.startswith("**") for cell in row))
    return [f"- {name}: too {': '.join(OUTSIDE.get(name, ('wide or narrow', 'not explained')))}." for name in found]


def block() -> list[str]:
    """Return the lines of the page that the command keeps."""
    text = read_text(PAGE)
    found = re.search(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), text, flags=re.DOTALL)
    if found is None:
        raise UserError(f"{PAGE}: lacks the lines {BEGIN!r} and {END!r}, between which the tables are written.")
    return found[1].splitlines()


def write(lines: Sequence[str]) -> None:
    """Replace the lines of the page that the command keeps."""
    start, rest = read_text(PAGE).split(BEGIN + "\n")
    _, end = rest.split(END)
    with atomic_path(PAGE) as temporary:
        temporary.write_text("\n".join([start + BEGIN, *lines, END]) + end, encoding="utf-8")
