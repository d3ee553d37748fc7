"""doccano's auto-labelling, by the request and the template that docs/serve.md gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

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


def test_the_template_of_the_documentation(trained: Path, repository: Path) -> None:
    """It is rendered as doccano's auto-labeling-pipeline 0.1.23 does: by Jinja, with the answer as ``input``."""
    jinja2 = pytest.importorskip("jinja2")
    guide = (repository / "docs" / "serve.md").read_text(encoding="utf-8")
    (template,) = re.findall(r"^ +(\[\{% for.*)$", guide, re.MULTILINE)
    server = Server([trained])
    for text in ("Ann sees 😀 Rome .", "", '"Ann" \\ sees {{ text }}\r\nRome .'):
        answer = server.post("/doccano", {"text": text}).json()
        assert json.loads(jinja2.Template(template).render(input=answer)) == answer
    server.close()
