"""Label Studio's ML backend, by the requests that it sends."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.service.protocols.label_studio import Names, names_in
from tests.support.service import Server

CONFIG = """
<View>
  <Labels name="ner" toName="body"><Label value="PER" background="red"/><Label value="LOC"/></Labels>
  <Text name="body" value="$letter" granularity="word"/>
</View>
"""


def test_what_it_asks(trained: Path) -> None:
    server = Server([trained])
    assert server.get("/label-studio/health").json()["status"] == "UP"
    setup = {"project": "1.1700000000", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "x"}
    version = server.post("/label-studio/setup", setup).json()["model_version"]
    assert server.get("/label-studio/versions").json() == {"versions": [version]}
    asked = {
        "tasks": [
            {"id": 1, "data": {"letter": "Ann sees 😀 Rome ."}, "annotations": [], "predictions": []},
            {"id": 2, "data": {"image": "x.png"}},
        ],
        "model_version": version,
        "project": "1.1700000000",
        "label_config": CONFIG,
        "params": {"login": None, "password": None, "context": None},
    }
    one, other = server.post("/label-studio/predict", asked).json()["results"]
    assert one["model_version"] == version
    assert [
        (r["from_name"], r["to_name"], r["type"], r["value"]["start"], r["value"]["end"], r["value"]["labels"])
        for r in one["result"]
    ] == [("ner", "body", "labels", 0, 3, ["PER"]), ("ner", "body", "labels", 12, 16, ["LOC"])]
    assert one["score"] == min(r["score"] for r in one["result"])
    assert other["result"] == []
    assert server.post("/label-studio/predict", {"tasks": []}).json() == {"results": []}
    assert server.post("/label-studio/webhook", {"action": "ANNOTATION_CREATED"}).status_code == 200
    assert server.post("/label-studio/predict", {"tasks": 3}).status_code == 422
    server.close()


def test_names_of_a_project() -> None:
    assert names_in(CONFIG) == Names("ner", "body", "letter")
    assert names_in(None) == Names("label", "text", "text")
    assert names_in('<View><Text name="t" value="$a"/><Labels name="l" toName="t"/></View>') == Names("l", "t", "a")
    assert names_in("<Labels") == Names("label", "text", "text")


def test_a_batch_of_the_tool_has_a_prediction_for_each_task(trained: Path) -> None:
    """Label Studio 1.23.2 drops a whole batch whose answers are not as many as its tasks; these are its keys."""
    more = {"meta": {}, "overlap": 1, "inner_id": 1, "total_annotations": 0, "project": 3, "file_upload": None}
    texts = ["Ann sees Rome .", "", "Line one\r\nBob sees Oslo ."]
    asked = {
        "tasks": [{"id": number, "data": {"letter": text}} | more for number, text in enumerate(texts)],
        "project": "3.1795000000",
        "label_config": CONFIG,
        "params": {"login": "", "password": "", "context": None},
    }
    server = Server([trained])
    setup = {"project": "3.1795000000", "schema": CONFIG, "hostname": "", "access_token": "x", "extra_params": None}
    assert server.post("/label-studio/setup", setup).status_code == 200
    results = server.post("/label-studio/predict", asked).json()["results"]
    assert len(results) == len(texts)
    for text, one in zip(texts, results, strict=True):
        for value in (found["value"] for found in one["result"]):
            assert text[value["start"] : value["end"]] == value["text"]
    server.close()
