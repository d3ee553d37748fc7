"""Entities as rows: what csv and a data frame read back is what was found, and no spreadsheet computes a cell."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.visible import without_halves
from ner_elmo.text.documents import Document, Entity, Origin
from ner_elmo.text.formats.tagged.table import COLUMNS, FORMULA_SIGNS, table_writer
from ner_elmo.text.formats.tagged.writing import Writing
from ner_elmo.text.tokenizer import sentences
from tests.support.tagged_documents import document_of, documents

FORMATS = {"csv": ",", "tsv": "\t"}


def written(*found: Document, format: str = "csv", **settings: str) -> str:
    stream = io.StringIO(newline="\n")
    table_writer(FORMATS[format])(found, stream, Writing(format=format, **settings))  # type: ignore[arg-type]
    return stream.getvalue()


def rows_of(text: str, format: str = "csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=FORMATS[format], strict=True))


def test_a_row_is_an_entity() -> None:
    text = 'Ann met Bo. "We left Bonn, now," she said.'
    entities = [Entity(0, 3, "PER", "Ann", 0.98765), Entity(21, 25, "LOC", "Bonn", None)]
    document = Document(text, sentences(text, "en-1"), entities, origin=Origin("a.txt", 7, "letter 3"))
    assert written(document, document_of("no entity")) == (
        "file,line,id,start,end,label,text,score,sentence\r\n"
        "a.txt,7,letter 3,0,3,PER,Ann,0.9877,Ann met Bo.\r\n"
        'a.txt,7,letter 3,21,25,LOC,Bonn,,"""We left Bonn, now,"" she said."\r\n'
    )


@pytest.mark.parametrize("format", FORMATS)
@given(found=st.lists(documents(), max_size=3))
def test_what_is_read_is_what_was_found(format: str, found: list[Document]) -> None:
    text = written(*found, format=format, cells="raw")
    rows = rows_of(text, format)
    entities = [(document, entity) for document in found for entity in document.entities]
    assert len(rows) == len(entities)
    for row, (document, entity) in zip(rows, entities, strict=True):
        assert list(row) == list(COLUMNS)
        assert (
            row["text"]
            == without_halves(entity.text)
            == without_halves(document.text[int(row["start"]) : int(row["end"])])
        )
        assert row["label"] == without_halves(entity.label)
        assert row["text"] in row["sentence"]
        assert (row["score"] == "") == (entity.score is None)
        assert (row["file"], row["line"]) == (
            (document.origin.file, str(document.origin.line)) if document.origin else ("", "")
        )
    assert text.encode("utf-8")


@pytest.mark.parametrize("format", FORMATS)
@given(found=documents())
def test_no_cell_is_computed(format: str, found: Document) -> None:
    safe, raw = (rows_of(written(found, format=format, cells=cells), format) for cells in ("safe", "raw"))
    for row, plain in zip(safe, raw, strict=True):
        for name, cell in row.items():
            assert not cell.startswith(FORMULA_SIGNS)
            assert cell == ("'" + plain[name] if plain[name].startswith(FORMULA_SIGNS) else plain[name])


def test_the_mark_for_excel() -> None:
    assert written(cells="excel") == "\ufeff" + written()


def test_offsets_in_other_units() -> None:
    document = document_of("😀 é ", ("Ann", "PER"))
    found = {unit: rows_of(written(document, offsets=unit))[0] for unit in ("char", "utf16", "byte")}
    assert {unit: (row["start"], row["end"]) for unit, row in found.items()} == {
        "char": ("4", "7"), "utf16": ("5", "8"), "byte": ("8", "11"),
    }  # fmt: skip


def test_a_very_long_sentence_is_cut() -> None:
    document = document_of("a" * 5_000, ("Ann", "PER"), "b" * 5_000)
    (row,) = rows_of(written(document))
    assert row["sentence"] == "…" + "a" * 400 + "Ann" + "b" * 400 + "…"
