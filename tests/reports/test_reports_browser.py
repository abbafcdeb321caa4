"""Every page in a real browser, on a desktop's and on a phone's screen: no error, no request that fails, nothing cut off."""

import pytest
from browser import CHROMIUM, chromium

from experiments import INDEX
from reports.site import write_site

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


def test_pages_open_without_an_error(make_table, tmp_path):
    folder = make_table()
    index, _ = write_site(folder.parents[1], INDEX, with_notebooks=False)
    pages = [*sorted(index.parent.glob("*.html")), folder / "table1.html"]
    assert len(pages) == 4
    with chromium(tmp_path / "chromium") as browser:
        for width, dark in ((1280, False), (390, False), (390, True)):
            browser.resize(width, 844, dark=dark)
            for page in pages:
                visit = browser.visit(page)
                assert not visit.errors, page
                assert not visit.failed, page
                assert all(address.startswith("file://") for address in visit.requests), page
                assert browser.evaluate("document.documentElement.scrollWidth") <= width, page
                if width < 500:  # nothing of a table that is shown line below line is cut off
                    cut = "[...document.querySelectorAll('.claims,.differed,.tables')].filter(t => t.scrollWidth > innerWidth)"
                    assert browser.evaluate(f"{cut}.length") == 0, page
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
