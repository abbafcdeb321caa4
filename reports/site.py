"""A static site of all tables of a profile: a folder that needs no server, kernel or network."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.links import require_own
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports import exports, figures, notebook, pages, samples, site_pages
from reports.format import escape_html
from reports.html import Links
from reports.overview import ORDER, Overview, Standing, look
from reports.pages import Pictures
from reports.schema import Entry, TableResult
from reports.style import badge, page
from reports.table_folder import TableFolder
from reports.write import write_all, write_text


def write_site(profile: Path, tables: Sequence[Entry], *, with_notebooks: bool = True) -> tuple[Path, list[str]]:
    """Write ``<profile>/site``, and the files of every table if they are not current.

    Args:
        profile: folder of the profile, ``runs/<profile>``.
        tables: tables that can be run, started or not; if empty, those on disk are listed.
        with_notebooks: False executes no notebook, so that no Jupyter kernel is needed.

    Returns:
        The path of the index, and one sentence per notebook that could not be executed; the site is complete without it.

    Raises:
        UserError: if the profile has neither runs nor tables, or a link leads out of one of their folders.
    """
    profile = profile.resolve()
    require_own(profile)
    overview, troubles = look(profile, tables), []
    site, now = profile / "site", datetime.now(UTC)
    addresses = {table.name: f"{slug(table.name)}.html" for table in overview.started}
    configs = _copy_configs(overview, site)
    for standing in overview.started:
        assert standing.result
        try:
            write_all(standing.result.folder, with_notebook=with_notebooks)
        except notebook.NotebookError as error:
            troubles.append(str(error))
        text = _table_page(standing, site, configs, _navigation(addresses, standing.name))
        write_text(site / addresses[standing.name], text)
    results = [table.result for table in overview.started if table.result]
    for name, make in exports.FILES.items():
        write_text(site / name, make(results))
    title, watermark = f"All tables, {overview.profile}", next((r.watermark for r in results), "")
    runs = site_pages.all_runs(overview, configs, now)
    write_text(
        site / "runs.html", page(f"All runs, {overview.profile}", runs, watermark, _navigation(addresses, "runs"))
    )
    body = site_pages.index(overview, addresses, list(exports.FILES), now)
    return write_text(site / "index.html", page(title, body, watermark, _navigation(addresses, "index"))), troubles


def slug(name: str) -> str:
    """Return a file name of harmless characters, unique for each name."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _navigation(addresses: Mapping[str, str], here: str) -> str:
    places = {"index": "index.html", **addresses, "runs": "runs.html"}
    links = []
    for name, address in places.items():
        current = ' aria-current="page"' if name == here else ""
        links.append(f'<a href="{escape_html(address)}"{current}>{escape_html(name)}</a>')
    return f"<nav>{''.join(links)}</nav>"


def _copy_configs(overview: Overview, site: Path) -> dict[str, str]:
    """Copy every run's config.json; return run -> address."""
    addresses = {}
    for run in overview.runs:
        addresses[run.name] = f"configs/{slug(run.name)}.json"
        _copy(RunFolder(run.folder).config, site / addresses[run.name])
    return addresses


def _table_page(standing: Standing, site: Path, configs: Mapping[str, str], navigation: str) -> str:
    table = standing.result
    assert table
    folder = slug(table.name)
    pictures = Pictures(galleries=_copy_galleries(table, site, folder), sheets=_write_sheets(table, site, folder))
    links = Links(samples={number: f"#samples-{number}" for number in pictures.sheets}, configs=dict(configs))
    head = _state_line(standing) + _copy_downloads(table, site, folder) + pages.contents(table, pictures)
    return page(table.title, pages.body(table, pictures, links=links, head=head), table.watermark, navigation)


def _state_line(standing: Standing) -> str:
    counts = " ".join(badge(f"{standing.rows[s]} {s}", s) for s in ORDER if standing.rows[s])
    left = site_pages.left(standing.runs, standing.unclaimed)
    return f"<p>Rows: {counts}" + ("" if left == "none" else f" Computing left: {escape_html(left)}.") + "</p>"


def _copy_galleries(table: TableResult, site: Path, folder: str) -> list[str]:
    addresses = []
    for gallery in table.galleries:
        whole = figures.is_image(gallery.file)
        addresses.append(f"{folder}/{slug(gallery.file.name)}" if whole else "")
        if whole:
            _copy(gallery.file, site / addresses[-1])
    return addresses


def _write_sheets(table: TableResult, site: Path, folder: str) -> dict[int, str]:
    sheets = {}
    for number, row in enumerate(table.rows):
        run = samples.run_with_samples(row)
        picture = samples.sheet(run.folder) if run else None
        if picture:
            sheets[number] = f"{folder}/samples-{number}.jpg"
            with atomic_path(site / sheets[number]) as temporary:
                temporary.write_bytes(picture)
    return sheets


def _copy_downloads(table: TableResult, site: Path, folder: str) -> str:
    """Copy the other forms of the table; return links to them."""
    links, files = [], TableFolder(table.folder)
    executed = files.notebook(table.name)
    current = notebook.is_current(executed, notebook.fingerprint(table))
    for path in ([executed] if current else []) + [files.latex, files.markdown, files.csv, files.metrics]:
        if path.is_file():
            address = f"{folder}/{slug(path.name)}"
            _copy(path, site / address)
            links.append(f'<a href="{escape_html(address)}">{escape_html(path.name)}</a>')
    return f'<p class="no-print">Download: {" · ".join(links)}</p>'


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
