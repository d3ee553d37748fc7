"""What the server answers: what was asked for, and one clear line where that cannot be."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Failure
from tests.support.service import Server

TEXT = "Ann sees Rome ."


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Server]:
    server = Server([trained], max_bytes=5000, max_texts=20)
    yield server
    server.close()


def test_a_text_and_several(server: Server, trained: Path) -> None:
    (expected, other) = (document.to_dict() for document in Tagger.load(trained).tag([TEXT, "Bob waits ."]))
    assert server.post("/tag", {"text": TEXT}).json() == expected
    assert server.post("/tag", {"texts": [TEXT, "Bob waits ."]}).json() == {"results": [expected, other]}
    assert server.post("/tag", {"texts": []}).json() == {"results": []}
    assert server.post("/tag", {"text": ""}).json() == {"text": "", "entities": []}


def test_options(server: Server) -> None:
    def entities(**asked: Any) -> list[dict[str, Any]]:
        return list(server.post("/tag", {"text": TEXT} | asked).json()["entities"])

    assert [entity["label"] for entity in entities()] == ["PER", "LOC"]
    assert "score" not in entities(scores=False)[0]
    assert entities(min_score=1) == []
    assert entities(tokenized=True)[1]["text"] == "Rome"
    assert [e["start"] for e in entities(text="😀 Ann sees Rome .", offsets="utf16")][-1] == 12
    assert entities(model=server.models[0].name) == entities()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": 3}, "text: Input should be a valid string"),
        ({}, "expected either text or texts"),
        ({"text": "a", "texts": ["b"]}, "expected either text or texts"),
        ({"text": "a", "colour": "red"}, "colour: found an unknown key, expected some of text, texts, model"),
        ({"texts": ["a", None]}, "texts.1: Input should be a valid string"),
        ({"text": "a", "min_score": 2}, "min_score: Input should be less than or equal to 1"),
        ({"text": "a", "min_score": 0.5, "scores": False}, "min_score needs scores"),
        ({"text": "a", "min_score": False}, "min_score: Input should be a valid number"),
        ({"text": "a", "min_score": "0.5"}, "min_score: Input should be a valid number"),
        ({"text": "a", "offsets": "bit"}, "offsets: Input should be 'char', 'utf16' or 'byte'"),
        ({"text": "a", "model": "no"}, "model: found an unknown name, expected one of"),
        ([], "Input should be an object"),
    ],
)
def test_what_cannot_be_meant(server: Server, asked: Any, said: str) -> None:
    answer = server.post("/tag", asked)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"text": "a"', b'{"text": "\\ud800"}', b"[" * 4000, b"null"])
def test_what_is_no_json(server: Server, body: bytes) -> None:
    answer = server.post("/tag", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tag", b'{"text": "Ann", "text": "Bob"}'),
        ("/doccano", b'{"text": "Ann", "text": "Ann"}'),
        ("/label-studio/predict", b'{"tasks": [{"data": {"text": "Ann", "a": 1, "text": "Bob"}}]}'),
    ],
)
def test_a_key_that_stands_twice(server: Server, path: str, body: bytes) -> None:
    """As in files: one of the two would be lost."""
    answer = server.post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (
        422, {"error": "found an object in which 'text' stands twice; expected every key once"},
    )  # fmt: skip


def test_keys_by_the_hundred_thousand_are_looked_at_once(trained: Path) -> None:
    """Not each beside all others, which would take minutes."""
    server = Server([trained])
    body = ", ".join(f'"{number}": 1' for number in [*range(60_000), 59_999])
    tasks = '{"tasks": [{' + body + "}]}"
    answer = server.post("/label-studio/predict", content=tasks, headers={"content-type": "application/json"})
    assert (answer.status_code, "'59999' stands twice" in answer.text) == (422, True)
    server.close()


@pytest.mark.parametrize("path", ["/", "/docs", "/models", "/health", "/metrics", "/page.css", "/nothing", "/tag"])
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    get, head = server.get(path), server.talk(lambda client: client.head(path))
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path != "/metrics":  # which counts what was asked before
        assert head.headers == get.headers
    allow = server.talk(lambda client: client.delete("/health")).headers["allow"]
    assert allow == "GET, HEAD"


def test_models_of_any_name(trained: Path, tmp_path: Path) -> None:
    """The name of a folder comes from whoever made the model."""
    for name in (b"<script>alert(1)<br>", b"caf\xe9 \x1b[31m\n"):
        folder = tmp_path / os.fsdecode(name)
        shutil.copytree(trained, folder)
        server = Server([folder])
        docs, models = server.get("/docs"), server.get("/models")
        assert (docs.status_code, models.status_code) == (200, 200)
        assert "<script>alert(1)" not in docs.text
        (shown,) = (model["name"] for model in models.json()["models"])
        assert shown.isprintable()
        assert server.post("/tag", {"text": TEXT, "model": shown}).status_code == 200
        assert server.get("/metrics").status_code == 200
        server.close()


def test_limits(server: Server) -> None:
    assert server.post("/tag", {"text": "x" * 6000}).status_code == 413

    async def parts() -> Any:
        for _ in range(100):
            yield b"x" * 100

    assert server.post("/tag", content=parts(), headers={"content-type": "application/json"}).status_code == 413
    answer = server.post("/tag", {"texts": ["a"] * 21})
    assert (answer.status_code, answer.json()["error"]) == (413, "found 21 texts, expected at most 20")
    assert server.post("/tag", content=b"text=a").status_code == 415
    assert server.get("/tag").status_code == 405
    assert server.get("/nothing").json() == {"error": "no such path; GET /docs has them"}


def test_a_text_that_cannot_be_tagged(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error alone: an error repeats nothing of the text."""
    monkeypatch.setattr(Tagger, "tag_chunk", lambda self, chunk, **more: [Failure(text, "why\nmore") for text in chunk])
    answer = server.post("/tag", {"text": TEXT})
    assert (answer.status_code, answer.json()) == (422, {"error": "why"})
    answer = server.post("/tag", {"texts": [TEXT]})
    assert (answer.status_code, answer.json()) == (200, {"results": [{"text": TEXT, "error": "why"}]})
    assert server.post("/doccano", {"text": TEXT}).json() == {"error": "why"}


def test_a_document_for_programs(trained: Path) -> None:
    server = Server([trained], keys=["secret-key-1"])
    paths = server.get("/openapi.json", headers={"x-api-key": "secret-key-1"}).json()["paths"]
    assert "security" not in paths["/health"]["get"]
    assert paths["/tag"]["post"]["security"] == [{"HTTPBearer": []}]
    assert list(paths["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]
    assert all({"401", "408", "413"} <= set(one["responses"]) for path in paths.values() for one in path.values())
    server.close()


def test_a_full_queue_and_too_long_a_wait(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    goes_on = threading.Event()
    plain = Tagger.tag_chunk

    def slow(self: Tagger, chunk: Any, **more: bool) -> Any:
        assert goes_on.wait(60)
        return plain(self, chunk, **more)

    monkeypatch.setattr(Tagger, "tag_chunk", slow)
    server = Server([trained], max_queue=1, timeout=1.0, wait_ms=0.0)

    async def ask_many(client: httpx.AsyncClient) -> list[httpx.Response]:
        return list(await asyncio.gather(*(client.post("/tag", json={"text": TEXT}) for _ in range(8))))

    answers = server.talk(ask_many)
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) == {429, 503}
    assert codes.count(503) in (1, 2)
    assert all(answer.headers["retry-after"] == "1" for answer in answers)
    goes_on.set()
    assert server.post("/tag", {"text": TEXT}).status_code == 200
    server.close()
    assert server.post("/tag", {"text": TEXT}).status_code == 503


def test_many_clients_get_their_own_answers(trained: Path) -> None:
    server = Server([trained])
    names = ["Ann", "Bob", "Eve", "Rome", "Oslo"]
    texts = [f"{a} sees {b} {n} times ." for n, (a, b) in enumerate((a, b) for a in names for b in names)] * 4

    async def ask_all(client: httpx.AsyncClient) -> list[httpx.Response]:
        return list(await asyncio.gather(*(client.post("/tag", json={"text": t, "scores": False}) for t in texts)))

    answers = server.talk(ask_all)
    expected = [document.to_dict() for document in Tagger.load(trained).tag(texts, scores=False)]
    assert [answer.json() for answer in answers] == expected
    text = server.figures.as_text().decode()
    batches = next(line for line in text.splitlines() if line.startswith("ner_elmo_batch_texts_count"))
    assert float(batches.split()[1]) < len(texts)  # requests were computed together
    server.close()


def test_keys(trained: Path) -> None:
    server = Server([trained], keys=["secret-key-1", "secret-key-2"])
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong-key"}, 401),
        ({"authorization": "Bearer secret-key-2"}, 200),
        ({"x-api-key": "secret-key-1"}, 200),
        ({"authorization": "secret-key-1"}, 401),
    ):
        assert server.post("/tag", {"text": TEXT}, headers=headers).status_code == status
        assert server.get("/models", headers=headers).status_code == status
    assert server.get("/health").status_code == 200
    assert server.get("/").status_code == 200
    server.close()


def test_other_origins(trained: Path) -> None:
    closed, opened = Server([trained]), Server([trained], cors="https://a.example")
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}

    def allowed(server: Server, origin: str) -> str | None:
        answer: httpx.Response = server.talk(
            lambda client: client.options("/tag", headers=headers | {"origin": origin})
        )
        return answer.headers.get("access-control-allow-origin")

    assert allowed(closed, "https://a.example") is None
    assert allowed(opened, "https://a.example") == "https://a.example"
    assert allowed(opened, "https://b.example") is None
    closed.close()
    opened.close()


def test_facts_of_the_server(server: Server) -> None:
    assert server.get("/health").json() == {"status": "ok"}
    (model,) = server.get("/models").json()["models"]
    assert model["labels"] == server.get("/labels").json()["labels"] == ["LOC", "PER"]
    assert server.get("/labels", params={"model": "no"}).status_code == 422
    server.post("/tag", {"text": TEXT})
    figures = server.get("/metrics").text
    for name in ("requests_total", "tokens_total", "queue_requests", "request_seconds_bucket"):
        assert f"ner_elmo_{name}" in figures


def test_pages_load_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/page.js", "/page.css", "/docs", "/openapi.json"):
        answer = server.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "https://" not in answer.text
        assert "http://" not in answer.text.replace("http://127.0.0.1:8000", "")
    assert "POST /tag" in server.get("/docs").text
    assert "POST /label-studio/predict" in server.get("/docs").text


def test_the_log_has_no_text(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server([trained], access_log=True)
    server.post("/tag", {"text": TEXT})
    server.get("/Ann/Rome")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [("/tag", 200), ("other", 404)]
    assert (lines[0]["texts"], lines[0]["tokens"]) == (1, 4)
    assert "Ann" not in json.dumps(lines)
    server.close()
