"""``/explore``: what stands nearest to a marked word, over the index of a corpus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.explore.exploration import Explorer
from ner_elmo.explore.index import OccurrenceIndex
from ner_elmo.explore.opening import explorer, query_kind, word_vectors_of_tagger
from ner_elmo.explore.query import read_query
from ner_elmo.pages.explore_page import map_svg
from ner_elmo.service.answering import RETRY_AFTER, AnswerError, body_of, json_body
from ner_elmo.service.answers import OF_TAGGING, Explored, troubles
from ner_elmo.service.models import ServedModel

MOST_CHARACTERS = 2_000  # of a question
_MOST_WAITING = 16  # questions; each reads the whole index


def _whole(value: Any) -> Any:
    """4.0 as 4: to JSON both are one integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ExploreRequest(BaseModel):
    """A sentence with one word, or several in a row, between square brackets."""

    model_config = ConfigDict(extra="forbid", strict=True, title="ExploreRequest")

    text: str = Field(
        max_length=MOST_CHARACTERS,
        description="such as: He went to the [play] in London",
        json_schema_extra={"pattern": r"^[^\[\]]*\[[^\[\]]+\][^\[\]]*$"},
    )
    neighbours: Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)] = Field(
        10, description="how many to give of each"
    )


class Exploring:
    """An index and the model whose biLM made it. One question is answered at a time."""

    def __init__(self, explorer: Explorer, kind: str) -> None:
        self._explorer, self._kind = explorer, kind
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def answer(self, text: str, neighbours: int, timeout: float) -> dict[str, Any]:
        """What is near to the marked word, with a map of each layer.

        Raises:
            AnswerError: nothing is marked, too many questions wait, or it takes too long.
        """
        try:
            query = read_query(text, self._kind)
        except NerElmoError as error:
            raise AnswerError(422, f"text: {error}") from None
        if self._waiting >= _MOST_WAITING:
            raise AnswerError(429, "too many questions wait; come again", {"retry-after": RETRY_AFTER})
        self._waiting += 1
        try:
            return await asyncio.wait_for(self._in_turn(query, neighbours), timeout)
        except asyncio.TimeoutError:
            late = f"not done within {timeout:g} s; come again"
            raise AnswerError(503, late, {"retry-after": RETRY_AFTER}) from None
        finally:
            self._waiting -= 1

    async def _in_turn(self, query: Any, neighbours: int) -> dict[str, Any]:
        async with self._turn:
            found = await asyncio.to_thread(self._explorer.ask, query, neighbours)
        values = found.to_dict()
        for layer in values["layers"]:
            layer["map"] = map_svg(layer, found.word)
        return values


def open_exploring(directory: str, models: Sequence[ServedModel]) -> Exploring:
    """The index in ``directory``, with the first of ``models`` whose biLM made it.

    Raises:
        UsageError: there is no index, or none of the models' biLMs made it.
        DataError: it is damaged.
    """
    index = OccurrenceIndex(Path(directory))
    for model in models:
        elmo: Elmo | None = model.tagger.elmo
        if elmo is not None and elmo.files.sha256(elmo.files.weights) == index.info["bilm"]:
            of_tagger = word_vectors_of_tagger(elmo.path.parent)
            kind = query_kind(elmo, None)
            return Exploring(explorer(elmo, index, [] if of_tagger is None else [of_tagger]), kind)
    raise UsageError(
        f"{directory}: this index was made with the biLM of no model that is served; expected one of theirs"
    )


def add_explore(api: FastAPI, exploring: Exploring, timeout: float) -> None:
    """``POST /explore``; its page is among the fixed ones."""

    @api.post(
        "/explore",
        summary="What is near to a word in its context",
        response_model=Explored,
        responses=troubles(*OF_TAGGING),
        openapi_extra=body_of(ExploreRequest),
    )
    async def explore(request: Request) -> Response:
        """The nearest occurrences in each layer of the biLM, and the nearest words without context."""
        asked: ExploreRequest = await json_body(request, ExploreRequest)
        return JSONResponse(await exploring.answer(asked.text, asked.neighbours, timeout))
