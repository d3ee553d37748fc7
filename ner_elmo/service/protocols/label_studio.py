"""Label Studio's ML backend: ``/label-studio/health``, ``/setup``, ``/versions``, ``/predict`` and ``/webhook``.

Label Studio sends tasks with their ``data`` and the project's ``label_config``, which names the two tags that a result
belongs to (``from_name``, ``to_name``) and the key of the text; it is given, for each task, a prediction with results
as it stores them itself. Browsers count in UTF-16, and so do its offsets.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ner_elmo import __version__
from ner_elmo.service.answering import Service, body_of, json_body
from ner_elmo.service.answers import OF_TAGGING, Answer, troubles
from ner_elmo.text.documents import Document, Failure
from ner_elmo.text.formats.tagged.offsets import with_offsets

# Attributes are read by their look: a project's configuration is no file of ours, and a reader of XML would follow
# whatever entities it defines.
_TAG = re.compile(r"<\s*(Labels|Text|HyperText)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class Names(NamedTuple):
    """What a project calls the tag of its labels, the tag of its text, and the key that the text stands under."""

    labels: str = "label"
    text: str = "text"
    key: str = "text"


class PredictRequest(BaseModel):
    """Tasks that are to be marked."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[dict[str, Any]] = Field(description="tasks of Label Studio, each with its data")
    label_config: str | None = Field(None, description="the project's labelling interface")


class Up(Answer):
    """The backend works."""

    status: str
    model_class: str


class Version(Answer):
    """The model's version."""

    model_version: str


class Versions(Answer):
    """The versions that can be chosen: one."""

    versions: list[str]


class Nothing(Answer):
    """Nothing is done with what was sent."""


class Span(Answer):
    """Where an entity stands, in units of UTF-16."""

    start: int
    end: int
    text: str
    labels: list[str]


class Result(Answer):
    """An entity."""

    from_name: str
    to_name: str
    type: str
    value: Span
    score: float


class Prediction(Answer):
    """A task's entities."""

    result: list[Result]
    score: float
    model_version: str


class Predictions(Answer):
    """A prediction for each task."""

    results: list[Prediction]


def names_in(config: str | None) -> Names:
    """The names in a project's configuration; those of Label Studio's own template where it says nothing."""
    labels: dict[str, str] = {}
    texts: dict[str, dict[str, str]] = {}
    for tag, attributes in _TAG.findall(config or ""):
        found = {name: double or single for name, double, single in _ATTRIBUTE.findall(attributes)}
        if tag == "Labels" and not labels:
            labels = found
        elif tag != "Labels" and "name" in found:
            texts[found["name"]] = found
    to = labels.get("toName") or next(iter(texts), "text")
    key = texts.get(to, {}).get("value", "$text").lstrip("$")
    return Names(labels.get("name", "label"), to, key)


def prediction(found: Document | Failure, names: Names, version: str) -> dict[str, Any]:
    """What Label Studio stores of a task."""
    if isinstance(found, Failure):
        return {"result": [], "score": 0.0, "model_version": version}
    results: list[dict[str, Any]] = [
        {
            "from_name": names.labels,
            "to_name": names.text,
            "type": "labels",
            "value": {"start": e.start, "end": e.end, "text": e.text, "labels": [e.label]},
            "score": round(float(e.score or 0.0), 4),
        }
        for e in with_offsets(found, "utf16").entities
    ]
    return {"result": results, "score": min((r["score"] for r in results), default=1.0), "model_version": version}


def add_paths(api: FastAPI, service: Service) -> None:
    """All paths below ``/label-studio``."""

    def version() -> str:
        return f"{service.model(None).name} ({__version__})"

    @api.get("/label-studio/health", summary="Label Studio asks whether the backend works", response_model=Up)
    @api.get("/label-studio", include_in_schema=False)
    async def health() -> dict[str, Any]:
        """Always UP."""
        return {"status": "UP", "model_class": "ner-elmo"}

    @api.post("/label-studio/setup", summary="Label Studio names a project", response_model=Version)
    async def setup() -> dict[str, Any]:
        """The version of the model; nothing is kept of the project."""
        return {"model_version": version()}

    @api.get("/label-studio/versions", summary="Label Studio asks which versions there are", response_model=Versions)
    async def versions() -> dict[str, Any]:
        """The one that :func:`setup` names."""
        return {"versions": [version()]}

    @api.post("/label-studio/webhook", summary="Label Studio tells of annotations", response_model=Nothing)
    async def webhook() -> dict[str, Any]:
        """Nothing is learned from them: train a tagger on an export."""
        return {}

    @api.post(
        "/label-studio/predict",
        summary="Label Studio's predictions",
        response_model=Predictions,
        responses=troubles(*OF_TAGGING),
        openapi_extra=body_of(PredictRequest),
    )
    async def predict(request: Request) -> Response:
        """A prediction for each task."""
        asked: PredictRequest = await json_body(request, PredictRequest)
        names = names_in(asked.label_config)
        texts = [_text_of(task, names.key) for task in asked.tasks]
        found = await service.tag(request, service.model(None), texts) if texts else []
        return JSONResponse({"results": [prediction(one, names, version()) for one in found]})


def _text_of(task: dict[str, Any], key: str) -> str:
    """The text of a task; nothing where it has none, such as one of an image."""
    data = task.get("data")
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""
