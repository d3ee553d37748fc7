"""``/docs``: the paths of the server as a page, from its own OpenAPI; it has no script."""

from __future__ import annotations

import html
import json
from typing import Any


def docs_page(openapi: dict[str, Any]) -> str:
    """All paths, with what each is asked and answers."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1"><title>ner-elmo: the API</title>',
        '<link rel=stylesheet href="page.css"><link rel=icon href="data:,"></head><body><main>',
        '<h1>ner-elmo: the API</h1><p class=soft><a href="./">The page</a> · ',
        '<a href="openapi.json">OpenAPI</a> · <a href="models">Models</a> · <a href="metrics">Figures</a></p>',
    ]
    for path, methods in openapi["paths"].items():
        for method, facts in methods.items():
            parts.append(_path(path, method, facts, openapi))
    return "".join([*parts, "</main></body></html>"])


def _path(path: str, method: str, facts: dict[str, Any], openapi: dict[str, Any]) -> str:
    said = html.escape
    lines = [f"<h2><code>{method.upper()} {said(path)}</code></h2><p>{said(facts.get('summary', ''))}."]
    lines.append(f" {said(facts.get('description', ''))}</p>")
    body = facts.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        lines.append(_keys(body))
        lines.append(f"<pre>{said(_example(path))}</pre>")
    parameters = facts.get("parameters", [])
    if parameters:
        rows = "".join(f"<tr><td><code>{said(p['name'])}</code></td><td>{said(p['in'])}</td></tr>" for p in parameters)
        lines.append(f"<table><tr><th>parameter</th><th>in</th></tr>{rows}</table>")
    answers = {code: one.get("description", "") for code, one in facts.get("responses", {}).items()}
    rows = "".join(f"<tr><td>{said(code)}</td><td>{said(words)}</td></tr>" for code, words in answers.items())
    return "".join([*lines, f"<table><tr><th>status</th><th>when</th></tr>{rows}</table>"])


def _keys(schema: dict[str, Any]) -> str:
    rows = ""
    for name, facts in schema.get("properties", {}).items():
        kinds = [one.get("type", "") for one in facts.get("anyOf", [facts])]
        kind = " or ".join(dict.fromkeys(k for k in kinds if k and k != "null"))
        if "enum" in facts:
            kind = ", ".join(map(str, facts["enum"]))
        default = json.dumps(facts.get("default")) if facts.get("default") is not None else ""
        words = (kind, default, facts.get("description", ""))  # names of models are among them
        cells = (f"<code>{html.escape(name)}</code>", *map(html.escape, words))
        rows += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return f"<div class=table><table><tr><th>key</th><th>type</th><th>default</th><th></th></tr>{rows}</table></div>"


def _example(path: str) -> str:
    text = "Angela Merkel visited Siemens in Berlin."
    return f"curl -H 'Content-Type: application/json' -d '{json.dumps({'text': text})}' http://127.0.0.1:8000{path}"
