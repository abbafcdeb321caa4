"""Every page in a real browser, on a desktop's and on a phone's screen: no error, no request that fails, nothing cut off."""

import base64
import re
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium

from experiments import INDEX
from reports.site import write_site

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


@pytest.fixture
def pages(make_table):
    """Every page of a site, and a table's page with everything in it."""
    folder = make_table("mini", with_figures)
    index, _ = write_site(folder.parents[1], INDEX, with_notebooks=False)
    return [*sorted(index.parent.glob("*.html")), folder / "table1.html"]


def with_figures(stored):
    line = {"label": "a line", "points": [[0, "Ours"], [1, "OASIS"]]}
    stored["figures"] = [{"title": "Over a", "caption": "Shaded.", "x": "a", "y": "", "lines": [line]}]


def test_pages_open_without_an_error(pages, tmp_path):
    assert len(pages) == 4
    with chromium(tmp_path / "chromium") as browser:
        for width, dark in ((1280, False), (390, False), (390, True)):
            browser.resize(width, 844, dark=dark)
            for page in pages:
                visit = browser.visit(page)
                assert not visit.errors, page
                assert not visit.failed, page
                assert all(address.startswith("file://") for address in visit.requests), page
                browser.evaluate("document.querySelectorAll('details:not(.menu)').forEach(d => d.open = true)")
                assert browser.evaluate("document.documentElement.scrollWidth") <= width, page
                if width < 500:  # nothing of a table that is shown line below line is cut off
                    cut = "[...document.querySelectorAll('.matrix,.stacked')].filter(t => t.scrollWidth > innerWidth)"
                    assert browser.evaluate(f"{cut}.length") == 0, page
                browser.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
                pictures = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
                assert browser.evaluate(pictures), page
                ink, paper = (
                    browser.evaluate(f"getComputedStyle(document.body).{p}") for p in ("color", "backgroundColor")
                )
                assert (luminance(ink) > luminance(paper)) == dark
        browser.resize(700, 1000)  # a page of A4 without its margins
        browser.call("Emulation.setEmulatedMedia", media="print")
        for page in pages:
            browser.visit(page)
            assert browser.evaluate("document.documentElement.scrollWidth") <= 700, page


def test_a_button_copies_the_table(pages, tmp_path):
    with chromium(tmp_path / "chromium") as browser:
        browser.resize(1280, 844)
        browser.visit(pages[-1])
        names = browser.evaluate(
            "[...document.querySelectorAll('button')].filter(b => !b.hidden).map(b => b.textContent)"
        )
        assert names[:2] == ["Copy LaTeX", "Copy Markdown"]
        assert browser.evaluate("document.querySelector('button').dataset.copy").startswith("% profile mini")


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core (npm install --no-save --no-package-lock axe-core@4)")
def test_everyone_can_use_the_pages(pages, tmp_path):
    """The rules of axe-core, light and dark, with everything unfolded; and axe sees a fault that is put there."""
    axe = AXE.read_text()
    run = "axe.run(document).then(found => JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.html)])))"
    with chromium(tmp_path / "chromium") as browser:
        for dark in (False, True):
            browser.resize(1280, 900, dark=dark)
            for page in pages:
                browser.visit(page)
                browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                browser.evaluate(axe)
                assert browser.answer(run) == "[]", page
        browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\">')")
        assert "image-alt" in browser.answer(run)


@pytest.mark.slow
def test_a_table_prints_on_eight_pages(pages, tmp_path):
    with chromium(tmp_path / "chromium") as browser:
        browser.visit(pages[-1])
        printed = base64.b64decode(browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8


def test_the_browser_sees_errors(tmp_path):
    """The checks above would notice: a page with a missing picture, an exception and a line that is too wide."""
    page = tmp_path / "page.html"
    page.write_text(
        '<meta name="viewport" content="width=device-width"><img src="lost.png">'
        "<script>missing()</script><div style='width:900px'>x</div>"
    )
    with chromium(tmp_path / "chromium") as browser:
        browser.resize(390, 844)
        visit = browser.visit(page)
        assert visit.failed == ["net::ERR_FILE_NOT_FOUND"]
        assert any("Uncaught" in error for error in visit.errors)
        assert browser.evaluate("document.documentElement.scrollWidth") > 390


def luminance(color):
    """Mean of ``rgb(r, g, b)``."""
    return sum(map(float, color[4:-1].split(","))) / 3
