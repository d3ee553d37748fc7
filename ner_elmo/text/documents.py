"""What is read and what is found: tokens with their place in the text, sentences, entities, documents.

All spans are half open and count Unicode code points of ``Document.text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a text stood.

    Attributes:
        file: the name of its file.
        line: the number of its first line, or of its row or object, from 1.
        identifier: its name in the file, if it has one.
        keys: what else its object or row holds, to be passed through.
    """

    file: str
    line: int
    identifier: str | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A text, and where it stood."""

    text: str
    origin: Origin

    def __len__(self) -> int:
        """Its characters."""
        return len(self.text)


@dataclass(slots=True)
class Document:
    """A text with its sentences (lists of tokens) and the entities found in it, in order of their start.

    ``scheme`` is the tag scheme to write them in; in ``token`` each token is an entity of its own. ``origin`` says
    where the text stood, if that is known.
    """

    text: str
    sentences: list[list[Token]] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    scheme: str = "iob2"
    origin: Origin | None = None


@dataclass(frozen=True)
class Failure:
    """A text that could not be tagged, and why."""

    text: str
    error: str
    origin: Origin | None = None

    def __len__(self) -> int:
        """Its characters."""
        return len(self.text)
