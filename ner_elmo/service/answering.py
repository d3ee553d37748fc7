"""What every path of the server needs: the models, a request's body, an answer or the reason why there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ner_elmo.service.batching import ClosedError, QueueFullError, Results
from ner_elmo.service.figures import Figures
from ner_elmo.service.models import ServedModel
from ner_elmo.service.requests import faults_of
from ner_elmo.service.settings import ServeSettings
from ner_elmo.settings import unique_keys
from ner_elmo.tagger.tagger import Unit
from ner_elmo.text.documents import Document

RETRY_AFTER = "1"  # seconds


class AnswerError(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.headers = status, error, dict(headers or {})


class Service:
    """The models, and what is asked of them."""

    def __init__(self, models: Sequence[ServedModel], settings: ServeSettings, figures: Figures) -> None:
        self.models = {model.name: model for model in models}
        self.settings, self.figures = settings, figures

    def model(self, name: str | None) -> ServedModel:
        """The model of this name, the first by default.

        Raises:
            AnswerError: there is none.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise AnswerError(422, f"model: found an unknown name, expected one of {', '.join(self.models)}")
        return self.models[name]

    async def tag(
        self, request: Request, model: ServedModel, texts: Sequence[Unit], tokenized: bool = False, scores: bool = True
    ) -> Results:
        """What a model finds in the texts of a request.

        Raises:
            AnswerError: there are too many, the queue is full, or it takes too long.
        """
        settings = self.settings
        if len(texts) > settings.max_texts:
            raise AnswerError(413, f"found {len(texts):,} texts, expected at most {settings.max_texts:,}")
        try:
            found = await _unless_gone(request, asyncio.wait_for(model.tag(texts, tokenized, scores), settings.timeout))
        except QueueFullError:
            raise AnswerError(429, "too many requests wait; come again", {"retry-after": RETRY_AFTER}) from None
        except ClosedError:
            raise AnswerError(503, "the server is about to end", {"retry-after": RETRY_AFTER}) from None
        except asyncio.TimeoutError:
            error = f"not done within {settings.timeout:g} s; send less at once, or come again"
            raise AnswerError(503, error, {"retry-after": RETRY_AFTER}) from None
        self._count(request, model, texts, found)
        return found

    def _count(self, request: Request, model: ServedModel, texts: Sequence[Unit], found: Results) -> None:
        n_tokens = sum(len(sentence) for one in found if isinstance(one, Document) for sentence in one.sentences)
        self.figures.tokens.labels(model.name).inc(n_tokens)
        for one in found:
            if isinstance(one, Document):
                for entity in one.entities:
                    self.figures.entities.labels(model.name, entity.label).inc()
        request.scope["ner_elmo"] = {"model": model.name, "texts": len(texts), "tokens": n_tokens}


async def _unless_gone(request: Request, work: Any) -> Results:
    """What ``work`` gives, unless the client goes away before: then the work is cancelled."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise AnswerError(499, "the client has gone")
        return await task  # type: ignore[no-any-return]
    finally:
        for one in (task, gone):
            one.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def body_of(kind: type[BaseModel], service: Service | None = None) -> dict[str, Any]:
    """What a path's documentation says of the body that :func:`json_body` reads; with the names of the models."""
    schema = kind.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    if service is not None:
        schema["properties"]["model"]["enum"] = [*service.models, None]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(value: Any, kinds: Mapping[str, Any]) -> Any:
    """A schema in which nothing refers to its own ``$defs``: inside an OpenAPI, these are not where they were."""
    if isinstance(value, list):
        return [_inlined(one, kinds) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(kinds[value["$ref"].rpartition("/")[2]], kinds)
    return {key: _inlined(one, kinds) for key, one in value.items()}


async def json_body(request: Request, kind: type[Any]) -> Any:
    """The body as an object of ``kind``.

    Raises:
        AnswerError: it is not said to be JSON, or is none, or says something that cannot be meant.
    """
    said = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if said != "application/json":
        raise AnswerError(415, "expected Content-Type: application/json")
    body = await request.body()
    try:
        found = kind.model_validate_json(body)
    except ValidationError as error:
        raise AnswerError(422, faults_of(error, kind)) from None
    _require_unique_keys(body)
    return found


def _require_unique_keys(body: bytes) -> None:
    """Pydantic keeps the last of two keys of one name; whoever sent both meant something else.

    Raises:
        AnswerError: an object of valid JSON has a key twice.
    """
    try:
        json.loads(body, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise AnswerError(422, f"found an object in which {error}; expected every key once") from None
