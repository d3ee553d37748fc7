"""doccano's auto-labelling, by the request and the template that docs/serve.md gives."""

from __future__ import annotations

from pathlib import Path

from tests.support.service import Server


def test_what_it_asks(trained: Path) -> None:
    server = Server([trained])
    answer = server.post("/doccano", {"text": "Ann sees 😀 Rome ."})
    assert answer.json() == [
        {"label": "PER", "start_offset": 0, "end_offset": 3},
        {"label": "LOC", "start_offset": 11, "end_offset": 15},
    ]
    assert server.post("/doccano", {"text": ""}).json() == []
    assert server.post("/doccano", {"body": "Ann"}).status_code == 422
    server.close()
