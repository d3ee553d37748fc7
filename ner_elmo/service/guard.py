"""What stands before every request: size, time, keys, headers, the access log."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError, UsageError
from ner_elmo.service.figures import Figures
from ner_elmo.service.settings import ServeSettings
from ner_elmo.text.files import is_folder, is_there, read_lines, shown_name

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
OPEN_PATHS = {"/health", "/", "/page.js", "/shared.js", "/page.css", "/explore.js"}  # that need no key
_OTHER = "other"  # what figures call a path that is none of ours


def read_keys(path: str | None) -> list[str]:
    """The keys of a file, one a line.

    Raises:
        UsageError: no such file.
        DataError: it holds none, or one that is too short to be one.
    """
    if path is None:
        return []
    if not is_there(Path(path)) or is_folder(Path(path)):
        raise UsageError(f"--api-key-file {shown_name(path)}: no such file")
    keys = [line.strip() for line in read_lines(path) if line.strip()]
    if not keys or any(len(key) < 8 or not key.isascii() or " " in key for key in keys):
        raise DataError(
            f"{shown_name(path)}: found no keys, or odd ones; expected a key of 8 characters or more a line"
        )
    return keys


class Guard:
    """An ASGI application around ours.

    A body is read whole, within a limit of size and of time, before ours sees it: a slow client holds nothing but its
    own connection.
    """

    def __init__(self, app: App, settings: ServeSettings, keys: list[str], figures: Figures, paths: set[str]) -> None:
        self._app, self._settings, self._keys, self._figures, self._paths = app, settings, keys, figures, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _Watched(send)
        begun = time.monotonic()
        try:
            await self._guarded(scope, receive, watched)
        finally:
            self._note(scope, watched.status, time.monotonic() - begun)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._has_key(scope):
            await answer(
                send, 401, "found no valid key; expected Authorization: Bearer KEY", {"www-authenticate": "Bearer"}
            )
            return
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self._settings.timeout)
        except asyncio.TimeoutError:
            await answer(
                send, 408, f"the request did not come within {self._settings.timeout:g} s", {"connection": "close"}
            )
            return
        if body is None:
            most = self._settings.max_bytes
            await answer(
                send,
                413,
                f"found more than {most:,} bytes, expected less; send the texts in parts",
                {"connection": "close"},
            )
            return
        if scope["method"] == "HEAD":  # what GET answers, without its body
            scope, send = {**scope, "method": "GET"}, _headers_alone(send)
        await self._app(scope, _replay(body, receive), send)

    def _has_key(self, scope: Scope) -> bool:
        is_page = scope["path"] in OPEN_PATHS or (scope["path"] == "/explore" and scope["method"] in ("GET", "HEAD"))
        if not self._keys or is_page or scope["method"] == "OPTIONS":
            return True
        headers = dict(scope["headers"])
        words = headers.get(b"authorization", b"").decode("latin-1").split(" ", 1)
        given = words[1].strip() if len(words) == 2 and words[0].lower() in ("bearer", "token") else ""
        given = given or headers.get(b"x-api-key", b"").decode("latin-1")
        # Each is compared to its end, so that no time tells how much of it is right.
        return sum(hmac.compare_digest(given.encode(), key.encode()) for key in self._keys) > 0

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None if it is too long."""
        most = self._settings.max_bytes
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > most:
            return None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                return None
            if not message.get("more_body"):
                return b"".join(parts)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self._paths else _OTHER
        self._figures.requests.labels(path, str(status)).inc()
        self._figures.seconds.labels(path).observe(seconds)
        if self._settings.access_log:
            client = scope.get("client")
            line = {
                "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                "client": client[0] if client else None,
                "method": scope["method"][:20],
                "path": path,
                "status": status,
                "ms": round(1000 * seconds, 1),
            }
            with contextlib.suppress(OSError, ValueError):  # full or closed: a log that is lost stops no answer
                print(json.dumps(line | scope.get("ner_elmo", {})), file=sys.stderr, flush=True)


class _Watched:
    """Sends on, and remembers the status; adds headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 499  # the client has gone before an answer

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            present = {name.lower() for name, _ in headers}
            headers += [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items() if k.encode() not in present]
            message = {**message, "headers": headers}
        await self._send(message)


def _headers_alone(send: Send) -> Send:
    """Sends an answer on without its body."""

    async def without_body(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return without_body


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body again, then whatever comes after it: that the client has gone."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def answer(send: Send, status: int, error: str, headers: dict[str, str] | None = None) -> None:
    """Send an error by hand."""
    body = json.dumps({"error": error}).encode()
    all_headers = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
