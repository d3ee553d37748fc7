"""The page at ``/explore`` as Chromium shows it: a question, its tables and maps, the Mark button, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import CONTRASTS, DESKTOP, PHONE, Opened, chromium
from tests.support.explored import write_index
from tests.support.served import Running, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(trained: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    index = write_index(trained, tmp_path_factory.mktemp("explored") / "index").directory
    with running(trained, repository, "--no-access-log", "--explore", str(index)) as found:
        yield found


def ask(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.click("button[type=submit]")
    page.locator("#status", has_text="searched").wait_for()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_question(browser: Any, server: Running, size: Any) -> None:
    opened = Opened(browser, f"{server.address}explore", viewport=size)
    with opened as page:
        ask(page, "Ann [sees] <b>Rome</b> .")
        assert page.locator("#found svg").count() == 2
        assert page.locator("#found table").count() == 2
        assert page.locator("#found b").count() == 0
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        assert [words for ratio, words in page.evaluate(CONTRASTS) if ratio < 4.5] == []
    assert all(url.startswith(server.address) or url == "data:," for url in opened.requests)
    assert opened.complaints == []


def test_marking_by_keyboard(browser: Any, server: Running) -> None:
    with Opened(browser, f"{server.address}explore") as page:
        page.focus("#text")
        page.keyboard.type("Ann sees Rome")
        for _ in range(4):
            page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.input_value("#text") == "Ann sees [Rome]"
        page.keyboard.press("Control+Enter")
        page.locator("#status", has_text="searched").wait_for()


def test_a_mistake_is_said(browser: Any, server: Running) -> None:
    with Opened(browser, f"{server.address}explore") as page:
        page.fill("#text", "no mark")
        page.click("button[type=submit]")
        page.locator("#status.error", has_text="found no word between").wait_for()


def test_the_first_page_leads_there(browser: Any, server: Running) -> None:
    with Opened(browser, server.address) as page:
        page.locator("#explore").wait_for()
        page.click("#explore")
        page.locator("h1", has_text="several meanings").wait_for()
