"""The server itself: listens, ends at SIGTERM once requests in flight are answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import uvicorn

from ner_elmo.errors import NerElmoError
from ner_elmo.service.app import make_app
from ner_elmo.service.connections import connection_kind
from ner_elmo.service.exploring import Exploring
from ner_elmo.service.figures import Figures
from ner_elmo.service.guard import read_keys
from ner_elmo.service.models import ServedModel
from ner_elmo.service.settings import ServeSettings

_BACKLOG = 2048
_GRACE = 10.0  # seconds beyond the longest request, until what is left is dropped


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would send itself the signal again, and end by it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: ServeSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        NerElmoError: the address is not this machine's, or taken.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named, or asyncio does not see that this is TCP and lets small answers wait for their neighbours.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise NerElmoError(
            f"{settings.host}:{settings.port}: cannot be listened on ({error.strerror or error})"
        ) from None
    return found


def serve(
    models: Sequence[ServedModel],
    settings: ServeSettings,
    figures: Figures,
    listening: socket.socket,
    ready: Callable[[str], None],
    exploring: Exploring | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; those in flight are answered first.

    Args:
        ready: is told the address once requests are taken.
    """
    app = make_app(models, settings, read_keys(settings.api_key_file), figures, exploring)
    config = uvicorn.Config(
        app,
        http=connection_kind(settings.timeout),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout + _GRACE),
        timeout_keep_alive=30,
    )
    _run_loop(_run(_Server(config), listening, ready))
    for model in models:
        model.close(_GRACE)


def _run_loop(work: Coroutine[Any, Any, None]) -> None:
    """By uvloop where it is installed (it is not for Windows), which takes half as long for a request."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _run(server: _Server, listening: socket.socket, ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{port}/")
    await server.serve([listening])
