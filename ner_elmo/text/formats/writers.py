"""How tagged documents are written: a line for each format that only tag writes, and the small ones of them.

Larger ones stand in :mod:`~ner_elmo.text.formats.tagged`, formats of other tools in
:mod:`~ner_elmo.text.formats.targets`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO

from ner_elmo.errors import DataError
from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Document, Entity, Failure, Origin, Token, with_keys
from ner_elmo.text.files import shown_name
from ner_elmo.text.formats.conll import write_conll
from ner_elmo.text.formats.jsonl import dumped
from ner_elmo.text.formats.tagged.marked_text import write_text
from ner_elmo.text.formats.tagged.offsets import OFFSETS as OFFSETS
from ner_elmo.text.formats.tagged.offsets import with_offsets as with_offsets
from ner_elmo.text.formats.tagged.page import write_html
from ner_elmo.text.formats.tagged.redaction import redacted_run, write_redacted
from ner_elmo.text.formats.tagged.table import table_writer
from ner_elmo.text.formats.tagged.writing import OUTPUT as OUTPUT
from ner_elmo.text.formats.tagged.writing import RunWriter
from ner_elmo.text.formats.tagged.writing import Writer as Writer
from ner_elmo.text.formats.tagged.writing import Writing as Writing
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.terminal import safe_stream

_WHITE_SPACE = re.compile(r"\s+")


def write_conll_document(document: Document, stream: IO[str]) -> None:
    """``token<TAB>tag`` lines in IOB2 (or as the document's scheme says), a blank line after each sentence; white space
    within a token becomes ``_``."""
    write_conll(
        (
            (
                [_WHITE_SPACE.sub("_", document.text[token.start : token.end]) for token in sentence],
                tag_scheme.tags(token_spans(sentence, document.entities), len(sentence), document.scheme),
            )
            for sentence in document.sentences
        ),
        stream,
    )


def token_spans(tokens: Sequence[Token], entities: Sequence[Entity]) -> list[Span]:
    """The entities as spans over ``tokens``: each takes the tokens it touches, but none that an earlier one has.

    ``entities`` are in order and do not overlap; those that touch no token are left out.
    """
    spans: list[Span] = []
    if not tokens:
        return spans
    next_token = 0
    first = bisect_right(entities, tokens[0].start, key=lambda entity: entity.end)
    for entity in islice(entities, first, None):
        if entity.start >= tokens[-1].end:
            break
        while next_token < len(tokens) and tokens[next_token].end <= entity.start:
            next_token += 1
        start = next_token
        while next_token < len(tokens) and tokens[next_token].start < entity.end:
            next_token += 1
        if start < next_token:
            spans.append(Span(start, next_token, entity.label))
    return spans


def write_jsonl(document: Document, stream: IO[str]) -> None:
    """One JSON object on a line: the text and its entities; scores, if there are any, have four decimals."""
    stream.write(dumped(document.to_dict()) + "\n")


def write_failure(failure: Failure, stream: IO[str]) -> None:
    """A text that could not be tagged, as an object of JSONL."""
    stream.write(dumped(with_keys({"text": failure.text, "error": failure.error}, failure.origin)) + "\n")


# What an object says that is not passed through, and so may not stand among what is.
OWN_KEYS = ("text", "entities", "error", "file", "line")


def refuse_clash(origin: Origin) -> None:
    """Make sure that what is passed through does not hide what was found.

    Raises:
        DataError: a key is one of our own; the message names it.
    """
    for key in OWN_KEYS:
        if key in origin.keys:
            raise DataError(
                f"{shown_name(origin.file)}:{origin.line}: found a key {key!r}, which the output has for itself; "
                "rename it, or drop it"
            )


def _each(write: Callable[[Document, IO[str]], None]) -> Writer:
    def write_all(documents: Iterable[Document], stream: IO[str], _: Writing) -> None:
        for document in documents:
            write(document, stream)

    return write_all


def _write_all_jsonl(documents: Iterable[Document | Failure], stream: IO[str], writing: Writing) -> None:
    for document in documents:
        if isinstance(document, Failure):
            write_failure(document, stream)
        else:
            write_jsonl(with_offsets(document, writing.offsets), stream)


FORMATS: dict[str, Writer] = {
    "text": write_text,
    "conll": _each(write_conll_document),
    "jsonl": _write_all_jsonl,
    "csv": table_writer(","),
    "tsv": table_writer("\t"),
    "html": write_html,
    "redacted": write_redacted,
}


@contextmanager
def run_writer(writing: Writing) -> Iterator[RunWriter]:
    """What writes the outputs of a run, one after the other, in the format that was chosen of :data:`FORMATS`.

    Raises:
        UsageError, CannotWriteError: a file beside the outputs is there already, or cannot be written.
    """
    if writing.format == "redacted":
        with redacted_run(writing) as write:
            yield lambda documents, stream: write(documents, safe_stream(stream))
    elif writing.format == "text":  # which is safe by itself, and has colours
        yield lambda documents, stream: write_text(documents, stream, writing)
    else:
        yield lambda documents, stream: FORMATS[writing.format](documents, safe_stream(stream), writing)


HAVE_FAILURES = ("jsonl",)  # formats that have a place for a text that could not be tagged
HAVE_KEYS = ("jsonl",)  # formats that pass through what stood beside a text
# What the names of files end in, where each input has one of its own.
ENDINGS = {
    "text": ".tagged.txt",
    "conll": ".conll",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "tsv": ".tsv",
    "html": ".html",
    "redacted": ".redacted.txt",
}
