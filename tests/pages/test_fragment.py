"""What a notebook shows of a document: safe, with a style that touches nothing else, and never endless."""

from __future__ import annotations

import re

from hypothesis import given

from ner_elmo.pages import fragment as fragments
from ner_elmo.pages.fragment import fragment
from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document
from tests.support.html_reader import read_page
from tests.support.tagged_documents import document_of, documents

TAGS = {"div", "style", "mark", "small", "span", "p", "details", "summary", "ul", "li"}


@given(documents())
def test_nothing_of_the_text_becomes_markup(document: Document) -> None:
    html = fragment(document.text, document.entities)
    reader = read_page(html)
    assert set(reader.seen) <= TAGS
    if "\r\n" not in document.text:  # of which the text keeps one character
        assert reader.text.startswith(made_visible(document.text))
    assert reader.seen.count("mark") == reader.seen.count("li") == len(document.entities)


def test_its_style_touches_nothing_else() -> None:
    html = fragment("a", [])
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*\{", style)
    assert len(selectors) > 20
    assert all(part.strip().startswith(".ner-elmo-text") for one in selectors for part in one.split(","))
    assert not re.search(r"url|@import|https?:", style)


def test_what_points_at_nothing_finds_a_list() -> None:
    document = document_of("I saw ", ("Ann <b>", "PER", 0.5), ".")
    assert "<details><summary>Entities: 1</summary><ul><li dir=auto>Ann &lt;b&gt;, PER, 50.0 %</li></ul>" in fragment(
        document.text, document.entities
    )


def test_a_long_text_is_cut_behind_an_entity() -> None:
    most = fragments.MOST_CHARACTERS
    document = document_of("a" * (most - 2), ("Angela", "PER"), "b" * 100, ("Bonn", "LOC"))
    html = fragment(document.text, document.entities)
    assert "Angela" in html
    assert "Bonn" not in html
    assert "<p>… and 104 more characters</p>" in html
