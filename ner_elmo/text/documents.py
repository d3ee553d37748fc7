"""What is read and what is found: tokens with their place in the text, sentences, entities, documents.

All spans are half open and count Unicode code points of ``Document.text``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Token(NamedTuple):
    """A token: its span in the text, and its *form*, the string the model sees (``“`` may be seen as ``"``)."""

    start: int
    end: int
    form: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A named entity: ``document.text[start:end] == text``; ``score`` is its probability in 0..1, or None if it was not
    computed."""

    start: int
    end: int
    label: str
    text: str
    score: float | None


@dataclass(slots=True)
class Document:
    """A text with its sentences (lists of tokens) and the entities found in it, in order of their start.

    ``scheme`` is the tag scheme to write them in; in ``token`` each token is an entity of its own.
    """

    text: str
    sentences: list[list[Token]] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    scheme: str = "iob2"
