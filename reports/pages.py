"""The page of one table, made from fragments without a kernel: standalone (pictures embedded) or as part of a site."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reports import basis, figures, html
from reports.costs import costs
from reports.curves import curves
from reports.deviations import differed
from reports.format import escape_html
from reports.html import NO_LINKS, Links
from reports.schema import TableResult
from reports.style import page

FIXED = "fixed seeds, uncurated"
Fragment = Callable[[TableResult, Links], str]

# Anchor, heading, introduction, content. To extend the report, add a line here and one in notebook.SECTIONS.
SECTIONS: tuple[tuple[str, str, str, Fragment], ...] = (
    ("table", "Table", "Every row, measured or not.", html.results),
    ("claims", "Claims", "Who beats whom.", lambda table, _: html.claims(table)),
    (
        "plot",
        "Measured values with their intervals",
        figures.LEGEND,
        lambda table, _: _embed(figures.plot(table), "all metrics"),
    ),
)
ORIGIN_SECTIONS: tuple[tuple[str, str, str, Fragment], ...] = (
    ("curves", "Curves", "Over training, a line for each seed.", lambda table, _: curves(table)),
    ("differed", "What differs from the publication, and why", "", lambda table, _: differed(table)),
    ("cost", "Cost", "Every stage of every run behind the table, once.", lambda table, _: costs(table)),
    ("protocols", "How each number was made", "The protocol of each column:", lambda table, _: html.protocols(table)),
    ("runs", "", "The runs behind the rows:", html.runs),
    ("origin", "", "The machine and the code:", lambda table, _: html.origin(table)),
    ("missing", "What was not measured, and why", "", lambda table, _: html.missing(table)),
)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Addresses of pictures relative to the page, or the pictures themselves as ``data:`` addresses."""

    galleries: Sequence[str]
    """One address for each gallery of the table; empty if the file is missing or broken."""
    sheets: Mapping[int, str] = field(default_factory=dict)
    """Row number -> address of its first samples."""


def standalone(table: TableResult) -> str:
    """Return a single HTML file that holds everything, galleries included."""
    whole = [figures.is_image(gallery.file) for gallery in table.galleries]
    sources = [_data(figures.sheet(table, i)) if ok else "" for i, ok in enumerate(whole)]
    return page(table.title, body(table, Pictures(galleries=sources)), table.watermark)


def body(table: TableResult, pictures: Pictures, *, links: Links = NO_LINKS, head: str = "") -> str:
    """Return everything between the banners.

    Args:
        table: table of the page.
        pictures: galleries and samples of the table.
        links: addresses that the table links to.
        head: HTML below the title.
    """
    parts = [f"<h1>{escape_html(table.title)}</h1><p>{escape_html(table.paper)}</p>"]
    parts += [f'<p class="small">{escape_html(basis.made_by(table))}</p>{head}']
    parts += [_section(table, links, *section) for section in SECTIONS]
    parts += [_galleries(table, pictures), _sheets(table, pictures, links)]
    parts += [_section(table, links, *section) for section in ORIGIN_SECTIONS]
    return "".join(parts)


def contents(table: TableResult, pictures: Pictures) -> str:
    """Return links to the sections of a page."""
    entries = [(anchor, heading) for anchor, heading, *_ in SECTIONS]
    entries += [("galleries", "Galleries")] if table.galleries else []
    entries += [("samples", "Samples of each row")] if pictures.sheets else []
    entries += [(anchor, heading) for anchor, heading, *_ in ORIGIN_SECTIONS if heading]
    return "<nav>" + "".join(f'<a href="#{anchor}">{escape_html(text)}</a>' for anchor, text in entries) + "</nav>"


def _section(table: TableResult, links: Links, anchor: str, heading: str, text: str, fragment: Fragment) -> str:
    title = f"<h2>{escape_html(heading)}</h2>" if heading else ""
    words = f"<p>{escape_html(text)}</p>" if text else ""
    return f'<section id="{anchor}">{title}{words}{fragment(table, links)}</section>'


def _galleries(table: TableResult, pictures: Pictures) -> str:
    if not table.galleries:
        return ""
    parts = []
    for number, (gallery, source) in enumerate(zip(table.galleries, pictures.galleries, strict=True), 1):
        words = f"<h3>{escape_html(gallery.title)}</h3><p>{escape_html(gallery.caption)} ({FIXED})</p>"
        missing = f"<p>{escape_html(gallery.file.name)} is missing or broken.</p>"
        image = f'<img alt="{escape_html(gallery.title)}" src="{escape_html(source)}">'
        shown = f'<div class="scroll" tabindex="0">{image}</div>' if source else missing
        parts.append(f'<div class="sheet" id="gallery-{number}">{words}{shown}</div>')
    return f'<section id="galleries"><h2>Galleries</h2>{"".join(parts)}</section>'


def _sheets(table: TableResult, pictures: Pictures, links: Links) -> str:
    if not pictures.sheets:
        return ""
    parts = []
    for number, source in pictures.sheets.items():
        row = table.rows[number]
        config = next((links.configs[run.name] for run in row.runs if run.name in links.configs), "")
        link = f' <a class="small" href="{escape_html(config)}">config</a>' if config else ""
        title = escape_html(row.title)
        image = f'<img alt="first samples: {title}" src="{escape_html(source)}">'
        parts.append(f'<figure class="sheet" id="samples-{number}"><h3>{title}{link}</h3>{image}</figure>')
    head = f"<h2>Samples of each row</h2><p>The first images of the first seed ({FIXED}).</p>"
    return f'<section id="samples">{head}<div class="sheets">{"".join(parts)}</div></section>'


def _embed(image: bytes, words: str) -> str:
    return f'<div class="scroll" tabindex="0"><img alt="{escape_html(words)}" src="{_data(image)}"></div>'


def _data(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
