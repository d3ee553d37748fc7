"""``/explore``: a question over an index, and one clear line where there is no answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.service.exploring import open_exploring
from tests.support.explored import write_index
from tests.support.service import Server


@pytest.fixture(scope="module")
def explored(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_index(trained, tmp_path_factory.mktemp("explored") / "index").directory


@pytest.fixture(scope="module")
def server(trained: Path, explored: Path) -> Iterator[Server]:
    server = Server([trained], explore=str(explored))
    yield server
    server.close()


def test_a_question(server: Server) -> None:
    answer = server.post("/explore", {"text": "Ann [sees] Rome .", "neighbours": 4})
    assert answer.status_code == 200
    found = answer.json()
    assert found["query"] == {"left": "Ann", "word": "sees", "right": "Rome ."}
    assert [len(layer["neighbours"]) for layer in found["layers"]] == [4, 4]
    assert all(layer["map"].startswith("<svg") for layer in found["layers"])
    assert len(found["static"]) == 2  # the token layer, and the tagger's vectors
    assert server.get("/models").json()["explore"] is True
    assert "/explore" in server.get("/openapi.json").json()["paths"]
    assert server.get("/explore").headers["content-type"].startswith("text/html")
    assert server.get("/explore.js").status_code == 200


def test_all_ways_to_ask_are_named_and_a_whole_number_is_one(server: Server) -> None:
    assert server.talk(lambda client: client.delete("/explore")).headers["allow"] == "GET, HEAD, POST"
    assert server.post("/explore", {"text": "Ann [sees] Rome .", "neighbours": 4.0}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": "nothing marked"}, "text: found no word between"),
        ({"text": "[a]", "neighbours": 0}, "neighbours: Input should be greater than or equal to 1"),
        ({"text": "[a]", "colour": 1}, "colour: found an unknown key, expected some of text, neighbours"),
        ({"text": "[a]" + "b" * 3000}, "text: String should have at most 2000 characters"),
        ({}, "text: Field required"),
    ],
)
def test_what_cannot_be_meant(server: Server, asked: Any, said: str) -> None:
    answer = server.post("/explore", asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_too_many_and_too_slow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ner_elmo.service.exploring._MOST_WAITING", 0)
    assert server.post("/explore", {"text": "[Ann] sees"}).status_code == 429
    monkeypatch.undo()
    monkeypatch.setattr("ner_elmo.explore.exploration.Explorer.ask", lambda *_: __import__("time").sleep(1))
    slow = Server(
        [Path(server.models[0].tagger.bilm_folder or "").parent], explore=server.settings.explore, timeout=0.1
    )
    answer = slow.post("/explore", {"text": "[Ann] sees"})
    slow.close()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_key_is_needed_for_answers_and_not_for_the_page(trained: Path, explored: Path) -> None:
    server = Server([trained], keys=["secret-secret"], explore=str(explored))
    assert server.get("/explore").status_code == 200
    assert server.post("/explore", {"text": "[Ann] sees"}).status_code == 401
    answer = server.post("/explore", {"text": "[Ann] sees"}, headers={"authorization": "Bearer secret-secret"})
    server.close()
    assert answer.status_code == 200


def test_without_an_index_there_is_no_such_path(trained: Path) -> None:
    server = Server([trained])
    assert server.get("/explore").status_code == server.post("/explore", {"text": "[a]"}).status_code == 404
    assert server.get("/models").json()["explore"] is False
    server.close()


def test_the_index_of_another_bilm_is_refused(server: Server, explored: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="biLM of no model"):
        open_exploring(str(explored), [])
    with pytest.raises(UsageError, match="no index"):
        open_exploring(str(tmp_path), server.models)
