"""Offsets of entities counted in other units than code points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ner_elmo.text.documents import Document

# Units that offsets can be counted in, and how many of them a text has.
OFFSETS: dict[str, Callable[[str], int]] = {
    "char": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "byte": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def with_offsets(document: Document, unit: str) -> Document:
    """The same document with its entities' offsets counted in Unicode code points (``char``), in the units of UTF-16
    as JavaScript and Java count (``utf16``), or in bytes of UTF-8 (``byte``)."""
    if unit == "char":
        return document
    length = OFFSETS[unit]
    entities, at, before = [], 0, 0  # `before`: units in text[:at]; entities are in order
    for entity in document.entities:
        start = before + length(document.text[at : entity.start])
        end = start + length(entity.text)
        entities.append(replace(entity, start=start, end=end))
        at, before = entity.end, end
    return replace(document, entities=entities)
