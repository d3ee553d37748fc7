"""``-f html``: the page of documents as they come."""

from __future__ import annotations

import io

from ner_elmo.text.documents import Origin
from ner_elmo.text.formats.tagged.page import write_html
from ner_elmo.text.formats.tagged.writing import Writing
from tests.support.html_reader import read_page
from tests.support.tagged_documents import document_of


def written(**settings: object) -> str:
    document = document_of("I saw ", ("Ann", "PER", 0.9), ".")
    document.origin = Origin("letters/a&b.txt", 42)
    stream = io.StringIO()
    write_html([document, document], stream, Writing(format="html", **settings))  # type: ignore[arg-type]
    return stream.getvalue()


def test_places_and_title() -> None:
    html = written(title="My <letters>")
    assert "<title>My &lt;letters&gt;</title>" in html
    assert "<h2 class=f dir=auto>letters/a&amp;b.txt</h2>" in html
    assert html.count("<p class=u dir=auto><span class=n>42</span>I saw <mark") == 2
    assert "Tagged text" in read_page(written()).words


def test_what_was_left_out_is_said() -> None:
    assert "Entities less probable than 12.5 % were left out." in written(min_score=0.125)
    assert "left out" not in written()


def test_a_text_has_the_name_that_it_has_in_its_file() -> None:
    document = document_of("I saw ", ("Ann", "PER", 0.9), ".")
    document.origin = Origin("a.jsonl", 3, "review <7>")
    stream = io.StringIO()
    write_html([document], stream, Writing(format="html"))
    assert (
        "<p class=u dir=auto><span class=n dir=ltr data-id>3 · review &lt;7&gt;</span>I saw <mark" in stream.getvalue()
    )
