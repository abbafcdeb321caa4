"""Pages from Jinja2 templates in ``reports/templates``: text is escaped unless a template says otherwise."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lightning_mmdiff.runtime.durations import duration
from reports import basis, costs, evidence, format

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> Markup:
    """Return the text of a template, which is HTML and not escaped again when another template shows it.

    Raises:
        jinja2.UndefinedError: if the template uses a value that is not given.
    """
    return Markup(_environment().get_template(template).render(**values))


def badge(text: str, kind: str) -> Markup:
    """Return a badge whose color depends on the first word of ``kind``."""
    return Markup('<span class="badge {}">{}</span>').format(kind.split()[0], text)


def breakable(name: str) -> Markup:
    """Return the name of a metric with places where a narrow column may break it: after hyphens, between its words."""
    return Markup("<wbr>").join(re.split(r"(?<=-)|(?<=[a-z])(?=[A-Z])", name))


def sentence(text: str) -> str:
    """Return the text with a capital at its start, if it starts with a word: not ``n=256``."""
    return text[:1].upper() + text[1:] if text[1:2].isalpha() or text[1:2] == " " else text


def with_script(name: str) -> dict[str, str]:
    """Return the values of a page whose one script is ``name``: the script, and the digest by which its policy allows it."""
    script = _text(name)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": script, "script_hash": f"sha256-{digest}"}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(breakable=breakable, duration=duration, sentence=sentence)
    environment.globals.update(
        basis=basis, costs=costs, evidence=evidence, format=format, navigation="", watermark="",
        style_sheet=_text("style.css"), **with_script("page.js"),
    )  # fmt: skip
    return environment


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
