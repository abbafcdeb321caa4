"""Pictures of a page: where they are shown from, in which size, and small enough to stand in the page itself."""

import base64
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from PIL import Image

from reports.galleries import ColorBar, Gallery
from reports.schema import TableResult

EMBEDDED_BYTES = 240_000
"""Limit for all pictures that stand in a page; base64 adds a third."""
LEAST_BYTES = 40_000
"""What is left to them on a page that is long without them."""
Address = Callable[[Path], str]
"""Picture -> where the page shows it from."""


@dataclass(frozen=True, kw_only=True)
class ShownStrip:
    """A strip on a page."""

    label: str
    row: str
    source: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class ShownGallery:
    """A gallery on a page."""

    title: str
    caption: str
    file: Path
    source: str
    """Address of the whole sheet; empty if its strips are shown, or if the file is missing or broken."""
    strips: tuple[ShownStrip, ...]
    count: int
    captions: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
    bar: ColorBar | None


def show(table: TableResult, address: Address) -> list[ShownGallery]:
    """Return the galleries of a table for a page that shows its pictures from ``address``."""
    return [_show(gallery, address) for gallery in table.galleries]


def _show(gallery: Gallery, address: Address) -> ShownGallery:
    strips = tuple(
        ShownStrip(label=s.label, row=s.row, source=address(s.file), width=size[0], height=size[1])
        for s in gallery.strips
        if (size := size_of(s.file))
    )
    source = address(gallery.file) if not strips and size_of(gallery.file) else ""
    return ShownGallery(
        title=gallery.title, caption=gallery.caption, file=gallery.file, source=source, strips=strips,
        count=gallery.count, captions=gallery.captions, legend=gallery.legend, bar=gallery.bar,
    )  # fmt: skip


def first_strip(table: TableResult, shown: list[ShownGallery]) -> ShownGallery | None:
    """Return the pictures of the row that most claims are about, below its conditions; None if there are no strips."""
    asked = [claim.better for claim in table.claims]
    made = {strip.row: gallery for gallery in reversed(shown) for strip in gallery.strips if strip.row}
    wanted = [*sorted(dict.fromkeys(asked), key=asked.count, reverse=True), *made]
    row = next((title for title in wanted if title in made), None)
    if row is None:
        return None
    return replace(made[row], strips=tuple(_of_row(row, made[row].strips)))


def _of_row(row: str, strips: Sequence[ShownStrip]) -> Iterator[ShownStrip]:
    """Yield the conditions that stand last above a row, then its own strips."""
    first = next(i for i, strip in enumerate(strips) if strip.row == row)
    blocks = [list(block) for given, block in groupby(strips[:first], key=lambda strip: not strip.row) if given]
    yield from blocks[-1] if blocks else ()
    yield from (strip for strip in strips if strip.row == row)


def embed(table: TableResult, budget: int) -> Address:
    """Return an address that is the picture itself, all pictures of the table within ``budget`` bytes."""
    limit = _limit([path.stat().st_size for path in _files(table) if path.is_file()], budget)

    def address(path: Path) -> str:
        return data_address(shrink(path.read_bytes(), limit))

    return address


def _limit(sizes: Sequence[int], budget: int) -> int:
    """Return the size to which larger pictures are to shrink, so that all fit; what small ones leave is for the large."""
    left = budget
    for i, size in enumerate(sorted(sizes)):
        if size > (share := left // (len(sizes) - i)):
            return share
        left -= size
    return budget


def smaller(page: str, over: int) -> int:
    """Return the budget with which the pictures in a page are ``over`` bytes shorter; some stand in it twice."""
    data = re.findall(r"data:image/[^\"]+", page)
    total, once = sum(map(len, data)), sum(map(len, set(data)))
    return max(LEAST_BYTES, (total - over) * 3 // 4 * once // max(total, 1))


def _files(table: TableResult) -> Iterator[Path]:
    for gallery in table.galleries:
        yield from (strip.file for strip in gallery.strips) if gallery.strips else (gallery.file,)


def data_address(image: bytes) -> str:
    """Return a PNG or JPEG as a ``data:`` address."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def shrink(picture: bytes, limit: int) -> bytes:
    """Return the picture itself if it has at most ``limit`` bytes, else a JPEG of it, coarser or smaller until it fits."""
    if len(picture) <= limit:
        return picture
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    while True:
        for quality in (90, 80, 65):
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=quality)
            if buffer.tell() <= limit:
                return buffer.getvalue()
        if min(image.size) < 32:
            return min(picture, buffer.getvalue(), key=len)
        image = image.resize((image.width * 7 // 10, image.height * 7 // 10), Image.Resampling.LANCZOS)


def size_of(path: Path) -> tuple[int, int] | None:
    """Return the width and height of a picture in pixels, or None if the file is missing or not intact."""
    try:
        with Image.open(path) as image:
            size = image.size
            image.verify()
    except (OSError, SyntaxError):  # PIL raises SyntaxError for a broken PNG
        return None
    return size
