"""How tagged documents are written: one small function for each format."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import IO

from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.formats.conll import write_conll
from ner_elmo.text.tag_scheme import Span

_WHITE_SPACE = re.compile(r"\s+")


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
    entities = [
        {"start": entity.start, "end": entity.end, "label": entity.label, "text": entity.text}
        | ({} if entity.score is None else {"score": round(float(entity.score), 4)})
        for entity in document.entities
    ]
    stream.write(json.dumps({"text": document.text, "entities": entities}, ensure_ascii=False) + "\n")


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


FORMATS: dict[str, Callable[[Document, IO[str]], None]] = {
    "text": write_text,
    "conll": write_conll_document,
    "jsonl": write_jsonl,
}
