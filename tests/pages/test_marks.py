"""A text with marks is the text, whatever stands in it and however entities lie in one another."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.marks import Marked, marked_html, percent
from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document, Entity
from tests.support.html_reader import read_page
from tests.support.tagged_documents import document_of, documents


def opening(entity: Marked, is_piece: bool) -> str:
    return "<mark data-x>" if is_piece else "<mark>"


def html_of(document: Document) -> str:
    return marked_html(document.text, document.entities, opening)


@given(documents())
def test_the_text_is_the_text(document: Document) -> None:
    reader = read_page(f"<p>{html_of(document)}</p>")
    assert reader.text == "".join(map(made_visible, pieces(document)))
    assert set(reader.seen) <= {"p", "mark", "small", "span"}
    assert reader.seen.count("mark") == len(document.entities)


def pieces(document: Document) -> list[str]:
    """The text cut at its entities, so that a carriage return and a line end on two sides of a bound stay two."""
    bounds = sorted({0, len(document.text), *(x for e in document.entities for x in (e.start, e.end))})
    return [document.text[a:b] for a, b in pairwise(bounds)]


def test_label_and_probability_follow() -> None:
    document = document_of("I saw ", ("Ann", "PER", 0.9876), " & ", ("Bo", "A<B"), ".")
    assert html_of(document) == (
        "I saw <mark>Ann<small>\u00a0PER<span class=p> 98.8 %</span></small></mark> &amp; "
        "<mark>Bo<small>\u00a0A&lt;B</small></mark>."
    )


spans = st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])


@given(st.lists(spans, max_size=6))
def test_marks_may_lie_in_one_another_and_cross(bounds: list[tuple[int, int]]) -> None:
    text = "abcdefghijkl"
    entities = [Entity(start, end, f"L{n}", text[start:end], None) for n, (start, end) in enumerate(bounds)]
    reader = read_page(f"<p>{html_of(Document(text, [], entities))}</p>")
    assert reader.text == text
    covered = {at for start, end in bounds for at in range(start, end)}
    assert {at for at, depth in enumerate(reader.depths) if depth} == covered
    for at, depth in enumerate(reader.depths):
        assert depth == sum(start <= at < end for start, end in bounds)


def test_what_is_not_certain_is_not_said_to_be() -> None:
    assert [percent(score) for score in (1.0, 0.99999, 0.5, 0.0)] == ["100.0 %", "99.9 %", "50.0 %", "0.0 %"]
