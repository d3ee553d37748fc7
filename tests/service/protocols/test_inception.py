"""INCEpTION's external recommender, by documents as it sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.service import Server

LAYER = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
SEGMENT = "de.tudarmstadt.ukp.dkpro.core.api.segmentation.type"


def request(text: str) -> tuple[Any, dict[str, Any]]:
    """A type system, and a request for a text whose tokens are apart by blanks."""
    cassis = pytest.importorskip("cassis", reason="INCEpTION's documents need dkpro-cassis")
    types = cassis.TypeSystem()
    annotation = "uima.tcas.Annotation"
    for name in ("Token", "Sentence"):
        types.create_type(f"{SEGMENT}.{name}", annotation)
    layer = types.create_type(LAYER, annotation)
    features = {"value": "String", "value_score": "Double", "inception_internal_predicted": "Boolean"}
    for name, kind in features.items():
        types.create_feature(layer, name, f"uima.cas.{kind}")
    cas = cassis.Cas(typesystem=types)
    cas.sofa_string = text
    cas.sofa_mime = "text/plain"
    cas.add(types.get_type(f"{SEGMENT}.Sentence")(begin=0, end=len(text)))
    at = 0
    for word in text.split(" "):
        cas.add(types.get_type(f"{SEGMENT}.Token")(begin=at, end=at + len(word)))
        at += len(word) + 1
    metadata = {"layer": LAYER, "feature": "value", "projectId": 1, "anchoringMode": "tokens", "crossSentence": False}
    document = {"xmi": cas.to_xmi(), "documentId": 1, "userId": "ann"}
    return cassis, {"metadata": metadata, "document": document, "typeSystem": types.to_xml()}


def test_what_it_asks(trained: Path) -> None:
    cassis, asked = request("Ann sees 😀 Rome .")
    server = Server([trained])
    answer = server.post("/inception/predict", asked)
    assert answer.status_code == 200
    cas = cassis.load_cas_from_xmi(answer.json()["document"], typesystem=cassis.load_typesystem(asked["typeSystem"]))
    found = list(cas.select(LAYER))
    assert [(one.get_covered_text(), one.value) for one in found] == [("Ann", "PER"), ("Rome", "LOC")]
    assert all(one.inception_internal_predicted and 0 < one.value_score <= 1 for one in found)
    assert server.post("/inception/train", asked).status_code == 204
    server.close()


def test_documents_that_are_none(trained: Path) -> None:
    _, asked = request("Ann")
    server = Server([trained])
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + asked["document"]["xmi"]
    for change in (
        {"document": {"xmi": "<x"}},
        {"document": {"xmi": bomb}},
        {"typeSystem": "<x/>"},
        {"metadata": asked["metadata"] | {"layer": "no.Such"}},
        {"metadata": asked["metadata"] | {"feature": "colour"}},
    ):
        answer = server.post("/inception/predict", asked | change)
        assert (answer.status_code, "as INCEpTION sends it" in answer.json()["error"]) == (422, True)
    server.close()
