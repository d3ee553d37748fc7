"""What must not be shared with a forked process: locks that another thread holds, and torch's own threads.

A fork copies one thread alone. A lock that another thread held would never be opened in the child, and torch's pool of
threads would be waited for for ever. So in the child locks are new and torch computes in one thread; a server or a pool
that forks has a process for each core anyway. (A child that wants more threads must not be a fork.)
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType

import torch


class Lock:
    """A lock that is open in a forked process, and in a copy, however it was when the process or the copy was made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        return Lock, ()

    def _renew(self) -> None:
        self._lock = threading.Lock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _begin_child() -> None:
    for lock in list(_locks):
        lock._renew()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_child)
