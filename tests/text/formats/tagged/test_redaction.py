"""Redacted texts: what was found is gone, everything else stays, stand-ins are the same throughout."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given

from ner_elmo.errors import CannotWriteError
from ner_elmo.pages.visible import without_halves
from ner_elmo.text.documents import Document, Entity
from ner_elmo.text.formats.tagged.redaction import write_redacted
from ner_elmo.text.formats.tagged.writing import Writing
from tests.support.tagged_documents import document_of, documents


def redacted(*found: Document, pseudonyms: bool = False, key_file: str = "") -> str:
    stream = io.StringIO()
    write_redacted(found, stream, Writing(format="redacted", pseudonyms=pseudonyms, key_file=key_file))
    return stream.getvalue()


LETTERS = (
    document_of(
        "Dear ", ("Angela Merkel", "PER"), ", come to ", ("Bonn", "LOC"), " & bring [PER].\n\n\tYours, ", ("Bo", "PER")
    ),
    document_of(("ANGELA\n MERKEL", "PER"), " and ", ("Merkel", "PER"), " left ", ("Bonn", "ORG"), "."),
)


def test_labels() -> None:
    assert redacted(*LETTERS) == (
        "Dear [PER], come to [LOC] & bring [PER].\n\n\tYours, [PER]\n[PER] and [PER] left [ORG].\n"
    )


def test_stand_ins_are_the_same_throughout() -> None:
    assert redacted(*LETTERS, pseudonyms=True) == (
        "Dear [PER 1], come to [LOC 1] & bring [PER].\n\n\tYours, [PER 2]\n[PER 1] and [PER 3] left [ORG 1].\n"
    )


def test_accents_composed_in_two_ways_are_one() -> None:
    found = redacted(document_of(("Zoé", "PER"), " ", ("Zoe\u0301", "PER"), " ", ("Zoe", "PER")), pseudonyms=True)
    assert found == "[PER 1] [PER 1] [PER 2]\n"


@given(documents())
def test_only_entities_are_replaced(document: Document) -> None:
    expected, done = "", 0
    for entity in document.entities:
        expected += f"{document.text[done : entity.start]}[{entity.label}]"
        done = entity.end
    assert redacted(document) == without_halves(f"{expected}{document.text[done:]}\n")
    document.entities = []
    assert redacted(document) == without_halves(document.text) + "\n"


def test_all_that_entities_cover_is_replaced_where_they_overlap() -> None:
    text = "abcdefghij"
    entities = [Entity(start, end, "X", text[start:end], None) for start, end in ((1, 6), (2, 4), (5, 8))]
    assert redacted(Document(text, [], entities)) == "a[X]ij\n"


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    key = tmp_path / "key.csv"
    before = os.umask(0o022)
    try:
        redacted(*LETTERS, document_of(("=1+1", "PER")), pseudonyms=True, key_file=str(key))
    finally:
        os.umask(before)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    rows = list(csv.reader(io.StringIO(key.read_bytes().decode(), newline="")))
    assert rows == [
        ["stand-in", "label", "text", "times"],
        ["[PER 1]", "PER", "Angela Merkel", "2"],
        ["[LOC 1]", "LOC", "Bonn", "1"],
        ["[PER 2]", "PER", "Bo", "1"],
        ["[PER 3]", "PER", "Merkel", "1"],
        ["[ORG 1]", "ORG", "Bonn", "1"],
        ["[PER 4]", "PER", "'=1+1", "1"],
    ]
    assert list(tmp_path.iterdir()) == [key]


def test_no_key_where_texts_end_early(tmp_path: Path) -> None:
    def broken() -> object:
        yield LETTERS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redacted(*(document for document in broken()), pseudonyms=True, key_file=str(tmp_path / "key.csv"))  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWriteError):
        redacted(*LETTERS, pseudonyms=True, key_file=str(tmp_path / "file" / "key.csv"))
