"""Entities as the rows of a table: CSV (RFC 4180) or TSV, for spreadsheets and data frames.

A row is an entity: ``file, line, id, start, end, label, text, score, sentence``. ``file`` and ``line`` say where its
text begins, and ``start`` and ``end`` count from there; ``id`` is the name that the text has in its file. A text
without entities has no row. Cells that hold commas, quotes or line ends are quoted.

A spreadsheet computes a cell that begins with ``=``, ``+``, ``-`` or ``@``, whoever wrote it there. So a ``'`` is set
before it, which spreadsheets know as the sign of plain text; offsets are those of the text as it was. ``--cells raw``
leaves cells as they are.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import IO

from ner_elmo.pages.visible import without_halves
from ner_elmo.text.documents import Document, Entity, Origin
from ner_elmo.text.formats.tagged.offsets import with_offsets
from ner_elmo.text.formats.tagged.writing import Writer, Writing

COLUMNS = ("file", "line", "id", "start", "end", "label", "text", "score", "sentence")
# What spreadsheets compute, in either width; a tab or line end at the edge hides it from the eye.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BYTE_ORDER_MARK = "\ufeff"
_AROUND = 400  # characters of a sentence shown on either side of an entity


def table_writer(delimiter: str) -> Writer:
    """The writer of CSV (``,``) or TSV."""

    def write(documents: Iterable[Document], stream: IO[str], writing: Writing) -> None:
        if writing.cells == "excel":
            stream.write(_BYTE_ORDER_MARK)
        rows = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
        rows.writerow(COLUMNS)
        cell = without_halves if writing.cells == "raw" else guarded
        for document in documents:
            for row in _rows(document, writing.offsets):
                rows.writerow([cell(value) if isinstance(value, str) else value for value in row])

    return write


def guarded(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    cell = without_halves(cell)
    return f"'{cell}" if cell.startswith(FORMULA_SIGNS) else cell


def _rows(document: Document, unit: str) -> Iterator[list[str | int | float]]:
    origin = document.origin or Origin("", 0)
    spans = [(sentence[0].start, sentence[-1].end) for sentence in document.sentences if sentence]
    starts = [start for start, _ in spans]
    counted = with_offsets(document, unit).entities
    for entity, in_units in zip(document.entities, counted, strict=True):
        place = bisect_right(starts, entity.start) - 1
        start, end = spans[place] if place >= 0 else (0, len(document.text))
        yield [
            origin.file,
            origin.line or "",
            origin.identifier or "",
            in_units.start,
            in_units.end,
            entity.label,
            entity.text,
            "" if entity.score is None else _Decimals(entity.score),
            _around(document.text, start, max(end, entity.end), entity),
        ]


class _Decimals(float):
    """A probability that is written with four decimals."""

    def __str__(self) -> str:
        return f"{float(self):.4f}"

    __repr__ = __str__  # csv asks floats for it


def _around(text: str, start: int, end: int, entity: Entity) -> str:
    """The sentence from ``start`` to ``end``, cut where it is very long."""
    first, last = max(start, entity.start - _AROUND), min(end, entity.end + _AROUND)
    return ("…" if first > start else "") + text[first:last] + ("…" if last < end else "")
