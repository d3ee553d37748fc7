"""The server's paths: what each is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Query, Request, Response, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from ner_elmo import __version__
from ner_elmo.service.answering import AnswerError, Service, body_of, json_body
from ner_elmo.service.answers import (
    OF_EVERY_PATH,
    OF_TAGGING,
    Health,
    LabelList,
    ModelList,
    TaggedText,
    TaggedTexts,
    text_of,
    troubles,
)
from ner_elmo.service.docs_page import docs_page
from ner_elmo.service.exploring import Exploring, add_explore
from ner_elmo.service.figures import Figures
from ner_elmo.service.guard import App, Guard
from ner_elmo.service.models import ServedModel
from ner_elmo.service.page import page_paths
from ner_elmo.service.protocols import add_protocols
from ner_elmo.service.requests import TagRequest
from ner_elmo.service.settings import ServeSettings
from ner_elmo.text.documents import Document, Failure
from ner_elmo.text.formats.tagged.offsets import with_offsets


def make_app(
    models: Sequence[ServedModel],
    settings: ServeSettings,
    keys: list[str],
    figures: Figures,
    exploring: Exploring | None = None,
) -> App:
    """The ASGI application of a server."""
    service = Service(models, settings, figures)
    api = FastAPI(
        title="ner-elmo",
        version=__version__,
        description="Named entities in texts.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=troubles(*OF_EVERY_PATH),
        dependencies=[Security(HTTPBearer(auto_error=False))] if keys else [],  # said there; the guard looks at them
    )
    _add_paths(api, service, exploring is not None)
    add_protocols(api, service)
    if exploring is not None:
        add_explore(api, exploring, settings.timeout)
    for path, (kind, content) in page_paths(exploring is not None).items():
        api.add_api_route(
            path,
            _fixed(kind, content),
            summary="The page that asks it",
            include_in_schema=path == "/explore",  # which is also asked otherwise
            response_class=Response,
            responses=text_of("text/html"),
        )
    if settings.origins:
        api.add_middleware(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    api.add_exception_handler(AnswerError, _answer_error)  # type: ignore[arg-type]
    api.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    api.add_exception_handler(Exception, _our_error)
    said = api.openapi()["paths"]  # made once; what needs no key says so
    for path in ("/health", "/explore"):
        said.get(path, {}).get("get", {}).pop("security", None)
    paths = {str(getattr(route, "path", "")) for route in api.routes}
    return Guard(api, settings, keys, figures, paths)


def _fixed(kind: str, content: bytes) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _answer_error(_: Request, error: AnswerError) -> JSONResponse:
    return JSONResponse({"error": error.error}, error.status, error.headers)


def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    said = {404: "no such path; GET /docs has them", 405: "this path is not asked so; see GET /docs"}
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:  # of all that stand at this path, not of the first alone
        here = [route for route in request.app.routes if getattr(route, "path", None) == request.url.path]
        allowed = {method for route in here for method in route.methods}
        headers["allow"] = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
    return JSONResponse({"error": said.get(error.status_code, str(error.detail))}, error.status_code, headers)


def _our_error(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "a fault of the server, which its log names"}, 500)


def as_object(result: Document | Failure, min_score: float = 0.0, offsets: str = "char") -> dict[str, Any]:
    """A result as ``tag -f jsonl`` writes it."""
    if isinstance(result, Failure):
        return {"text": result.text, "error": result.error.splitlines()[0]}
    if min_score:
        result.entities = [e for e in result.entities if e.score is not None and e.score >= min_score]
    return with_offsets(result, offsets).to_dict()


def _add_paths(api: FastAPI, service: Service, explores: bool) -> None:

    @api.post(
        "/tag",
        summary="Find entities",
        responses=troubles(*OF_TAGGING),
        response_model=TaggedText | TaggedTexts,
        openapi_extra=body_of(TagRequest, service),
    )
    async def tag(request: Request) -> Response:
        """Entities of ``text``, or of each of ``texts``, with their offsets and probabilities."""
        asked: TagRequest = await json_body(request, TagRequest)
        model = service.model(asked.model)
        found = await service.tag(request, model, asked.all_texts, asked.tokenized, asked.scores)
        objects = [as_object(result, asked.min_score, asked.offsets) for result in found]
        if asked.text is None:
            return JSONResponse({"results": objects})
        if "error" in objects[0]:
            raise AnswerError(422, objects[0]["error"])
        return JSONResponse(objects[0])

    @api.get(
        "/health",
        summary="Whether the server works",
        response_model=Health,
        responses={503: {"model": Health, "description": "a model has stopped"}},
    )
    async def health() -> Response:
        """200 if all models work, otherwise 503."""
        alive = all(model.is_alive for model in service.models.values())
        return JSONResponse({"status": "ok" if alive else "a model has stopped"}, 200 if alive else 503)

    @api.get("/models", summary="The models and their labels", response_model=ModelList)
    async def models() -> dict[str, Any]:
        """The first is used where a request names none."""
        return {"models": [model.facts() for model in service.models.values()], "explore": explores}

    named = Query(None, description="the name of a model", json_schema_extra={"enum": list(service.models)})

    @api.get("/labels", summary="The labels that a model gives", response_model=LabelList, responses=troubles(422))
    async def labels(model: str | None = named) -> dict[str, Any]:
        """Of the first model, or of the one that is named."""
        return {"labels": service.model(model).tagger.labels}

    @api.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses=text_of("text/plain"))
    async def metrics() -> Response:
        """Requests, tokens, entities, queue, latencies."""
        return Response(service.figures.as_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(api.openapi()), media_type="text/html; charset=utf-8")
