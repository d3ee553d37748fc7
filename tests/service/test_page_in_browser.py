"""The server's page as Chromium shows it: a text typed, a file, threshold, labels, downloads, keyboard, a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import CONTRASTS, DESKTOP, PHONE, Opened, chromium
from tests.support.served import Running, running

TEXT = "Ann sees Rome .\n<b>Eve</b> waits .\nBob sees 😀 Oslo ."


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(trained: Path, repository: Path) -> Iterator[Running]:
    with running(trained, repository, "--no-access-log") as found:
        yield found


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    with Opened(browser, server.address) as found:
        yield found


def ask(page: Any, text: str = TEXT) -> None:
    page.fill("#text", text)
    page.click("button[type=submit]")
    page.locator("#status", has_text="found in").wait_for()


def marked(page: Any) -> list[str]:
    """The words that are marked now."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('mark:not(.off)')].map((mark) => mark.firstChild.data)"
    )
    return found


def test_a_text_typed(browser: Any, server: Running) -> None:
    opened = Opened(browser, server.address)
    with opened as page:
        ask(page)
        assert {"Ann", "Rome", "Oslo"} <= set(marked(page))
        assert page.inner_text(".tagged").startswith("Ann")
        assert page.locator(".tagged b").count() == 0  # the text's own markup is text
    assert all(url.startswith(server.address) or url == "data:," for url in opened.requests)
    assert opened.complaints == []


def test_threshold_and_labels(page: Any) -> None:
    ask(page)
    before = marked(page)
    page.locator("#labels input").first.uncheck()
    less = marked(page)
    assert 0 < len(less) < len(before)
    page.locator("#labels input").first.check()
    assert marked(page) == before
    page.fill("#least", "100")
    assert len(marked(page)) < len(before)
    assert page.inner_text("#leastshown") == "100 %"


def test_downloads(page: Any, tmp_path: Path) -> None:
    ask(page)

    def downloaded(format: str) -> list[str]:
        files = []
        page.on("download", lambda one: files.append(one))
        page.click(f"[data-format={format}]")
        for _ in range(100):
            if len(files) >= (2 if format == "brat" else 1):
                break
            page.wait_for_timeout(50)
        return [Path(file.path()).read_bytes().decode("utf-8") for file in files]

    (line,) = downloaded("jsonl")
    value = json.loads(line)
    assert value["text"] == TEXT
    assert all(TEXT[e["start"] : e["end"]] == e["text"] for e in value["entities"])
    assert "Oslo" in [e["text"] for e in value["entities"]]


def test_brat_csv_and_redacted(page: Any) -> None:
    ask(page)
    with page.expect_download() as csv:
        page.click("[data-format=csv]")
    rows = Path(csv.value.path()).read_text(encoding="utf-8").splitlines()
    assert rows[0] == "start,end,label,text,score"
    assert rows[1].startswith("0,3,PER,Ann,")
    with page.expect_download() as redacted:
        page.click("[data-format=redacted]")
    text = Path(redacted.value.path()).read_text(encoding="utf-8")
    assert text.startswith("[PER] sees [LOC] .")
    assert "Oslo" not in text


def test_a_file_and_one_that_is_no_text(page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Bob sees Oslo .", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"Bob \xff")
    page.set_input_files("#file", tmp_path / "a.txt")
    page.locator("#status", has_text="found in").wait_for()
    assert marked(page) == ["Bob", "Oslo"]
    page.set_input_files("#file", tmp_path / "b.txt")
    page.locator("#status", has_text="b.txt is no text in UTF-8").wait_for()


def test_a_file_dropped(page: Any) -> None:
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["Bob sees Oslo ."], "a.txt", {type: "text/plain"}));
          document.getElementById("text").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }"""
    )
    page.locator("#status", has_text="found in").wait_for()
    assert marked(page) == ["Bob", "Oslo"]


def test_by_keyboard_alone(page: Any) -> None:
    page.locator("#models input").first.wait_for()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.textContent.trim()"))
        if reached[-1] == "text":
            break
    assert reached[-1] == "text"
    page.keyboard.type("Bob sees Oslo .")
    page.keyboard.press("Control+Enter")
    page.locator("#status", has_text="found in").wait_for()
    order = []
    for _ in range(25):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate(
                "() => { const one = document.activeElement; return one.dataset.format || one.id || one.type; }"
            )
        )
    for wanted in ("file", "clear", "checkbox", "least", "jsonl", "csv", "brat", "redacted"):
        assert wanted in order
    assert page.evaluate(
        "() => { const one = document.getElementById('clear'); one.focus(); "
        "return getComputedStyle(one).outlineStyle; }"
    ) != "none" or page.evaluate("() => matchMedia('(any-pointer: fine)').matches")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_readable_everywhere(browser: Any, server: Running, viewport: dict[str, int], scheme: str) -> None:
    with Opened(browser, server.address, viewport=viewport, color_scheme=scheme) as page:
        ask(page, TEXT + " x" * 400 + "y" * 300)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert [words for ratio, words in page.evaluate(CONTRASTS) if ratio < 4.5] == []


def test_an_error_is_said(page: Any) -> None:
    page.fill("#text", "x" * (1 << 20))
    page.click("button[type=submit]")
    page.locator("#status", has_text="expected less; send the texts in parts").wait_for()


def test_the_documentation_is_readable(browser: Any, server: Running) -> None:
    with Opened(browser, server.address, viewport=PHONE) as page:
        page.goto(f"{server.address}docs")
        assert "POST /tag" in page.inner_text("main")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert [words for ratio, words in page.evaluate(CONTRASTS) if ratio < 4.5] == []


@pytest.fixture(scope="module")
def two(trained: Path, repository: Path) -> Iterator[Running]:
    with running(trained, repository, "-m", str(repository / "models" / "en"), "--no-access-log") as found:
        yield found


TWO = "Ann Merkel visited 😀 Siemens in Berlin ."


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_models_side_by_side(browser: Any, two: Running, viewport: dict[str, int], scheme: str) -> None:
    with Opened(browser, two.address, viewport=viewport, color_scheme=scheme) as page:
        page.locator("#models input").nth(1).check()
        ask(page, TWO)
        one, other = (result.bounding_box() for result in page.locator(".result").all())
        if viewport == DESKTOP:
            assert one["y"] == other["y"]
            assert len({page.locator(name).bounding_box()["y"] for name in ("button.main", "#clear")}) == 1
            assert one["x"] + one["width"] <= other["x"]
        else:
            assert one["x"] == other["x"]
            assert one["y"] + one["height"] <= other["y"]
        labels = set(page.locator("#labels .chip").all_inner_texts())
        found = {mark.split("\n")[-1] for mark in page.locator("mark small").all_inner_texts()}
        assert labels == found
        assert "ORG" in labels  # which the first model does not know
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert [words for ratio, words in page.evaluate(CONTRASTS) if ratio < 4.5] == []


def test_two_models_by_keyboard_and_their_downloads(browser: Any, two: Running) -> None:
    with Opened(browser, two.address) as page:
        boxes = page.locator("#models input")
        boxes.nth(1).wait_for()
        names = [boxes.nth(n).get_attribute("value") for n in range(2)]
        page.locator("#text").focus()
        page.keyboard.type(TWO)
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.value") == names[1]:
                break
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        page.locator("#status", has_text=" and ").wait_for()
        for number, name in enumerate(names):
            for _ in range(20):
                page.keyboard.press("Tab" if number == 0 else "Shift+Tab")
                if page.evaluate("() => document.activeElement.id") == "which":
                    break
            if number:
                page.keyboard.press("ArrowDown")
            assert page.locator("#which").input_value() == name
            page.keyboard.press("Tab")
            with page.expect_download() as download:
                page.keyboard.press("Enter")
            value = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
            answer = two.tag({"text": TWO, "model": name})
            assert [e["text"] for e in value["entities"]] == [e["text"] for e in answer["entities"]]
