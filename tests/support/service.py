"""A server's application called in this process, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from ner_elmo.service.app import make_app
from ner_elmo.service.exploring import open_exploring
from ner_elmo.service.figures import Figures
from ner_elmo.service.models import ServedModel, load_models
from ner_elmo.service.settings import ServeSettings

Talk = Callable[[httpx.AsyncClient], Awaitable[Any]]


class Server:
    """An application over some taggers."""

    def __init__(self, taggers: list[Path], keys: list[str] | None = None, **settings: Any) -> None:
        self.settings = ServeSettings(access_log=settings.pop("access_log", False), **settings)
        self.figures = Figures()
        self.models: list[ServedModel] = load_models(
            [str(path) for path in taggers], self.settings, "cpu", self.figures
        )
        explored = self.settings.explore
        exploring = None if explored is None else open_exploring(explored, self.models)
        self.app = make_app(self.models, self.settings, keys or [], self.figures, exploring)

    def talk(self, talk: Talk) -> Any:
        """What ``talk`` gives for a client of this server."""

        async def run() -> Any:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await talk(client)

        return asyncio.run(run())

    def post(self, path: str, value: Any = None, **more: Any) -> httpx.Response:
        """The answer to one request."""
        if value is not None:
            more["json"] = value
        answer: httpx.Response = self.talk(lambda client: client.post(path, **more))
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        """The answer to one request."""
        answer: httpx.Response = self.talk(lambda client: client.get(path, **more))
        return answer

    def close(self) -> None:
        """End its threads."""
        for model in self.models:
            model.close(10)
