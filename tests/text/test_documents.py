"""What a document says of itself: as JSON, as a page, in a notebook."""

from __future__ import annotations

import json

from hypothesis import given

from ner_elmo.text.documents import Document, Entity, Origin
from ner_elmo.text.formats.jsonl import checked, document_of, dumped
from tests.support.html_reader import read_page
from tests.support.tagged_documents import document_of as document
from tests.support.tagged_documents import documents


def test_as_json() -> None:
    found = document("I saw ", ("Ann", "PER", 0.98765), ".")
    entities = [{"start": 6, "end": 9, "label": "PER", "text": "Ann", "score": 0.9877}]
    assert found.to_dict() == {"text": "I saw Ann.", "entities": entities}
    found.origin = Origin("a.txt", 7, "x", {"id": 3})
    assert found.to_dict() == {"text": "I saw Ann.", "entities": entities, "file": "a.txt", "line": 7, "id": 3}
    assert "score" not in Entity(0, 1, "PER", "A", None).to_dict()


@given(documents())
def test_json_reads_back(found: Document) -> None:
    line = dumped(found.to_dict())
    assert len(line.splitlines()) == 1
    value = json.loads(line)
    assert value["text"] == found.text
    if any("\ud800" <= c <= "\udfff" for c in found.text):
        return  # which JSON can hold and our reader refuses
    entities = document_of(checked("x", 1, value)).entities
    assert [(e.start, e.end, e.label, e.text) for e in entities] == [
        (e.start, e.end, e.label, e.text) for e in found.entities
    ]


def test_as_a_page() -> None:
    found = document("I saw ", ("Ann", "PER", 0.98765), " <b>.")
    reader = read_page(found.to_html(title="My & page"))
    assert reader.seen[0] == "html"
    assert "My & page" in reader.words
    assert "mark" in reader.seen
    assert "b" not in reader.seen


def test_in_a_notebook() -> None:
    html = document("I saw ", ("Ann", "PER", 0.98765), " <b>.")._repr_html_()
    reader = read_page(html)
    assert reader.seen[:2] == ["div", "style"]
    assert reader.text.startswith("I saw Ann <b>.")
    assert "script" not in reader.seen
