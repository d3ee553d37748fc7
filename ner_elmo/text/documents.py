"""What is read and what is found: tokens with their place in the text, sentences, entities, documents.

All spans are half open and count Unicode code points of ``Document.text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ner_elmo.pages.fragment import fragment
from ner_elmo.pages.tagged_page import whole_page


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

    def to_dict(self) -> dict[str, Any]:
        """The entity as JSON has it; a score, if there is one, has four decimals."""
        value: dict[str, Any] = {"start": self.start, "end": self.end, "label": self.label, "text": self.text}
        return value if self.score is None else value | {"score": round(float(self.score), 4)}


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

    def to_dict(self) -> dict[str, Any]:
        """The object of ``tag -f jsonl``: the text, its entities, and where it stood."""
        return with_keys({"text": self.text, "entities": [e.to_dict() for e in self.entities]}, self.origin)

    def to_html(self, title: str = "Tagged text") -> str:
        """The page of ``tag -f html`` with this text alone: one HTML file that needs nothing else."""
        return whole_page(self.text, self.entities, title)

    def _repr_html_(self) -> str:
        """The text with its entities marked, as notebooks show it; of a long one the beginning."""
        return fragment(self.text, self.entities)


@dataclass(frozen=True)
class Failure:
    """A text that could not be tagged, and why."""

    text: str
    error: str
    origin: Origin | None = None

    def __len__(self) -> int:
        """Its characters."""
        return len(self.text)


def with_keys(value: dict[str, Any], origin: Origin | None) -> dict[str, Any]:
    """An object with where its text stood, and with what stood beside it."""
    if origin is None:
        return value
    return value | {"file": origin.file, "line": origin.line} | dict(origin.keys)
