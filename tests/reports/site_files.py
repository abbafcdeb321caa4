"""Reads the pages of a site as a browser would, with the standard library: links, anchors, pictures, ids."""

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reports.templating import TEMPLATES

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ADDRESSES = {"href", "src", "srcset", "action", "data", "poster"}


class Page(HTMLParser):
    """Tags, addresses, ids and scripts of one page; checks that tags are closed in order and have no code of their own."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.scripts: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        expected = self.open.pop()
        assert tag == expected, f"</{tag}> where </{expected}> was due, line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.words += data


def only_our_script(text: str, name: str = "page.js") -> None:
    """Check that a page has the one script of its template, and allows no other."""
    script = (TEMPLATES / name).read_text()
    assert Page(text).scripts == [script]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert not {"iframe", "object", "embed"} & set(Page(text).tags)


def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def broken(site: Path) -> list[str]:
    """Every address that leads nowhere, or out of the site."""
    read, troubles = pages(site), []
    for path, page in read.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc or not target.is_relative_to(site.resolve()) or not target.is_file():
                troubles.append(f"{path.name}: {address}")
            elif parts.fragment and unquote(parts.fragment) not in read[target].ids:
                troubles.append(f"{path.name}: {address} (no such anchor)")
    return troubles
