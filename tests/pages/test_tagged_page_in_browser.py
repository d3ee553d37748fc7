"""The page of tagged texts as Chromium shows it: alone, readable, by keyboard, filtered, searched, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.pages.entity_counts import folded
from ner_elmo.pages.tagged_page import TaggedPage
from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document, Entity
from tests.support.browser import CONTRASTS, DESKTOP, PHONE, Opened, chromium
from tests.support.tagged_documents import document_of

LABELS = [
    "PER",
    "LOC",
    "ORG",
    "MISC",
    "DATE",
    "Gene",
    "Disease",
    "Event",
    "Law",
    "Work of art",
    "Money",
    "Product",
    "One more",
]
N_TEXTS = 60
ODD = "<b>bold</b> </script><script>document.title = 'x'</script> \x1b[31m \u202eturned & \"quoted\""


def documents() -> Iterator[Document]:
    """Texts for several pages: usual and odd, to the left and to the right."""
    for number in range(N_TEXTS):
        yield document_of(
            "On that day ", ("Angela\nMerkel" if number == 7 else "Angela Merkel", "PER", 0.9), " met ",
            (f"Bob {number}", "PER", 0.4), " in ", ("Bonn", "LOC", 0.6 if number % 2 else 0.99), ", and so on. " * 40,
        )  # fmt: skip
    yield document_of(ODD, ("<i>Odd</i>", "ORG", 0.5))
    yield document_of("زار ", ("محمود عباس", "PER", 0.9), " مدينة ", ("رام الله", "LOC", 0.8), " يوم الاثنين.")
    yield document_of(*((label, label, 0.7) for label in LABELS))
    text = "University of New York"
    spans = [(0, 22, "ORG"), (14, 22, "LOC")]
    yield Document(text, [], [Entity(start, end, label, text[start:end], 0.9) for start, end, label in spans])
    yield document_of("x" * 2_000, ("y" * 300, "ORG", 0.9))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "tagged.html"
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        page = TaggedPage(stream, "Tagged <text> & more")
        for number, document in enumerate(documents(), start=1):
            page.add(document.text, document.entities, "a.txt" if number < 30 else "b.txt", number)
        page.finish()
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    with Opened(browser, file.as_uri(), viewport=DESKTOP) as found:
        yield found


def wait_for_places(page: Any) -> str:
    page.locator("#places-count", has_not_text="looking").wait_for()
    return str(page.inner_text("#places-count"))


def last_page(page: Any) -> None:
    page.click("#last")


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Any, file: Path) -> None:
    opened = Opened(browser, file.as_uri(), viewport=DESKTOP)
    with opened as page:
        last_page(page)
        page.fill("#words", "quoted")
        page.press("#words", "Enter")
        wait_for_places(page)
        page.click("#list")
        wait_for_places(page)
        assert page.title() == "Tagged <text> & more"
    assert opened.requests == [file.as_uri()]
    assert opened.complaints == []


def test_the_policy_bars_what_a_text_might_smuggle_in(page: Any) -> None:
    ran = page.evaluate(
        """async () => {
          document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>");
          const script = document.createElement("script");
          script.textContent = "window.ran = 2";
          document.body.append(script);
          await new Promise((resolve) => setTimeout(resolve, 200));
          return window.ran || 0;
        }"""
    )
    assert ran == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_contrast(browser: Any, file: Path, scheme: str, viewport: dict[str, int]) -> None:
    with Opened(browser, file.as_uri(), viewport=viewport, color_scheme=scheme) as page:
        last_page_of_phone = "document.getElementById('last').click()"
        page.evaluate(last_page_of_phone)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        page.evaluate("document.querySelector('#frequent button').click()")
        wait_for_places(page)
        page.evaluate("document.querySelector('#text mark').focus()")  # which shows its probability
        found = page.evaluate(CONTRASTS)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    words = {words for _, words in found}
    assert {"90.0 %", "Angela Merkel", "PER", "Next page", "entity"} <= words
    assert len(found) > 100
    assert [one for one in found if one[0] < 4.5] == []


@pytest.mark.parametrize("is_on", [True, False], ids=["scripts", "no scripts"])
def test_a_phone_has_nothing_beside_its_screen(browser: Any, file: Path, is_on: bool) -> None:
    with Opened(browser, file.as_uri(), viewport=PHONE, java_script_enabled=is_on) as page:
        for number in (0, 1):
            if is_on and number:
                page.evaluate("document.getElementById('last').click()")
                page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
                page.evaluate("document.getElementById('list').click()")
                wait_for_places(page)
            width = page.locator("html").evaluate("(html) => html.scrollWidth")
            assert width == PHONE["width"]


def test_the_order_of_the_keyboard(page: Any) -> None:
    seen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                  const e = document.activeElement;
                  const style = getComputedStyle(e);
                  if (e === document.body) return "end";
                  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return "bare " + e.outerHTML;
                  return e.id || (e.localName === "mark" ? "mark" : e.closest("#frequent td") ? "entity"
                    : e.closest("#labels li") ? "label" : e.localName);
                }"""
            )
        )
        if seen[-1] == "end":
            break
    n_entities = page.locator("#frequent button").count()
    assert n_entities == len({(e.label, folded(e.text)) for document in documents() for e in document.entities})
    assert seen == [
        "summary", *["label"] * len(LABELS), "summary", "least", "only", "list", "words", "button", "summary",
        *["entity"] * n_entities, "page", "after", "last", "mark", "after-below", "end",
    ]  # fmt: skip


def test_arrow_keys_go_from_entity_to_entity(page: Any) -> None:
    focused = "document.activeElement.firstChild.data"
    page.focus("#text mark[tabindex='0']")
    found = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"):
        page.keyboard.press(key)
        found.append(page.evaluate(focused))
    assert found[:3] == ["Bob 0", "Bonn", "Bob 0"]
    assert found[3] == found[4] == "Bonn"
    assert found[5] == "Angela Merkel"
    assert page.locator("#text mark[tabindex='0']").count() == 1
    tip = page.locator("#text mark:focus .p")
    assert tip.inner_text().strip() == "90.0 %"
    assert tip.bounding_box()["width"] > 20
    last_page(page)
    page.locator("mark", has_text="محمود").focus()
    page.keyboard.press("ArrowLeft")  # which is forward in Arabic
    assert page.evaluate(focused) == "رام الله"


def test_enter_lists_the_places_and_goes_there(page: Any) -> None:
    page.focus("#text mark[tabindex='0']")
    page.keyboard.press("Enter")
    assert wait_for_places(page) == f"{N_TEXTS} places"  # one of them over two lines
    assert page.inner_text("#places-title") == "Angela Merkel (PER)"
    assert page.evaluate("document.activeElement.id") == "places-title"
    last = page.locator("#places-list button").last
    assert last.inner_text().startswith("b.txt, line 60, page ")
    last.click()
    unit = page.evaluate("document.activeElement.closest('.u').textContent")
    assert unit.startswith("60On that day Angela Merkel")
    assert int(page.input_value("#page")) > 1
    page.click("#places-close")
    assert page.locator("#places").is_hidden()


def test_the_names_of_entities_for_screen_readers(page: Any) -> None:
    first = page.locator("#text mark").first
    assert first.get_attribute("role") == "button"
    assert first.text_content().replace("\u00a0", " ") == "Angela Merkel PER 90.0 %"
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("#text", "lang") == ""
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, section, nav, [role=region], [role=group]")]
          .filter((e) => !(e.textContent.trim() || e.labels?.length || e.matches("[aria-label], [aria-labelledby]")))
          .map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_filters(page: Any) -> None:
    def shown() -> int:
        return int(page.locator("#text mark:not(.off)").count())

    all_shown = shown()
    counts = dict(
        zip(
            page.locator(".legend .chip").all_inner_texts(),
            page.locator(".legend .count").all_inner_texts(),
            strict=True,
        )
    )
    assert counts["PER"] == str(2 * N_TEXTS + 2)
    page.locator(".legend label", has_text="PER").click()
    assert shown() == all_shown // 3
    page.locator(".legend label", has_text="PER").click()
    page.evaluate("const l = document.getElementById('least'); l.value = 70; l.dispatchEvent(new Event('input'))")
    assert page.inner_text("#least-shown") == "70 %"
    assert (
        page.locator(".legend li", has_text="PER").locator(".count").inner_text()
        == f"{N_TEXTS + 2} of {2 * N_TEXTS + 2}"
    )
    on_page = page.locator("#text .u").count()
    assert shown() == on_page + (on_page + 1) // 2  # Angela Merkel, and Bonn where its probability is 0.99
    assert "entities shown" in page.inner_text("#status")
    page.locator(".legend label", has_text="PER").click()
    page.check("#only")
    assert page.locator("#text .u:visible").count() == (on_page + 1) // 2
    assert page.locator("#text mark.off small").first.is_hidden()
    page.click("#list")
    wanted = [e for document in documents() for e in document.entities if e.label != "PER" and (e.score or 0) >= 0.7]
    assert wait_for_places(page) == f"{len(wanted)} places"
    last_page(page)  # a filter holds on every page
    assert page.locator("#text mark:not(.off)", has_text="Bob").count() == 0


def test_search(page: Any) -> None:
    for words, places in [
        ("ANGELA  merkel met", N_TEXTS),
        ("bob 33 in bonn", 1),
        ("w york", 1),
        ("nowhere", 0),
        ("</script>", 2),
    ]:
        page.fill("#words", words)
        page.press("#words", "Enter")
        assert wait_for_places(page) == f"{places} place{'' if places == 1 else 's'}"
    page.fill("#words", '"quoted"<i>odd')
    page.press("#words", "Enter")
    assert wait_for_places(page) == "1 place"
    page.locator("#places-list button").click()
    assert page.evaluate("String(getSelection())") == '"quoted"<i>Odd'


def test_more_places_than_are_listed_at_a_time(page: Any) -> None:
    page.click("#list")
    assert wait_for_places(page) == "the first 100 places"
    page.click("#places-more")
    n_entities = sum(len(document.entities) for document in documents())
    assert wait_for_places(page) == f"{n_entities} places"
    assert page.locator("#places-more").is_hidden()


def test_pages(page: Any) -> None:
    n_pages = int(page.inner_text("nav span").removeprefix("of "))
    assert n_pages > 1
    page.fill("#page", str(n_pages))
    page.press("#page", "Enter")
    assert page.locator("#after").is_disabled()
    assert page.evaluate("location.hash") == f"#page={n_pages}"
    page.reload()
    assert page.input_value("#page") == str(n_pages)
    page.click("#before-below")
    assert page.input_value("#page") == str(n_pages - 1)
    assert page.locator("#text .f").first.inner_text() in ("a.txt", "b.txt")


@pytest.mark.parametrize("is_on", [True, False], ids=["scripts", "no scripts"])
def test_all_text_can_be_read(browser: Any, file: Path, is_on: bool) -> None:
    plain = """(units) => units.map((unit) => {
      const copy = unit.cloneNode(true);
      copy.querySelectorAll(".n, small").forEach((one) => one.remove());
      return copy.textContent;
    })"""
    found: list[str] = []
    with Opened(browser, file.as_uri(), viewport=DESKTOP, java_script_enabled=is_on) as page:
        while True:
            found += page.locator(".u").evaluate_all(plain)
            if not is_on or page.locator("#after").is_disabled():
                break
            page.click("#after")
        assert page.locator("mark").first.is_visible()
        assert page.locator("#view").is_visible() == is_on
        if not is_on:
            assert page.locator("noscript p").first.inner_text().startswith("Scripts are off")
            assert page.locator("#frequent td").first.inner_text() == "Bonn"
            assert page.locator("button:visible, input:visible").count() == 0
    assert found == [made_visible(document.text) for document in documents()]


def test_a_hundred_thousand_entities(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "large.html"
    document = document_of(
        *(["some words and the name of ", ("Ann", "PER", 0.9), " and ", ("Bonn", "LOC", 0.6), ". "] * 50)
    )
    with open(file, "w", encoding="utf-8", newline="\n") as stream:
        page = TaggedPage(stream, "Large")
        for number in range(1_000):
            page.add(document.text, document.entities, "a.txt", number)
        page.add("the last one is ", [])
        page.add("Zoe", [Entity(0, 3, "PER", "Zoe", 0.5)])
        page.finish()
    with Opened(browser, file.as_uri(), viewport=DESKTOP) as page:
        assert page.locator("*").count() < 10_000  # one page of text, however many there are
        page.evaluate("const l = document.getElementById('least'); l.value = 70; l.dispatchEvent(new Event('input'))")
        assert page.locator(".legend .count").all_inner_texts() == ["50,000 of 50,001", "0 of 50,000"]
        page.locator("#frequent button", has_text="Zoe").click()
        assert wait_for_places(page) == "1 place"
        last_page(page)
        assert page.inner_text("#text .u >> nth=-1").startswith("Zoe")
