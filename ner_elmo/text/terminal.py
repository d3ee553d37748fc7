"""Streams that may be a terminal: nothing of a text may drive it."""

from __future__ import annotations

import io
from typing import IO, cast

from ner_elmo.pages.visible import made_visible


class _Shown(io.TextIOBase):
    """A terminal on which control characters of what is written show, and do nothing."""

    def __init__(self, terminal: IO[str]) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        return self._terminal.write(made_visible(text))

    def flush(self) -> None:
        self._terminal.flush()

    def isatty(self) -> bool:
        return True


def safe_stream(stream: IO[str]) -> IO[str]:
    """The same stream; if it is a terminal, one on which ESC and the like are written as ``\\x1b``."""
    return cast("IO[str]", _Shown(stream)) if stream.isatty() else stream
