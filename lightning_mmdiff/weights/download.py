"""Download over HTTP that continues an interrupted call, and gives a file its final name only when it is complete."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.weights.find import digest

CHUNK = 1 << 20  # bytes
PAGES = ("text/", "application/xhtml", "application/json")
"""Beginnings of the types of what is no file of weights or data."""
TIMEOUT = 60.0  # seconds without a byte


def download(
    url: str, path: Path, *, sha256: str = "", size: int | None = None, progress: Callable[[int, int | None], None]
) -> None:
    """Download ``url`` to ``path`` through ``<path>.part``, which a later call continues.

    Args:
        url: http or https.
        path: final path.
        sha256: checksum of the whole file, or its first digits; "" is not compared.
        size: bytes of the whole file, compared if the checksum is unknown. If both are unknown, the server must say how
            large the file is, and may not call it text: the page of a portal that asks to log in is text.
        progress: function called with (bytes so far, total bytes or None).

    Raises:
        UserError: if the server has no such file, the connection breaks, or the result is not the published file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        _fetch(url, part, progress, checked=bool(sha256) or size is not None)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"{url}: the server answers {error.code} {error.reason}; see whether the file has moved."
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: {reason}. What came is kept in {part}; run the same command again to go on."
        ) from error
    _require_whole(url, part, sha256, size)
    os.replace(part, path)


def _fetch(url: str, part: Path, progress: Callable[[int, int | None], None], *, checked: bool) -> None:
    """Append the missing bytes; start over if the server cannot continue.

    Args:
        url: http or https.
        part: file to append to.
        progress: as in ``download``.
        checked: whether the result will be compared with what was published.
    """
    if part.is_symlink():
        part.unlink()  # its target is not ours to write
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; if there is too much, the checksum shows it
        raise
    with response:
        continues = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = start if continues else 0
        length, kind = (response.headers.get(name, "") for name in ("Content-Length", "Content-Type"))
        if not checked and (kind.startswith(PAGES) or not length):
            raise UserError(
                f"{url}: what the server sends is {kind or 'of unknown kind'}, {length or 'unknown'} bytes, not a file to keep; "
                "does this network ask to log in first? Nothing was written."
            )
        total = done + int(length) if length else None
        with part.open("ab" if continues else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke after {done:,} of {total:,} bytes")


def _require_whole(url: str, part: Path, sha256: str, size: int | None) -> None:
    found, length = digest(part), part.stat().st_size
    if sha256 and not found.startswith(sha256):
        part.unlink()
        raise UserError(
            f"{url}: what came has sha256 {found[:12]}..., the published file {sha256[:12]}...; it was deleted. "
            "Run the same command again; if it says so again, the file at this address is another one."
        )
    if not sha256 and size is not None and length != size:
        part.unlink()
        raise UserError(f"{url}: {length:,} bytes came, the published file has {size:,}; it was deleted.")
