"""A stream in chunks as it comes: at once where it pauses, larger ones where it comes faster than it is worked on.

A thread reads ahead, so that a chunk need not wait for an item that may come in an hour. It holds no more than
``HELD_CHUNKS`` full chunks: who reads slowly makes the source wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sized
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Sized)

PAUSE = 0.02  # seconds without another item, after which a chunk is full
LONGEST_WAIT = 0.1  # seconds from a chunk's first item on, likewise
HELD_CHUNKS = 2


def as_they_come(
    items: Iterable[Item], most: int, before_waiting: Callable[[], object] = lambda: None
) -> Generator[list[Item], None, None]:
    """Cut a stream into lists of consecutive items whose lengths add up to ``most``, or just beyond, or to less where
    the stream pauses.

    An error of the stream comes in its place, after what stood before it. Closing the generator lets the thread end
    once the item that it waits for has come.

    Args:
        items: read in a thread of its own, never by two threads at once; an empty item counts as 1.
        before_waiting: is called whenever nothing is there to be given out.
    """
    ahead = ReadAhead(items, most)
    try:
        while True:
            if not ahead.has_any():
                before_waiting()
            if not (chunk := ahead.take()):
                return
            yield chunk
    finally:
        ahead.close()


class ReadAhead(Generic[Item]):
    """What a thread has read of a stream and nobody has taken yet; it begins with the first call."""

    def __init__(self, items: Iterable[Item], most: int) -> None:
        self._error: BaseException | None = None
        self._items = items
        self._most = most
        self._held: deque[Item] = deque()
        self._length = 0
        self._is_done = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)
            self._thread.start()

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._add(item):
                    return
        except BaseException as error:  # handed to who takes, whatever it is
            self._error = error
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _add(self, item: Item) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._length < HELD_CHUNKS * self._most)
            if self._is_closed:
                return False
            self._held.append(item)
            self._length += max(1, len(item))
            self._changed.notify_all()
            return True

    def has_any(self) -> bool:
        """Whether something can be taken at once, or never will be."""
        self._begin()
        with self._changed:
            return bool(self._held) or self._is_done

    def take(self) -> list[Item]:
        """The next items: waits for one, then takes what comes without a pause. Empty at the end.

        Raises:
            Exception: what the stream raised, once all before it is taken.
        """
        self._begin()
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._is_done)
            self._wait_for_more()
            chunk: list[Item] = []
            length = 0
            while self._held and length < self._most:
                item = self._held.popleft()
                chunk.append(item)
                length += max(1, len(item))
            self._length -= length
            self._changed.notify_all()
        if not chunk and self._error is not None:
            raise self._error
        return chunk

    def _wait_for_more(self) -> None:
        until = time.monotonic() + LONGEST_WAIT
        while not self._is_done and self._length < self._most:
            before = len(self._held)
            wait = min(PAUSE, until - time.monotonic())
            if wait > 0:
                self._changed.wait(wait)
            if wait <= 0 or len(self._held) == before:
                return

    def close(self) -> None:
        """Let the thread end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
