"""Texts without their entities: each is replaced by its label, or by a stand-in that is the same throughout.

Only what was found is replaced. A tagger overlooks some entities, so this is a help for whoever makes a text
anonymous, not an anonymous text.
"""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from ner_elmo.errors import UsageError
from ner_elmo.pages.visible import without_halves
from ner_elmo.text.documents import Document, Entity
from ner_elmo.text.files import is_there, replace_file, shown_name
from ner_elmo.text.formats.tagged.table import guarded
from ner_elmo.text.formats.tagged.writing import RunWriter, Writing

KEY_COLUMNS = ("stand-in", "label", "text", "times")
_ONLY_OWNER = 0o600


def write_redacted(documents: Iterable[Document], stream: IO[str], writing: Writing) -> None:
    """Each text with ``[PER]`` in the place of an entity, or ``[PER 1]`` with pseudonyms; all else stays as it is.

    Raises:
        UsageError, CannotWriteError: as :func:`redacted_run`.
    """
    with redacted_run(writing) as write:
        write(documents, stream)


@contextmanager
def redacted_run(writing: Writing) -> Iterator[RunWriter]:
    """What writes the outputs of a run, in which an entity has one stand-in, whichever output it stands in.

    A key file appears once all is written, for its owner alone.

    Raises:
        UsageError: the key file exists; it may be all that leads back from some stand-ins, so it is never replaced.
        CannotWriteError: there is no place for it.
    """
    key = Path(writing.key_file) if writing.key_file else None
    if key is not None and is_there(key):
        raise UsageError(f"{shown_name(key)}: exists already, and a key is never replaced; choose another --key-file")
    names = StandIns() if writing.pseudonyms else None
    yield lambda documents, stream: _write(documents, stream, names)
    if names is not None and key is not None:
        write_key(names, key)


def _write(documents: Iterable[Document], stream: IO[str], names: StandIns | None) -> None:
    for document in documents:
        text, done = document.text, 0
        for entity in document.entities:
            if entity.start >= done:
                stream.write(without_halves(text[done : entity.start]))
                stream.write(f"[{entity.label}]" if names is None else names.of(entity))
            done = max(done, entity.end)  # of two that overlap, all that either covers is replaced
        stream.write(f"{without_halves(text[done:])}\n")


class _Known(NamedTuple):
    """An entity that has a stand-in: its number among those of its label, and its words where it first stood."""

    number: int
    text: str


class StandIns:
    """Gives out stand-ins: the same for the same entity.

    Two are the same where their labels are, and their words but for small and capital letters, white space, and how
    accents are composed: ``MERKEL`` is ``Merkel``, but not ``Angela Merkel``.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}
        self._n_of_label: Counter[str] = Counter()
        self._times: Counter[tuple[str, str]] = Counter()

    def of(self, entity: Entity) -> str:
        """``[PER 1]`` for an entity."""
        key = entity.label, _normalized(entity.text)
        if key not in self._known:
            self._n_of_label[entity.label] += 1
            self._known[key] = _Known(self._n_of_label[entity.label], entity.text)
        self._times[key] += 1
        return f"[{entity.label} {self._known[key].number}]"

    def rows(self) -> Iterable[tuple[str, str, str, int]]:
        """Every stand-in with its label, its entity as it first stood, and how often it stands in the texts."""
        for (label, words), known in self._known.items():
            yield f"[{label} {known.number}]", label, known.text, self._times[label, words]


def _normalized(words: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", words).casefold()).split())


def write_key(names: StandIns, path: Path) -> None:
    """Write what each stand-in stands for as CSV, in a file that its owner alone may read.

    Raises:
        CannotWriteError: the system refuses, or the disk is full.
    """
    with (
        replace_file(path, permissions=_ONLY_OWNER) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        rows = csv.writer(stream, lineterminator="\r\n")
        rows.writerow(KEY_COLUMNS)
        rows.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in names.rows())
