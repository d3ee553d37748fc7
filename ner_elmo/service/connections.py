"""Connections of uvicorn, with an end to what it waits for: the head of a request, a client that reads."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_Protocol: Any = AutoHTTPProtocol  # of one of two packages, whichever is installed


def connection_kind(timeout: float) -> type[asyncio.Protocol]:
    """The protocol of connections on which a head, or what is left to send, is waited for as long as ``timeout``."""

    class Timed(_Protocol):  # type: ignore[misc]
        _head: asyncio.TimerHandle | None = None
        _reading: asyncio.TimerHandle | None = None
        _said_something = False

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            self._said_something = True
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                _end(self._head)
                self._head = None
            elif self._head is None:  # of the next request
                self._await_head()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading = self.loop.call_later(timeout, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _end(self._reading)

        def connection_lost(self, exc: Exception | None) -> None:
            _end(self._head)
            _end(self._reading)
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._head = self.loop.call_later(timeout, self._too_slow)

        def _too_slow(self) -> None:
            self._head = None
            if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
                return
            if self._said_something:
                self.transport.write(_late(timeout))
            self.transport.close()

    return Timed


def _end(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _late(timeout: float) -> bytes:
    body = json.dumps({"error": f"the request did not come within {timeout:g} s"})
    lines = ["HTTP/1.1 408 Request Timeout", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "connection: close", "", body]).encode()
