"""The page of tagged texts as a file: whole, safe, cut into pages, the same text with and without scripts."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages import tagged_page
from ner_elmo.pages.tagged_page import TaggedPage, cut, whole_page
from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document, Entity
from tests.support.html_reader import read_page
from tests.support.tagged_documents import document_of, documents

# fmt: off
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "noscript", "p", "a", "h2", "span", "mark", "small",
    "div", "aside", "details", "summary", "fieldset", "legend", "ul", "li", "label", "input", "output", "button",
    "form", "table", "thead", "tbody", "tr", "th", "td", "section", "nav", "ol", "script",
}
# fmt: on


def page_of(*found: Document, title: str = "T", note: str = "") -> str:
    stream = io.StringIO()
    page = TaggedPage(stream, title)
    for document in found:
        origin = document.origin
        page.add(document.text, document.entities, origin and origin.file, origin and origin.line)
    page.finish(note)
    return stream.getvalue()


def texts_of(html: str) -> list[str]:
    return [read_page(part).text for part in re.findall(r"<p class=u .*?</p>\n", html, re.DOTALL)]


@given(st.lists(documents(), max_size=4), st.text(max_size=5))
def test_nothing_of_the_texts_becomes_markup(found: list[Document], title: str) -> None:
    html = page_of(*found, title=title)
    reader = read_page(html)
    assert set(reader.seen) <= TAGS
    assert reader.seen.count("script") == reader.seen.count("style") == reader.seen.count("title") == 1
    assert html.encode("utf-8")
    assert reader.seen.count("mark") == sum(len(document.entities) for document in found)


@given(st.lists(documents(), max_size=4))
def test_the_texts_are_the_texts(found: list[Document]) -> None:
    """Those that begin no new page within a text; carriage returns at bounds of entities are told in test_marks."""
    found = [document for document in found if "\r\n" not in document.text]
    texts = texts_of(page_of(*found))
    assert [text.removesuffix("\n") for text in texts] == [made_visible(document.text) for document in found]


def test_it_needs_nothing_else() -> None:
    html = page_of(document_of(("Ann", "PER", 0.9)))
    assert not re.search(r"https?:|//|\b(src|href)=(?!#)|@import|url\(", html.replace("// ", ""))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        (code,) = re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", html.split("<script>")[0])


def test_counts() -> None:
    html = page_of(
        document_of(("Ann", "PER"), " ", ("Bonn", "LOC"), " ", ("Ann", "PER")),
        document_of(("Ann", "ORG")),
        note="Noted.",
    )
    assert "<p class=soft>2 texts, 4 entities. Noted.</p>" in html
    legend = re.findall(r'class="chip k\d+" dir=auto>(\w+)</span></label><span class=count data-all=\d+>(\d+)<', html)
    assert legend == [("PER", "2"), ("LOC", "1"), ("ORG", "1")]
    rows = re.findall(r"<tr><td class=e .*?>(\w+)</td><td><span .*?>(\w+)</span></td><td class=count>(\d)</td>", html)
    assert rows == [("Ann", "PER", "2"), ("Bonn", "LOC", "1"), ("Ann", "ORG", "1")]
    assert "id=least" not in html  # there are no probabilities
    assert "id=least" in page_of(document_of(("Ann", "PER", 0.5)))


def test_files_have_headings_on_every_page() -> None:
    stream = io.StringIO()
    page = TaggedPage(stream, "T")
    for file, line in [("a.txt", 1), ("a.txt", 2), ("b.txt", 1)]:
        page.add("x " * 6_000, [], file, line)
    page.finish()
    parts = stream.getvalue().split("<noscript class=part>")[1:]
    assert [re.findall("<h2 class=f dir=auto>(.*?)</h2>", part) for part in parts] == [["a.txt"], ["a.txt"], ["b.txt"]]
    assert "3 texts of 2 files, 0 entities." in parts[-1]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=12), st.integers(0, 120))
def test_pieces_hold_whole_entities(gaps: list[tuple[int, int]], rest: int) -> None:
    before = tagged_page.MOST_CHARACTERS, tagged_page.MOST_MARKS
    tagged_page.MOST_CHARACTERS, tagged_page.MOST_MARKS = 40, 3
    try:
        text, entities = "", []
        for gap, length in gaps:
            text += "ab d\n"[gap % 5] * gap
            entities.append(Entity(len(text), len(text) + length, "X", "e " * length, None))
            text += ("e " * length)[:length]
        text += "z" * rest
        found = list(cut(text, entities))
        assert "".join(text[start:end] for start, end, _ in found) == text
        assert [entity for _, _, inside in found for entity in inside] == entities
        assert all(start <= e.start and e.end <= end for start, end, inside in found for e in inside)
        longest = max([0, *(e.end - e.start for e in entities)])
        assert all(end - start <= 40 + longest for start, end, _ in found)
        assert all(len(inside) <= 3 for _, _, inside in found)
    finally:
        tagged_page.MOST_CHARACTERS, tagged_page.MOST_MARKS = before


def test_a_book_that_is_one_text_goes_over_pages() -> None:
    document = document_of(*(["some words and a name ", ("Ann", "PER", 0.9), ".\n"] * 10_000))
    html = page_of(document)
    assert html.count("<noscript class=part>") > 10
    assert "".join(text.removesuffix("\n") for text in texts_of(html)) == document.text


def test_memory_does_not_grow_with_the_text() -> None:
    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    document = document_of(*(["some words and a name ", ("Ann", "PER", 0.9), ". "] * 300))
    tracemalloc.start()
    try:
        peaks = []
        for times in (10, 60):
            tracemalloc.reset_peak()
            page = TaggedPage(Sink(), "T")
            for _ in range(times):
                page.add(document.text, document.entities)
            page.finish()
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_no_text_at_all() -> None:
    html = page_of()
    assert "0 texts, 0 entities." in html
    assert "No entity was found." in html
    read_page(html)


def test_a_page_of_one_text() -> None:
    document = document_of("I saw ", ("Ann", "PER", 0.9), ".")
    assert whole_page(document.text, document.entities, "T") == page_of(document)
