"""Pictures and figures beside a table, as ``table.json`` names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.links import is_name

CSS_COLOR = frozenset("#0123456789abcdef")


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Pictures of the same test images side by side, in a file of their own."""

    label: str
    row: str
    """Title of the row that made them; empty for conditions and real images."""
    file: Path


@dataclass(frozen=True, kw_only=True)
class ColorBar:
    """What the colors of a map mean: the colors from low to high, and the values at both ends."""

    low: str
    high: str
    colors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """A sheet of images: one picture with everything on it, and its strips where they are known."""

    title: str
    caption: str
    file: Path
    strips: tuple[Strip, ...] = ()
    """Empty in tables of earlier versions."""
    count: int = 0
    """Number of pictures in a strip."""
    captions: tuple[str, ...] = ()
    """Text below each column of pictures; empty if the images have none."""
    legend: tuple[tuple[str, str], ...] = ()
    """Name and color of every class in the maps."""
    bar: ColorBar | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a figure."""

    label: str
    points: tuple[tuple[float, str | float], ...]
    """Place on the horizontal axis; the row whose values are drawn there, or the value itself."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Lines over a quantity, as the paper draws them: a chart for each metric, or one chart of given values."""

    title: str
    caption: str
    x: str
    """Name of the quantity."""
    lines: tuple[Line, ...]
    y: str = ""
    """What the given values are; empty if the points name rows."""


def read_gallery(stored: Mapping[str, Any], table: Path) -> Gallery:
    """Return a gallery of ``table.json``.

    Raises:
        UserError: if a picture is said to lie elsewhere than beside the table.
    """
    bar = stored.get("bar")
    return Gallery(
        title=stored["title"],
        caption=stored["caption"],
        file=_beside(table, stored["file"]),
        strips=tuple(
            Strip(label=s["label"], row=s["row"], file=_beside(table, s["file"])) for s in stored.get("strips", ())
        ),
        count=int(stored.get("count", 0)),
        captions=tuple(map(str, stored.get("captions", ()))),
        legend=tuple((str(name), _color(color)) for name, color in stored.get("legend", ())),
        bar=ColorBar(low=bar["low"], high=bar["high"], colors=tuple(map(_color, bar["colors"]))) if bar else None,
    )


def read_figure(stored: Mapping[str, Any]) -> Figure:
    """Return a figure of ``table.json``."""
    lines = (Line(label=s["label"], points=tuple((float(x), y) for x, y in s["points"])) for s in stored["lines"])
    return Figure(**{key: str(stored[key]) for key in ("title", "caption", "x", "y")}, lines=tuple(lines))


def _beside(table: Path, name: str) -> Path:
    if not is_name(name):
        raise UserError(f"{table}: the picture {name!r} is not beside it; only pictures of this folder are shown.")
    return table.parent / name


def _color(text: str) -> str:
    """Return a color as ``#rrggbb``; it stands in a style, where other text could be more than a color."""
    if not set(text) <= CSS_COLOR:
        raise ValueError(f"a color is written as #rrggbb, found {text!r}")
    return text
