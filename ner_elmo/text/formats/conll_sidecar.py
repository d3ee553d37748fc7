"""What CoNLL columns have no place for, in a file beside them: ``X.units.jsonl`` beside ``X``.

Raw text that is written as CoNLL loses the text between its tokens, scores and further keys. Each line of the file
beside it is ``[unit, tokens, spans]``: a unit as it was (an object as in JSONL), ``[[start, end], …]`` of the tokens of
each of its sentences, and ``[start, end]`` of the tokens of each of its entities. Read back with it, the columns decide
what the entities are; one that is still there keeps its score and further keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError
from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Token
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats.conll import ConllFile, TaggedSentence
from ner_elmo.text.formats.conll_tags import TagCheck
from ner_elmo.text.formats.jsonl import Unit, checked, dumped, is_failed
from ner_elmo.text.tag_scheme import Span

SUFFIX = ".units.jsonl"


def sidecar_of(path: str | Path) -> Path:
    """The file beside a CoNLL file."""
    path = Path(path)
    return path.with_name(path.name + SUFFIX)


class Sidecar:
    """Collects units while their columns are written. ``is_needed`` once something has no place in these."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.is_needed = False

    def add(self, value: dict[str, Any], sentences: Sequence[tuple[Sequence[Token], Sequence[Span]]]) -> None:
        """One unit, and its sentences: the tokens that it was given, and its entities in them."""
        placed = [[[token.start, token.end] for token in tokens] for tokens, _ in sentences if tokens]
        spans = [[tokens[span.start].start, tokens[span.end - 1].end] for tokens, found in sentences for span in found]
        self._stream.write(dumped([value, placed, spans]) + "\n")


@contextmanager
def beside(path: str | Path) -> Iterator[Sidecar]:
    """Write the file beside ``path`` if it turns out to be needed; otherwise there is none afterwards."""
    final = sidecar_of(path)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            sidecar = Sidecar(stream)
            yield sidecar
        if sidecar.is_needed:
            temporary.replace(final)
        else:
            final.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)


def read_units(file: ConllFile, path: Path) -> Iterator[Unit]:
    """The units of a CoNLL file and of the file beside it.

    Raises:
        DataError: the two do not fit one another; otherwise as :meth:`ConllFile.sentences`.
    """
    tags = TagCheck(file)
    sentences = iter(file.sentences())
    for number, line in enumerate(read_lines(path), start=1):
        value, tokens, spans = _record(path, number, line)
        if is_failed(value):
            yield Unit(path.name, number, checked(path.name, number, value))
            continue
        entities: list[dict[str, Any]] = []
        for placed in tokens:
            sentence = next(sentences, None)
            _require_same(sentence, [value["text"][start:end] for start, end in placed], file, path, number)
            assert sentence is not None
            tags.check(sentence)
            entities += [
                {"start": placed[span.start][0], "end": placed[span.end - 1][1], "label": span.label}
                for span in tag_scheme.read_tags(sentence.tags, tags.scheme)
            ]
        yield Unit(
            path.name, number, checked(path.name, number, {**value, "entities": _with_keys(entities, value, spans)})
        )
    if (more := next(sentences, None)) is not None:
        raise DataError(f"{file.name}:{more.line}: found a sentence that {path} has not; {_ADVICE}")


_ADVICE = "expected the tokens as they were written (remove that file to convert what the columns say alone)"


def _record(path: Path, number: int, line: str) -> tuple[dict[str, Any], list[list[list[int]]], list[list[int]]]:
    try:
        value, tokens, spans = json.loads(line)
        length = len(value["text"])
        sound = is_failed(value) or len(value["entities"]) == len([(start, end) for start, end in spans])
        sound = sound and all(0 <= start < end <= length for placed in tokens for start, end in placed)
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise DataError(
            f"{path}:{number}: found another line than convert writes; remove the file to convert without it"
        )
    return value, tokens, spans


def _require_same(
    sentence: TaggedSentence | None, expected: Sequence[str], file: ConllFile, path: Path, number: int
) -> None:
    if sentence is None:
        raise DataError(f"{file.name}: found fewer sentences than {path}:{number}; {_ADVICE}")
    if list(map(_fitting, sentence.tokens)) != list(map(_fitting, expected)):
        found = " ".join(sentence.tokens)[:60]
        raise DataError(
            f"{file.name}:{sentence.line}: found {found!r}, but {path}:{number} has other tokens; {_ADVICE}"
        )


def _fitting(token: str) -> str:
    """What columns keep of a token whatever their separators: all but blanks, and ``_`` in their place."""
    return "".join(token.replace("_", " ").split())


def _with_keys(entities: list[dict[str, Any]], value: dict[str, Any], spans: list[list[int]]) -> list[dict[str, Any]]:
    """The entities of the columns, each as the unit had it, if it had it."""
    before = {(*span, one["label"]): one for span, one in zip(spans, value["entities"], strict=True)}
    return [before.get((one["start"], one["end"], one["label"]), one) for one in entities]
