"""Numbers that a text quotes from a recorded table, and whether the table still has them.

A number with a decimal point or a sign is a quotation: ``.655``, ``134.0``, ``+13``. Whole numbers without a sign are
settings, and so is what stands in backticks, links or headings. ``{elsewhere: 1.5}`` is no quotation, ``{table2: .625}``
one from another table.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from reports.schema import Row, TableResult

NUMBER = re.compile(r"(?<![\w.+\-−])([+\-−]?)(\d*\.\d+|(?<=[+\-−])\d+)(?![\w]|\.\d)")
PLACE = re.compile(r"\{([\w-]+): ([^{}]+)\}")
SILENT = re.compile(r"`[^`]*`|\]\([^)]*\)|^#.*$|\b(?:App|Eq|Sec|Fig)\. [\w.]+", re.MULTILINE)
ELSEWHERE = "elsewhere"


def fill(text: str) -> str:
    """Return the text as readers see it."""
    return PLACE.sub(r"\2", text)


def missing(text: str, name: str, table_of: Callable[[str], TableResult]) -> list[str]:
    """Return the quoted numbers that their table does not have, each with the name of the table.

    Args:
        text: text beside a table.
        name: name of that table.
        table_of: returns a recorded table by name.
    """
    passages = [(name, PLACE.sub("", text))] + [(m[1], m[2]) for m in PLACE.finditer(text) if m[1] != ELSEWHERE]
    lost = []
    for source, passage in passages:
        known = list(numbers(table_of(source)))
        lost += [f"{source}: {sign}{digits}" for sign, digits in quoted(passage) if not _is_in(sign, digits, known)]
    return lost


def quoted(text: str) -> Iterator[tuple[str, str]]:
    """Yield sign (+, - or none) and digits of the numbers that a text quotes."""
    for sign, digits in NUMBER.findall(SILENT.sub(" ", text)):
        yield sign.replace("−", "-"), digits


def numbers(table: TableResult) -> Iterator[float]:
    """Yield every number of a table: values, those of each seed, interval ends; differences, those of each seed, their ends."""
    for row in table.rows:
        for cell in row.cells:
            yield from (cell.value,) if cell.value is not None else ()
            yield from (*cell.seed_values, *(cell.interval or ()))
    rows: Mapping[str, Row] = {row.title: row for row in table.rows}
    for claim in table.claims:
        yield from (claim.difference,) if claim.difference is not None else ()
        yield from claim.interval or ()
        sides = [rows[title] for title in (claim.better, claim.worse) if title in rows]
        values = [cell.seed_values for row in sides for cell in row.cells if cell.protocol == claim.protocol]
        if len(values) == 2 and len(values[0]) == len(values[1]):
            yield from (a - b for a, b in zip(*values, strict=True))


def _is_in(sign: str, digits: str, known: list[float]) -> bool:
    """Return whether a number of ``known`` rounds to these digits; without a sign, its size does."""
    half = 0.5 * 10.0 ** -len(digits.partition(".")[2])
    value = float(f"{sign}{digits}")
    return any(abs((number if sign else abs(number)) - value) <= half * (1 + 1e-9) for number in known)
