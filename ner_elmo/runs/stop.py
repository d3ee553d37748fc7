"""Ctrl-C and SIGTERM: how long work ends before its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from ner_elmo.runs.launch import is_launched


class Stopped(KeyboardInterrupt):
    """A signal ended the work; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def unswallowed_interrupts() -> Iterator[None]:
    """Make sure that Ctrl-C within the block ends it by :class:`KeyboardInterrupt`, even where something swallows it.

    Libraries written in C do, while they import another: they take any exception to say that it is not there.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # somebody else's, or ignored
        yield
        return
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # not in the main thread, where no signal arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if received:
            raise KeyboardInterrupt


class StopSignals(AbstractContextManager["StopSignals"]):
    """Within the block SIGINT and SIGTERM end the work by :class:`Stopped`.

    Within :meth:`deferred` the first one is only noted in ``received``, so that what is done can be written down first;
    a second one ends the work at once. ``say`` is told so. Where something swallows :class:`Stopped` (Python does so in
    a callback of its own), ``received`` is still there for whoever looks.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.received: int | None = None
        self._say = say
        self._is_deferred = False

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within the block the work looks at ``received`` itself."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and is_launched():
            return  # torchrun passes on what a terminal has sent already, and ends by force what does not stop
        is_second = self.received is not None
        self.received = self.received or number
        if is_second or not self._is_deferred:
            raise Stopped(number)
        self._say("stopping after this step; a checkpoint is written first (again: stop at once)")
