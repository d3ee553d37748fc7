"""BRAT standoff: a text file and, beside it, the entities as ``T1<TAB>PER 0 3<TAB>Ann`` lines; offsets in code points.

A pair of files holds one unit a line; a folder of pairs holds one unit a pair. Only ``T`` lines are read and written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.documents import Document, Entity
from ner_elmo.text.files import read_lines, replace_directory, replace_file, require_file

TEXT, ANNOTATIONS = ".txt", ".ann"
_ENTITY = re.compile(r"T[^\t]*\t(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)(?:\t(.*))?\Z", re.DOTALL)


class Located(NamedTuple):
    """An entity and its line in the ``.ann`` file."""

    line: int
    entity: Entity


def is_brat(path: str | Path) -> bool:
    """Whether a path is one of a pair by its suffix, or a folder with such files."""
    path = Path(path)
    return path.suffix in (TEXT, ANNOTATIONS) or (path.is_dir() and any(path.glob(f"*{ANNOTATIONS}")))


def read_brat(path: str | Path, notices: list[str]) -> Iterator[Document]:
    """The units of a pair of files (named by either), or of a folder of pairs in the order of their names.

    Args:
        notices: is handed a line for whatever is left out: discontinuous spans, annotations of other kinds.

    Raises:
        UsageError: a file is missing.
        DataError: a line that cannot be read, offsets that do not fit, entities that overlap, with their place.
    """
    path = Path(path)
    if path.is_dir():
        for annotations in sorted(path.glob(f"*{ANNOTATIONS}")):
            yield _read_pair(annotations, notices)
    else:
        whole = _read_pair(path, notices)
        yield from _units(whole)


def _read_pair(path: Path, notices: list[str]) -> Document:
    text_path = require_file(path.with_suffix(TEXT), "text file (BRAT wants X.txt beside X.ann)")
    annotations = require_file(path.with_suffix(ANNOTATIONS), "annotation file (BRAT wants X.ann beside X.txt)")
    raw = text_path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"found byte 0x{raw[error.start]:02x}"
        raise DataError(f"{text_path}:{line}: {found}, expected UTF-8 text") from None
    entities = sorted(_read_entities(annotations, text, notices), key=lambda found: found.entity.start)
    end = 0
    for number, entity in entities:
        if entity.start < end:
            found = (
                f"found {entity.label} {entity.text!r} at {entity.start}-{entity.end}, which overlaps another entity"
            )
            raise DataError(f"{annotations}:{number}: {found}, expected entities that do not overlap")
        end = entity.end
    return Document(text, [], [entity for _, entity in entities])


def _read_entities(path: Path, text: str, notices: list[str]) -> Iterator[Located]:
    others: list[int] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.startswith("T"):
            if line.strip():
                others.append(number)
            continue
        match = _ENTITY.match(line)
        if match is None:
            raise DataError(f"{path}:{number}: found {line[:60]!r}, expected T1<TAB>LABEL START END<TAB>text")
        label, offsets, _ = match.groups()
        pieces = [tuple(map(int, piece.split())) for piece in offsets.split(";")]
        start, end = pieces[0][0], pieces[-1][1]
        rising = all(a < b for a, b in pieces) and all(a[1] <= b[0] for a, b in pairwise(pieces))
        if not rising or end > len(text):
            raise DataError(f"{path}:{number}: found offsets {offsets}, expected rising ones within {len(text)}")
        # BRAT itself cuts an entity at the end of a line; the gap is white space, and the entity one stretch.
        if any(text[a[1] : b[0]].strip() for a, b in pairwise(pieces)):
            notices.append(f"{path}:{number}: found discontinuous {label} at {offsets}, expected one stretch; left out")
            continue
        _check_text(path, number, text, pieces, match[3])
        start, end = _without_line_ends(text, start, end)
        yield Located(number, Entity(start, end, label, text[start:end], 1.0))
    if others:
        notices.append(
            f"{path}:{others[0]}: found {len(others)} lines that are no entities, expected T lines; left out"
        )


def _without_line_ends(text: str, start: int, end: int) -> tuple[int, int]:
    while end - start > 1 and text[start] == "\n":
        start += 1
    while end - start > 1 and text[end - 1] == "\n":
        end -= 1
    return start, end


def _check_text(path: Path, number: int, text: str, pieces: list[tuple[int, ...]], said: str | None) -> None:
    stands = " ".join(text[start:end] for start, end in pieces)
    if said is not None and said.split() != stands.split():
        raise DataError(f"{path}:{number}: found text {said[:60]!r}, expected {stands[:60]!r}, which stands there")


def _units(document: Document) -> Iterator[Document]:
    """A document for each line; lines that an entity goes through stay together."""
    entities = iter([*document.entities, None])
    entity = next(entities)
    start = 0
    text = document.text.removesuffix("\n")
    if not document.text:
        return
    while start <= len(text):
        end = _line_end(text, start)
        inside: list[Entity] = []
        while entity is not None and entity.start < end:
            inside.append(Entity(entity.start - start, entity.end - start, entity.label, entity.text, entity.score))
            if entity.end > end:
                end = _line_end(text, entity.end)
            entity = next(entities)
        yield Document(text[start:end], [], inside)
        start = end + 1


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def write_brat(documents: Iterable[Document], path: str | Path) -> int:
    """Write a pair of files (``path`` ends in ``.txt`` or ``.ann``), a unit a line, or a folder of a pair a unit.

    Returns:
        How many documents were written.

    Raises:
        UsageError: a unit of several lines cannot be written to one pair.
    """
    path = Path(path)
    if path.suffix not in (TEXT, ANNOTATIONS):
        with replace_directory(path) as folder:
            number = 0
            for number, document in enumerate(documents, start=1):
                _write_pair([document], folder / f"{number:06d}")
        return number
    with replace_file(path.with_suffix(TEXT)) as text, replace_file(path.with_suffix(ANNOTATIONS)) as annotations:
        return _write_lines(documents, text, annotations, path)


def _write_pair(documents: Iterable[Document], base: Path) -> None:
    (document,) = documents
    base.with_suffix(TEXT).write_bytes(document.text.encode("utf-8"))
    lines = [_line(number, entity, 0) for number, entity in enumerate(document.entities, start=1)]
    base.with_suffix(ANNOTATIONS).write_bytes("".join(lines).encode("utf-8"))


def _write_lines(documents: Iterable[Document], text: Path, annotations: Path, path: Path) -> int:
    offset = n_entities = n_documents = 0
    with (
        open(text, "w", encoding="utf-8", newline="") as texts,
        open(annotations, "w", encoding="utf-8", newline="") as entities,
    ):
        for n_documents, document in enumerate(documents, start=1):
            if "\n" in document.text:
                raise UsageError(
                    f"{path}: unit {n_documents} has several lines, which a pair of files cannot tell apart; name a "
                    "folder (no .ann or .txt), which holds a pair for each unit"
                )
            texts.write(document.text + "\n")
            for entity in document.entities:
                n_entities += 1
                entities.write(_line(n_entities, entity, offset))
            offset += len(document.text) + 1
    return n_documents


def _line(number: int, entity: Entity, offset: int) -> str:
    """A T line; an entity over several lines is given in pieces, as BRAT does, and its text on one line."""
    pieces, start = [], entity.start
    for piece in entity.text.split("\n"):
        if piece:
            pieces.append(f"{start + offset} {start + offset + len(piece)}")
        start += len(piece) + 1
    return f"T{number}\t{entity.label} {';'.join(pieces)}\t{entity.text.replace(chr(10), ' ')}\n"
