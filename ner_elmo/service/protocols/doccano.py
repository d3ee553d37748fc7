"""doccano's auto-labelling by a custom REST request: ``POST /doccano`` with ``{"text": …}``.

The answer is a list of objects with ``label``, ``start_offset`` and ``end_offset``, in code points as doccano counts;
doccano's mapping template passes it on as it is (docs/serve.md).
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ner_elmo.service.answering import AnswerError, Service, body_of, json_body
from ner_elmo.service.answers import OF_TAGGING, Answer, troubles
from ner_elmo.text.documents import Document


class DoccanoRequest(BaseModel):
    """A text of doccano."""

    model_config = ConfigDict(extra="ignore", strict=True)

    text: str = Field(description="the text, in doccano's template {{ text }}")
    model: str | None = Field(None, description="the name of a model; the first by default")


class DoccanoLabel(Answer):
    """An entity."""

    label: str
    start_offset: int
    end_offset: int


def add_paths(api: FastAPI, service: Service) -> None:
    """``POST /doccano``."""

    @api.post(
        "/doccano",
        summary="doccano's auto-labelling",
        response_model=list[DoccanoLabel],
        responses=troubles(*OF_TAGGING),
        openapi_extra=body_of(DoccanoRequest, service),
    )
    async def doccano(request: Request) -> Response:
        """A list of label, start_offset and end_offset."""
        asked: DoccanoRequest = await json_body(request, DoccanoRequest)
        (found,) = await service.tag(request, service.model(asked.model), [asked.text], scores=False)
        if not isinstance(found, Document):
            raise AnswerError(422, found.error.splitlines()[0])
        return JSONResponse([_label(entity) for entity in found.entities])


def _label(entity: Any) -> dict[str, Any]:
    return {"label": entity.label, "start_offset": entity.start, "end_offset": entity.end}
