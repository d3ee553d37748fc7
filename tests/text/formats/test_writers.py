"""The formats that tag writes."""

from __future__ import annotations

import io
import json

import pytest

from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.formats.writers import ENDINGS, FORMATS, Writing, token_spans
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.tokenizer import sentences


def document() -> Document:
    text = "Angela Merkel met “Zoë” in Berlin. She left Bonn."
    names = {"Angela Merkel": "PER", "Zoë": "PER", "Berlin": "LOC", "Bonn": "LOC"}
    entities = [
        Entity(text.index(name), text.index(name) + len(name), label, name, 0.987654) for name, label in names.items()
    ]
    return Document(text, sentences(text, "en-1"), entities)


def written(name: str, document: Document) -> str:
    stream = io.StringIO()
    FORMATS[name]([document], stream, Writing(format=name))
    return stream.getvalue()


def test_text() -> None:
    expected = "[Angela Merkel PER] met “[Zoë PER]” in [Berlin LOC]. She left [Bonn LOC].\n"
    assert written("text", document()) == expected


def test_conll_has_the_original_tokens() -> None:
    expected = (
        "Angela\tB-PER\nMerkel\tI-PER\nmet\tO\n“\tO\nZoë\tB-PER\n”\tO\nin\tO\nBerlin\tB-LOC\n.\tO\n\n"
        "She\tO\nleft\tO\nBonn\tB-LOC\n.\tO\n\n"
    )
    assert written("conll", document()) == expected


def test_conll_replaces_white_space_within_a_token() -> None:
    assert written("conll", Document("a \n b", [[Token(0, 5, "ab")]])) == "a_b\tO\n\n"


def test_jsonl() -> None:
    line = written("jsonl", document())
    assert line.count("\n") == 1
    assert "“Zoë”" in line
    result = json.loads(line)
    assert result["text"] == document().text
    assert result["entities"][0] == {"start": 0, "end": 13, "label": "PER", "text": "Angela Merkel", "score": 0.9877}


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_document(name: str) -> None:
    expected = {"text": "\n", "conll": "", "jsonl": '{"text": "", "entities": []}\n', "redacted": "\n"}
    found = written(name, Document(""))
    if name in ("csv", "tsv"):
        assert found.count("\n") == 1
    elif name == "html":
        assert "1 text, 0 entities." in found
    else:
        assert found == expected[name]


def test_formats_have_endings() -> None:
    assert set(ENDINGS) == set(FORMATS)


def test_entities_take_the_tokens_they_touch() -> None:
    tokens = [Token(0, 4, "abcd"), Token(5, 9, "efgh"), Token(10, 12, "ij")]
    entities = [
        Entity(1, 3, "A", "", 1),
        Entity(3, 6, "B", "", 1),
        Entity(9, 10, "C", "", 1),
        Entity(40, 50, "D", "", 1),
    ]
    assert token_spans(tokens, entities) == [Span(0, 1, "A"), Span(1, 2, "B")]
    assert token_spans(tokens[2:], entities) == []
