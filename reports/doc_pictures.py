"""Pictures beside the recorded tables in docs/: a line ``{picture FILE.png: NAME | NAME}`` of a table's text says what is drawn.

A name is the title of a row, of a gallery or of a figure of the table. Pictures are enlarged four times and carry their caption
and their origin in the file, where the page finds the caption.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path
from reports import basis, sheet
from reports.format import escape_markdown
from reports.galleries import Figure, Gallery, Strip
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder

PICTURE = re.compile(r"^\{picture ([\w-]+\.png): ([^{}\n]+)\}$", re.MULTILINE)
FACTOR = 4
"""How much pictures are enlarged."""
COUNTS = (8, 6, 5, 4)
"""Numbers of images in a line, as many as fit into the file."""
MAX_BYTES = 300_000
CAPTION, SOURCE = "Description", "Source"
"""Names of a PNG's own texts."""


@dataclass(frozen=True, eq=False)
class Line:
    """Pictures of the same images side by side."""

    label: str
    pictures: np.ndarray
    """uint8 [N, H, W, 3]."""


def wanted(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return file and names of every picture that the text beside a table asks for."""
    return [(file, tuple(name.strip() for name in names.split("|"))) for file, names in PICTURE.findall(text)]


def shown(match: re.Match[str], folder: Path) -> str:
    """Return a picture of ``folder`` with its caption as Markdown; empty if it is not drawn yet."""
    path = folder / match[1]
    if not path.is_file():
        return ""
    with Image.open(path) as image:
        caption = str(getattr(image, "text", {}).get(CAPTION, ""))
    names = "; ".join(name.strip() for name in match[2].split("|"))
    lines = [f"![{escape_markdown(names)}]({match[1]})", *([f"*{escape_markdown(caption)}*"] if caption else [])]
    return "\n\n".join(lines)


def draw(profile: Path, name: str, docs: Path) -> Iterator[Path]:
    """Draw the pictures that the text beside a recorded table asks for, and yield the files.

    Args:
        profile: folder of the runs of a profile, such as runs/mini.
        name: name of the table.
        docs: folder of the pictures; the text is in results/ below it, and need not exist.

    Raises:
        UserError: if there is no such row, gallery or figure, or a picture is too large for the documentation.
    """
    text = docs / "results" / f"{name}.md"
    asked = wanted(text.read_text(encoding="utf-8")) if text.exists() else []
    if not asked:
        return
    table = load_table(TableFolder.of(profile, name).table)
    for file, names in asked:
        _draw(table, names, docs / file)
        if (size := (docs / file).stat().st_size) > MAX_BYTES:
            raise UserError(f"{docs / file} has {size:,} bytes, more than {MAX_BYTES:,}; ask for fewer rows in {text}.")
        yield docs / file


def _draw(table: TableResult, names: Sequence[str], path: Path) -> None:
    figures = [figure for figure in table.figures if figure.title == names[0] and figure.y]
    gallery = next((gallery for gallery in table.galleries if gallery.title == names[0]), None)
    source = {SOURCE: f"{table.command}; {basis.made_by(table)}"}
    if figures:
        _draw_lines(figures, path, {CAPTION: figures[0].caption, **source})
    elif gallery and not gallery.strips:
        _copy(gallery, path, {CAPTION: gallery.caption, **source})
    else:
        galleries = [gallery] if gallery else [g for g in table.galleries if not g.bar]
        strips = gallery.strips if gallery else _of_rows(table, galleries, names)
        first = next(g for g in galleries if any(strip in g.strips for strip in strips))
        legends = [found for g in galleries if any(strip in g.strips for strip in strips) for found in g.legend]
        _draw_strips(strips, replace(first, legend=tuple(dict.fromkeys(legends))), path, source)


def _of_rows(table: TableResult, galleries: Sequence[Gallery], names: Sequence[str]) -> tuple[Strip, ...]:
    """Return the strips of rows, each below those of its conditions that do not stand above already.

    Raises:
        UserError: if a row has no pictures.
    """
    found: dict[str, tuple[tuple[Strip, ...], list[Strip]]] = {}
    for gallery in galleries:
        conditions: tuple[Strip, ...] = ()
        for title, block in groupby(gallery.strips, key=lambda strip: strip.row):
            strips = list(block)
            if not title:
                conditions = tuple(strips)
            elif title not in found:
                found[title] = (conditions, strips)
    if lost := [name for name in names if name not in found]:
        raise UserError(f"{table.folder}: no pictures of {'; '.join(lost)}; there: {'; '.join(found)}.")
    shown: list[Strip] = []
    above: set[Path] = set()
    for name in names:
        conditions, strips = found[name]
        shown += [*(strip for strip in conditions if strip.file not in above), *strips]
        above |= {strip.file for strip in conditions}
    return tuple(shown)


def _draw_strips(strips: Sequence[Strip], gallery: Gallery, path: Path, source: dict[str, str]) -> None:
    """Draw strips with as many images as fit into the file."""
    lines = [Line(strip.label, _pictures(strip.file, gallery.count)) for strip in strips]
    height = FACTOR * lines[0].pictures.shape[1]
    bar = gallery.bar and {"low": gallery.bar.low, "high": gallery.bar.high, "colors": list(gallery.bar.colors)}
    for count in COUNTS:
        about = {CAPTION: f"{gallery.caption} Enlarged {FACTOR} times; {min(count, gallery.count)} images.", **source}
        part = [Line(line.label, line.pictures[:count]) for line in lines]
        captions = gallery.captions[:count]
        sheet.draw(path, part, captions=captions, legend=gallery.legend, bar=bar or None, height=height, about=about)
        if path.stat().st_size <= MAX_BYTES:
            return


def _pictures(file: Path, count: int) -> np.ndarray:
    with Image.open(file) as opened:
        wide = np.asarray(opened.convert("RGB"))
    return np.stack(np.split(wide, count, axis=1))


def _copy(gallery: Gallery, path: Path, about: dict[str, str]) -> None:
    texts = PngInfo()
    for key, text in about.items():
        texts.add_text(key, text)
    with Image.open(gallery.file) as image, atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=True, pnginfo=texts)


def _draw_lines(figures: Sequence[Figure], path: Path, about: dict[str, str]) -> None:
    """Draw figures of given values side by side, on one scale."""
    from matplotlib.figure import Figure as Canvas  # slow to import

    canvas = Canvas(figsize=(3.6 * len(figures), 3.2), layout="constrained")
    panels = canvas.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for panel, figure in zip(panels, figures, strict=True):
        for line in figure.lines:
            panel.plot([x for x, _ in line.points], [float(y) for _, y in line.points], label=line.label)
        panel.set(title=figure.y, xlabel=figure.x)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    with atomic_path(path) as temporary:
        canvas.savefig(temporary, format="png", dpi=100, metadata=about)
