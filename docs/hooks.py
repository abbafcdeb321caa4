"""What the site does beyond its configuration: pages of the repository's root are pages of the site, the README is its first."""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

PAGES = {
    "README.md": "index.md",
    "PITFALLS.md": "PITFALLS.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE.txt",
    "benchmarks/README.md": "benchmarks.md",
    "tests/golden/README.md": "golden.md",
}
"""File of the repository -> page of the site."""
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#]+)(#[^)]*)?(\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    root = Path(config.config_file_path).parent
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(root / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files of the repository to the pages of the site."""
    pages = {name: source for source, name in PAGES.items()}
    folder = os.path.dirname(pages.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def lead(link: re.Match[str]) -> str:
        start, target, anchor, end = link.groups()
        name = os.path.normpath(os.path.join(folder, target))
        return f"{start}{PAGES.get(name, name.removeprefix('docs/'))}{anchor or ''}{end}"

    return LINK.sub(lead, markdown)
