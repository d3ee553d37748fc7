"""How many threads torch computes with, while several threads of a program compute at once.

torch keeps the number for each thread of the program, but a thread that is new to torch begins with the one that any
thread has set last. Results of torch's own LSTM differ in the last bits between one thread and two. So what is set for
a moment (:func:`threads_for_now`) is kept from new threads (:func:`begin_as_usual`), whose results would depend on what
the others do just then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ner_elmo.nn.forking import Lock


class _Usual:
    """The number that a thread begins with.

    Attributes:
        n_changes: how many threads compute with another one just now.
        n_threads: the usual one, which holds while there are such.
    """

    def __init__(self) -> None:
        self.n_changes = 0
        self.n_threads = 0


_usual = _Usual()
_lock = Lock()
_begun = threading.local()


@contextmanager
def threads_for_now(n_threads: int) -> Iterator[None]:
    """Within the block torch computes with ``n_threads`` in this thread."""
    with _lock:
        before = torch.get_num_threads()
        if not _usual.n_changes:
            _usual.n_threads = before
        _usual.n_changes += 1
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        with _lock:
            torch.set_num_threads(before)
            _usual.n_changes -= 1


def begin_as_usual() -> None:
    """Let torch compute in this thread with as many threads as in others, if this one is new to it."""
    if hasattr(_begun, "yes"):
        return
    with _lock:
        if _usual.n_changes:
            torch.set_num_threads(_usual.n_threads)
        else:
            torch.get_num_threads()  # takes over what was set last
    _begun.yes = True


def _begin_child() -> None:
    _usual.n_changes = 0  # those threads are not here


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_child)
