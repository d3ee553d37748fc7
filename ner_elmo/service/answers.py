"""What the paths answer, as ``/openapi.json`` says it; the shapes of annotation tools stand beside their paths."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """An answer that has no keys but those it names."""

    model_config = ConfigDict(extra="forbid")


class FoundEntity(Answer):
    """An entity, as in ``tag -f jsonl``."""

    start: int
    end: int
    label: str
    text: str
    score: float | None = None


class TaggedText(Answer):
    """A text and its entities; or ``error``, if it could not be tagged."""

    text: str
    entities: list[FoundEntity] | None = None
    error: str | None = None


class TaggedTexts(Answer):
    """The answers to several texts."""

    results: list[TaggedText]


class Trouble(Answer):
    """Why a request was not answered."""

    error: str


class Health(Answer):
    """Whether all models work."""

    status: str


class ModelFacts(Answer):
    """A model that is served."""

    name: str
    labels: list[str]
    colours: dict[str, int] = Field(description="the number of each label's colour on the page")
    language: str | None
    text: str | None = Field(description="how it splits a text")


class ModelList(Answer):
    """The models; the first is used where a request names none."""

    models: list[ModelFacts]
    explore: bool = Field(description="whether /explore answers")


class LabelList(Answer):
    """The labels of a model."""

    labels: list[str]


class Marked(Answer):
    """The question: the word that was marked, and what stands beside it."""

    left: str
    word: str
    right: str


class Occurrence(Marked):
    """A place in the text, how near it is, and where it stands on the map."""

    cosine: float
    x: float
    y: float


class LayerFound(Answer):
    """What is near in a layer of the biLM; ``x`` and ``y`` are the question's own place on the map."""

    layer: int
    x: float
    y: float
    variance_shown: float
    neighbours: list[Occurrence]
    map: str = Field(description="the map, as SVG")


class Form(Answer):
    """A word, and how near it is."""

    form: str
    cosine: float


class StaticFound(Answer):
    """What is near by vectors that know no context."""

    vectors: str
    neighbours: list[Form]


class Explored(Answer):
    """What stands nearest to a word in its context."""

    query: Marked
    tokens_searched: int
    layers: list[LayerFound]
    static: list[StaticFound]


def _header(words: str) -> dict[str, Any]:
    return {"description": words, "schema": {"type": "string"}}


_RETRY = {"Retry-After": _header("seconds until it is worth to come again")}
_TROUBLES: dict[int, dict[str, Any]] = {
    401: {"description": "no valid key", "headers": {"WWW-Authenticate": _header("Bearer")}},
    408: {"description": "the request came too slowly"},
    413: {"description": "the request is too long"},
    415: {"description": "it is not said to be JSON"},
    422: {"description": "the request says something that cannot be meant"},
    429: {"description": "too many requests wait", "headers": _RETRY},
    501: {"description": "a package that it needs is not installed"},
    503: {"description": "it took too long, or the server is about to end", "headers": _RETRY},
}
OF_EVERY_PATH = (401, 408, 413)  # from what stands before every request
OF_TAGGING = (415, 422, 429, 503)


def text_of(kind: str) -> dict[int | str, dict[str, Any]]:
    """What a path's documentation says of an answer that is no JSON."""
    return {200: {"content": {kind: {"schema": {"type": "string"}}}}}


def troubles(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a path's documentation says of these statuses."""
    return {status: {"model": Trouble} | _TROUBLES[status] for status in statuses}
