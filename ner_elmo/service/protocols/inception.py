"""INCEpTION's external recommender: ``POST /inception/predict`` with a document as UIMA CAS (XMI).

The document's own sentences and tokens are tagged, so that every suggestion begins and ends with a token, and come back
as annotations of the layer and feature that the request names, marked as predicted and with their probabilities. It
needs dkpro-cassis (the extra ``inception``).
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ner_elmo.service.answering import AnswerError, Service, body_of, json_body
from ner_elmo.service.answers import OF_TAGGING, Answer, troubles
from ner_elmo.text.documents import Document

_SENTENCE = "de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Sentence"
_TOKEN = "de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token"
_PREDICTED = "inception_internal_predicted"


class Metadata(BaseModel):
    """Which annotations are asked for."""

    model_config = ConfigDict(extra="ignore")

    layer: str = Field(description="the layer's type, such as de...NamedEntity")
    feature: str = Field(description="the feature that holds the label, such as value")


class CasDocument(BaseModel):
    """A document."""

    model_config = ConfigDict(extra="ignore")

    xmi: str


class PredictRequest(BaseModel):
    """A document that is to be marked."""

    model_config = ConfigDict(extra="ignore")

    metadata: Metadata
    document: CasDocument
    typeSystem: str = Field(description="the type system, as XML")  # noqa: N815 - INCEpTION's own name


class Predicted(Answer):
    """The document with suggestions."""

    document: str


def add_paths(api: FastAPI, service: Service) -> None:
    """``/inception/predict`` and ``/inception/train``."""

    @api.post(
        "/inception/predict",
        summary="INCEpTION's external recommender",
        response_model=Predicted,
        responses=troubles(*OF_TAGGING, 501),
        openapi_extra=body_of(PredictRequest),
    )
    async def predict(request: Request) -> Response:
        """The document with suggestions."""
        asked: PredictRequest = await json_body(request, PredictRequest)
        try:
            cas = _read(asked)
        except ImportError:
            raise AnswerError(501, "needs the dkpro-cassis package; try: pip install 'ner-elmo[inception]'") from None
        except Exception as error:  # of the XML, or of what stands in it
            raise AnswerError(422, f"found no document as INCEpTION sends it ({type(error).__name__})") from None
        sentences = _sentences(cas)
        forms = [[token.get_covered_text() for token in tokens] for tokens in sentences]
        found = await service.tag(request, service.model(None), forms) if forms else []
        for tokens, one in zip(sentences, found, strict=True):
            if isinstance(one, Document):
                _add(cas, asked.metadata, tokens, one)
        return JSONResponse({"document": cas.to_xmi()})

    @api.post("/inception/train", summary="INCEpTION sends annotations", status_code=204)
    async def train() -> Response:
        """Nothing is learned from them: train a tagger on an export."""
        return Response(status_code=204)


def _read(asked: PredictRequest) -> Any:
    """The CAS of a request.

    Raises:
        ImportError: dkpro-cassis is not installed.
        ValueError: the XML defines entities, which nothing of INCEpTION's does.
    """
    import cassis

    for xml in (asked.typeSystem, asked.document.xmi):
        if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
            raise ValueError("entities")
    types = cassis.load_typesystem(asked.typeSystem)
    layer = types.get_type(asked.metadata.layer)
    known = {feature.name for feature in layer.all_features}
    if asked.metadata.feature not in known:
        raise ValueError("feature")
    return cassis.load_cas_from_xmi(asked.document.xmi, typesystem=types)


def _sentences(cas: Any) -> list[list[Any]]:
    """The tokens of each sentence; all of them where the document has no sentences."""
    sentences = list(cas.select(_SENTENCE))
    if not sentences:
        tokens = list(cas.select(_TOKEN))
        return [tokens] if tokens else []
    found = [list(cas.select_covered(_TOKEN, sentence)) for sentence in sentences]
    return [tokens for tokens in found if tokens]


def _add(cas: Any, metadata: Metadata, tokens: list[Any], found: Document) -> None:
    """Add what was found in a sentence to the document."""
    layer = cas.typesystem.get_type(metadata.layer)
    known = {feature.name for feature in layer.all_features}
    (places,) = found.sentences or [[]]
    starts = {place.start: number for number, place in enumerate(places)}
    ends = {place.end: number for number, place in enumerate(places)}
    for entity in found.entities:
        features: dict[str, Any] = {metadata.feature: entity.label}
        features |= {_PREDICTED: True} if _PREDICTED in known else {}
        score = f"{metadata.feature}_score"
        features |= {score: round(float(entity.score or 0.0), 4)} if score in known else {}
        begin, end = tokens[starts[entity.start]].begin, tokens[ends[entity.end]].end
        cas.add(layer(begin=begin, end=end, **features))
