"""A few items of a stream made ahead by a thread, so that who uses them need not wait while the next one is made."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """What the thread leaves behind: why there is no further item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """The ``items`` in their order, up to ``depth`` of them made ahead. An error comes in its place.

    Close it (:func:`contextlib.closing`) to stop before its end: the thread then makes no further item.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                ready.put(item)
                if stopped.is_set():
                    return
        except BaseException as caught:  # handed to who reads, whatever it is
            error = caught
        ready.put(_End(error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        while thread.is_alive():  # it may be waiting for room
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                continue
        thread.join()
