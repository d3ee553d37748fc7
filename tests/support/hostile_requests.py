"""Requests to a server that are made of a stranger's bytes, of every kind that it knows."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx

from tests.support.service import Server

_JSON = {"content-type": "application/json"}


def ask(rng: random.Random, server: Server, data: bytes) -> tuple[str, httpx.Response]:
    """Send the bytes to some path, as a body, as a part of one, in the address or in a header; its name, the answer."""
    text = data.decode("utf-8", "replace")
    path, body = rng.choice(_bodies(text, rng))
    kind = rng.random()
    if kind < 0.15:
        return f"raw {path}", server.post(path, content=data, headers=_JSON)
    if kind < 0.3:
        return f"damaged {path}", server.post(path, content=_damaged(json.dumps(body).encode(), rng), headers=_JSON)
    if kind < 0.35:
        return "twice /tag", server.post(
            "/tag", content=b'{"text": "a", "text": ' + _quoted(text) + b"}", headers=_JSON
        )
    if kind < 0.4:
        return "address", server.get("/" + "".join(f"%{byte:02x}" for byte in data[:200]))
    if kind < 0.45:
        return "query /labels", server.get("/labels", params={"model": text[:200], text[:20]: "x"})
    if kind < 0.5:
        line = bytes(byte for byte in data[:200] if byte not in b"\r\n\0")
        return "header /tag", server.post("/tag", {"text": "a"}, headers=[(b"x-api-key", line), (b"origin", line)])
    return f"post {path}", server.post(path, content=_quoted(body), headers=_JSON)


def _quoted(value: Any) -> bytes:
    """JSON; what the bytes of others became by decoding can be written as UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def _damaged(body: bytes, rng: random.Random) -> bytes:
    found = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def _bodies(text: str, rng: random.Random) -> list[tuple[str, Any]]:
    """What each path may be asked with a text."""
    options = {
        "offsets": rng.choice(["char", "utf16", "byte"]),
        "tokenized": rng.random() < 0.3,
        "scores": rng.random() < 0.7,
    }
    middle = len(text) // 2
    cas = {"metadata": {"layer": text, "feature": text}, "document": {"xmi": text}, "typeSystem": text}
    return [
        ("/tag", {"text": text, **options}),
        ("/tag", {"texts": text.split("\n"), **options}),
        ("/tag", {"text": "a", "model": text[:50], text[:30]: 1}),
        ("/doccano", {"text": text}),
        ("/label-studio/predict", {"tasks": [{"data": {"text": text}}, {text: text}], "label_config": text}),
        ("/inception/predict", cas),
        ("/explore", {"text": f"{text[:middle][:900]}[{text[middle:][:900]}]", "neighbours": 2}),
        ("/explore", {"text": f"a [{text[:20]}] b", "neighbours": 1}),
    ]  # fmt: skip
