"""A static site of all tables of a profile: a folder that needs no server, kernel or network."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.links import require_own
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports import coefficients, exports, influence_steps, notebook, pages, pictures, samples, site_pages, sliders
from reports.overview import ORDER, Overview, Standing, look
from reports.pages import Links
from reports.pictures import Address, ShownGallery
from reports.schema import Entry, TableResult
from reports.table_folder import TableFolder
from reports.templating import badge
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
    configs, strips = _copy_configs(overview, site), {}
    for standing in overview.started:
        assert standing.result
        try:
            write_all(standing.result.folder, with_notebook=with_notebooks)
        except notebook.NotebookError as error:
            troubles.append(str(error))
        shown = pictures.show(standing.result, _copied(standing.result, site))
        strips[standing.name] = pictures.first_strip(standing.result, shown)
        navigation = site_pages.navigation(overview, addresses, standing.name)
        write_text(site / addresses[standing.name], _table_page(standing, shown, site, configs, navigation))
    results = [table.result for table in overview.started if table.result]
    for name, make in exports.FILES.items():
        write_text(site / name, make(results))
    watermark = next((result.watermark for result in results), "")
    write_text(site / "runs.html", site_pages.all_runs(overview, addresses, configs, watermark, now))
    body = site_pages.index(overview, addresses, strips, list(exports.FILES), now)
    return write_text(site / "index.html", body), troubles


def slug(name: str) -> str:
    """Return a file name of harmless characters, unique for each name."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _copy_configs(overview: Overview, site: Path) -> dict[str, str]:
    """Copy every run's config.json; return run -> address."""
    addresses = {}
    for run in overview.runs:
        addresses[run.name] = f"configs/{slug(run.name)}.json"
        _copy(RunFolder(run.folder).config, site / addresses[run.name])
    return addresses


def _table_page(
    standing: Standing, shown: Sequence[ShownGallery], site: Path, configs: Mapping[str, str], navigation: Markup
) -> str:
    table = standing.result
    assert table
    folder = slug(table.name)
    sheets = _write_sheets(table, site, folder)
    compared = _comparing_pages(table, site, folder, navigation)
    links = Links(samples={n: f"#samples-{n}" for n in sheets}, configs=dict(configs), **compared)
    return pages.page(
        table, shown, sheets=sheets, links=links, downloads=_copy_downloads(table, site, folder),
        state=_state_line(standing), navigation=navigation,
    )  # fmt: skip


def _comparing_pages(table: TableResult, site: Path, folder: str, navigation: Markup) -> dict[str, str]:
    """Write the pages with sliders that the table has pictures for; return link -> address of each."""
    grid, steps = coefficients.find_grid(table), influence_steps.find_steps(table)
    written, back = {}, f"{folder}.html"
    if grid:
        written["sliders"] = f"{folder}-sliders.html"
        write_text(site / written["sliders"], sliders.page(table, grid, back=back, navigation=navigation))
    if steps:
        written["steps"] = f"{folder}-steps.html"
        write_text(site / written["steps"], influence_steps.page(table, steps, back=back, navigation=navigation))
    return written


def _state_line(standing: Standing) -> Markup:
    """Return the state of the rows of a table that is not done; a finished one says enough by its numbers."""
    if standing.state == "done":
        return Markup("")
    counts = Markup(" ").join(badge(f"{standing.rows[s]} {s}", s) for s in ORDER if standing.rows[s])
    left = site_pages.left(standing.runs, standing.unclaimed)
    return Markup("<p>Rows: {}{}</p>").format(counts, "" if left == "none" else f" Computing left: {left}.")


def _copied(table: TableResult, site: Path) -> Address:
    """Return an address in the site, to which the picture is copied."""

    def address(path: Path) -> str:
        target = f"{slug(table.name)}/{slug(path.name)}"
        _copy(path, site / target)
        return target

    return address


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


def _copy_downloads(table: TableResult, site: Path, folder: str) -> list[tuple[str, str]]:
    """Copy the other forms of the table; return name and address of each."""
    files, found = TableFolder(table.folder), []
    executed = files.notebook(table.name)
    current = notebook.is_current(executed, notebook.fingerprint(table))
    forms = [("Notebook", executed)] if current else []
    forms += [("CSV", files.csv), ("JSON", files.metrics), ("LaTeX", files.latex), ("Markdown", files.markdown)]
    if current and files.replicates.is_file():  # the notebook reads them, as it does the forms below
        _copy(files.replicates, site / folder / files.replicates.name)
    for name, path in forms:
        if path.is_file():
            found.append((name, f"{folder}/{slug(path.name)}"))
            _copy(path, site / found[-1][1])
    return found


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
