"""How tagged documents are written: a small function for each format that only tag writes, and its settings.

Formats of other tools stand in :mod:`~ner_elmo.text.formats.targets`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, Any

from ner_elmo.errors import DataError
from ner_elmo.settings import check, setting
from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Document, Entity, Failure, Origin, Token
from ner_elmo.text.formats.conll import write_conll
from ner_elmo.text.formats.jsonl import dumped
from ner_elmo.text.tag_scheme import Span

OUTPUT = "Output"  # the panel of --help
_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Writing:
    """How what was found is written.

    Raises:
        SettingError: a value that cannot be meant.
    """

    format: str = setting(
        "text",
        help="text, conll, jsonl; for correction in other tools: brat, doccano, label-studio, prodigy, webanno, "
        "conllu, hf, docbin, parquet",
        short="-f",
        metavar="NAME",
        panel=OUTPUT,
    )
    min_score: float = setting(
        0.0, help="leave out entities less probable than this", at_least=0.0, at_most=1.0, panel=OUTPUT
    )
    offsets: str = setting(
        "char",
        help="what -f jsonl counts in: char (code points), utf16 or byte",
        choices=("char", "utf16", "byte"),
        panel=OUTPUT,
    )

    def __post_init__(self) -> None:
        check(self)


Writer = Callable[[Iterable[Document], IO[str], Writing], None]


def write_text(document: Document, stream: IO[str]) -> None:
    """The text with its entities in brackets, for people: ``[Angela Merkel PER] visited [Siemens ORG] .``"""
    text, done = document.text, 0
    for entity in document.entities:
        stream.write(f"{text[done : entity.start]}[{entity.text} {entity.label}]")
        done = entity.end
    stream.write(f"{text[done:]}\n")


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
    stream.write(
        dumped(with_keys({"text": document.text, "entities": as_dicts(document.entities)}, document.origin)) + "\n"
    )


def write_failure(failure: Failure, stream: IO[str]) -> None:
    """A text that could not be tagged, as an object of JSONL."""
    stream.write(dumped(with_keys({"text": failure.text, "error": failure.error}, failure.origin)) + "\n")


def as_dicts(entities: Sequence[Entity]) -> list[dict[str, Any]]:
    """Entities as JSON has them."""
    return [
        {"start": entity.start, "end": entity.end, "label": entity.label, "text": entity.text}
        | ({} if entity.score is None else {"score": round(float(entity.score), 4)})
        for entity in entities
    ]


# What an object says that is not passed through, and so may not stand among what is.
OWN_KEYS = ("text", "entities", "error", "file", "line")


def with_keys(value: dict[str, Any], origin: Origin | None) -> dict[str, Any]:
    """An object with where its text stood, and with what stood beside it."""
    if origin is None:
        return value
    return value | {"file": origin.file, "line": origin.line} | dict(origin.keys)


def refuse_clash(origin: Origin) -> None:
    """Make sure that what is passed through does not hide what was found.

    Raises:
        DataError: a key is one of our own; the message names it.
    """
    for key in OWN_KEYS:
        if key in origin.keys:
            raise DataError(
                f"{origin.file}:{origin.line}: found a key {key!r}, which the output has for itself; rename it, or "
                "drop it"
            )


# Units that offsets can be counted in, and how many of them a text has.
OFFSETS: dict[str, Callable[[str], int]] = {
    "char": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "byte": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def with_offsets(document: Document, unit: str) -> Document:
    """The same document with its entities' offsets counted in Unicode code points (``char``), in the units of UTF-16
    as JavaScript and Java count (``utf16``), or in bytes of UTF-8 (``byte``)."""
    length = OFFSETS[unit]
    entities, at, before = [], 0, 0  # `before`: units in text[:at]; entities are in order
    for entity in document.entities:
        start = before + length(document.text[at : entity.start])
        end = start + length(entity.text)
        entities.append(replace(entity, start=start, end=end))
        at, before = entity.end, end
    return replace(document, entities=entities)


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
            write_jsonl(document if writing.offsets == "char" else with_offsets(document, writing.offsets), stream)


FORMATS: dict[str, Writer] = {
    "text": _each(write_text),
    "conll": _each(write_conll_document),
    "jsonl": _write_all_jsonl,
}
HAVE_FAILURES = ("jsonl",)  # formats that have a place for a text that could not be tagged
HAVE_KEYS = ("jsonl",)  # formats that pass through what stood beside a text
# What the names of files end in, where each input has one of its own.
ENDINGS = {"text": ".tagged.txt", "conll": ".conll", "jsonl": ".jsonl"}
