"""``log.jsonl`` and its picture: what a run of either stage has recorded of itself."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from ner_elmo.errors import without_excerpts
from ner_elmo.runs.directory import CURVE, LOG
from ner_elmo.runs.events import Report, warning
from ner_elmo.text.files import json_text, write_text

EVERY_STEP_UNTIL = 100  # steps that are logged one by one
LOG_SECONDS = 10.0  # between two logged steps after that


class RunLog(AbstractContextManager["RunLog"]):
    """Writes events to ``log.jsonl`` as they come, and hands each to ``report``.

    Of the steps, the first are logged one by one, later ones every ``LOG_SECONDS``, and always the one before another
    event. A logged step's ``loss`` is the mean over the steps since the one logged before it. Without a directory
    nothing is written: only one of several processes writes.

    Args:
        picture: makes an SVG document of all events so far, for :meth:`draw`.
    """

    def __init__(
        self,
        directory: Path | None,
        append: bool,
        report: Report,
        picture: Callable[[Iterable[Mapping[str, Any]]], str] | None = None,
    ) -> None:
        self._directory = directory
        self._picture = picture
        path = Path(os.devnull) if directory is None else directory / LOG
        self._file = path.open("a" if append else "w", encoding="utf-8")
        self._report = report
        self._held: Mapping[str, Any] | None = None
        self._losses: list[float] = []
        self._last = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_held()
        self._file.close()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Log and report one event."""
        if event["event"] == "step":
            self._held = event
            self._losses.append((event["forward"] + event["backward"]) / 2)
            if event["step"] <= EVERY_STEP_UNTIL or time.monotonic() - self._last >= LOG_SECONDS:
                self._write_held()
        else:
            self._write_held()
            self._write(event)
        self._report(event)

    def _write_held(self) -> None:
        if self._held is not None:
            self._write({**self._held, "loss": sum(self._losses) / len(self._losses)})
            self._held, self._last = None, time.monotonic()
            self._losses.clear()

    def _write(self, event: Mapping[str, Any]) -> None:
        if "message" in event:
            event = {**event, "message": without_excerpts(str(event["message"]))}
        self._file.write(json_text(event) + "\n")
        self._file.flush()

    def draw(self) -> None:
        """Draw what is recorded so far (of all parts of an interrupted run) as ``curve.svg``."""
        self._write_held()
        if self._directory is not None and self._picture is not None:
            try:
                picture = self._picture(read_events(self._directory / LOG))
            except (KeyError, TypeError, ValueError) as error:  # a line that somebody else has written
                self._picture = None
                warning(self._report, f"{self._directory / LOG}: damaged ({type(error).__name__}); no picture is drawn")
                return
            write_text(self._directory / CURVE, picture)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a ``log.jsonl``; lines that are none are left out, such as one that was cut off by a kill."""
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            events.append(values)
    return events
