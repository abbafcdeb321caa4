"""All tables of a profile in one file per format: LaTeX (booktabs), Markdown, CSV; and all claims as CSV."""

import dataclasses
from collections.abc import Callable, Sequence

import pandas as pd

from reports.basis import made_by
from reports.latex import latex as latex_of
from reports.markdown import markdown as markdown_of
from reports.schema import TableResult
from reports.values import frame

FIELDS = (
    "id",
    "text",
    "source",
    "decision",
    "protocol",
    "better",
    "worse",
    "difference",
    "over",
    "n",
    "reason",
    "note",
)


def latex(tables: Sequence[TableResult]) -> str:
    """Return the environment of every table, one after another."""
    return "\n".join(latex_of(table) for table in tables)


def markdown(tables: Sequence[TableResult]) -> str:
    """Return the Markdown of every table, without the pictures, whose files lie elsewhere."""
    return "\n".join(markdown_of(dataclasses.replace(table, galleries=())) for table in tables)


def csv(tables: Sequence[TableResult]) -> str:
    """Return one line for each cell of every table."""
    return pd.concat([frame(table) for table in tables]).to_csv(index=False) if tables else ""


def claims(tables: Sequence[TableResult]) -> str:
    """Return one line for each claim of every table."""
    lines = [
        {
            "table": table.name,
            "profile": table.profile,
            **{name: getattr(claim, name) for name in FIELDS},
            "low": claim.interval[0] if claim.interval else None,
            "high": claim.interval[1] if claim.interval else None,
            "published": " ".join(claim.printed or ()),
            "seeds": " ".join(map(str, claim.seeds)),
            "made_by": made_by(table),
        }
        for table in tables
        for claim in table.claims
    ]
    return pd.DataFrame(lines).to_csv(index=False)


FILES: dict[str, Callable[[Sequence[TableResult]], str]] = {
    "tables.tex": latex,
    "tables.md": markdown,
    "tables.csv": csv,
    "claims.csv": claims,
}
