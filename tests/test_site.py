"""The documentation's site: it builds strictly, its pages load nothing from elsewhere, and fit desktop and phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import DESKTOP, PHONE, Opened, chromium

REPOSITORY = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow
LOOKED_AT = ("index", "getting-started", "guides/chinese", "commands", "cost", "zh/chinese", "api")
# What a page fetches by itself; links that a reader follows are none of it.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc\s*=\s*[\"']?(?P<src>[^\"'\s>]+)"
    r"|<link\b[^>]*?\brel=[\"']?(?:stylesheet|preload|icon|preconnect|dns-prefetch)[^>]*?\bhref=[\"']?(?P<href>[^\"'\s>]+)",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs MkDocs: pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="needs mkdocstrings: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_of_the_documentation_is_one_of_the_site(site: Path) -> None:
    for page in (REPOSITORY / "docs").rglob("*.md"):
        assert (site / page.relative_to(REPOSITORY / "docs").with_suffix(".html")).is_file(), page


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for match in _FETCHED.finditer(page.read_text(encoding="utf-8")):
            address = match["src"] or match["href"]
            assert not re.match(r"(?:[a-z]+:)?//", address), f"{page.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_lists_are_lists(site: Path) -> None:
    """Markdown on the site is stricter than elsewhere: what belongs to an item stands four blanks in."""
    for page in site.rglob("*.html"):
        for paragraph in re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"^\* ", paragraph, re.MULTILINE), f"{page.name}: {paragraph[:300]}"
    for page in (REPOSITORY / "docs").rglob("*.md"):
        assert not re.search(r"^ {1,3}\* ", page.read_text(encoding="utf-8"), re.MULTILINE), page


def test_the_python_interface_has_what_the_package_has(site: Path) -> None:
    from ner_elmo import __all__ as names

    page = (site / "api.html").read_text(encoding="utf-8")
    described = {match.rsplit(".", 1)[-1] for match in re.findall(r'id="(ner_elmo\.[\w.]+)"', page)}
    settings = {"PretrainConfig", "TaggerConfig", "Reading", "__version__"}  # settings.md has these
    assert set(names) - settings <= described


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site behind HTTP, as readers have it: searching does not work in files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_pages_fit_the_screen_and_ask_nobody(address: str, browser: Any, size: dict[str, int], name: str) -> None:
    opened = Opened(browser, f"{address}{name}.html", viewport=size)
    with opened as page:
        page.wait_for_load_state("networkidle")
        assert [asked for asked in opened.requests if not asked.startswith((address, "data:", "blob:"))] == []
        assert opened.complaints == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.evaluate("document.querySelectorAll('.md-content h1').length") == 1


def test_the_search_finds(address: str, browser: Any) -> None:
    with Opened(browser, f"{address}index.html") as page:
        page.click(".md-search__input")
        page.keyboard.type("pseudonyms")
        page.wait_for_selector(".md-search-result__item", timeout=20_000)
        assert "pseudonyms" in page.inner_text(".md-search-result__list").lower()


def test_the_calculator_computes(address: str, browser: Any) -> None:
    with Opened(browser, f"{address}cost.html") as page:
        page.fill("#words", "36")
        page.fill("#rate", "10000")
        page.fill("#epochs", "2")
        page.fill("#watts", "100")
        page.fill("#price", "1.5")
        assert page.inner_text("#pretraining") == "2.0 hours · 0.20 kWh · 3.00 at your price"
        page.fill("#documents", "3600")
        page.fill("#length", "100")
        page.fill("#tagging", "10000")
        assert page.inner_text("#documents-time").startswith("10.0 hours")
        assert page.inner_text("#together").startswith("12.0 hours")
