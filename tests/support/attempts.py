"""One attempt at a time in a process of its own, forked from this one: how it ended, how long it took, what it needed.

A fork takes milliseconds where a new Python takes seconds, and whatever an attempt does (a crash, a loop without end,
all of the memory) stays in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ner_elmo.errors import NerElmoError

ANSWERED, REFUSED, TRACEBACK, CRASH, HANG = "answered", "refused", "traceback", "crash", "hang"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: ``answered``, ``refused`` (by an error of ours), ``traceback`` (any other exception), ``crash`` (a
            signal), ``hang`` (it took longer than it may).
        value: what was answered, or the error's message, or the traceback, or the signal's number.
        seconds: how long it computed; a busy machine makes it no longer.
        megabytes: by how much its memory grew at most.
    """

    kind: str
    value: Any
    seconds: float
    megabytes: float


WAITS = 120.0  # seconds in all, for one that waits and does not compute


def attempt(function: Callable[[], Any], seconds: float = 5.0) -> Outcome:
    """Call ``function``, which returns plain data, in a fork of this process. Use torch with one thread: others do not
    live through a fork.

    Args:
        seconds: of computing, that it may take.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, where there are threads
        child = os.fork()
    if not child:
        os.close(reader)
        _answer(function, writer, seconds)
    os.close(writer)
    with open(reader, "rb") as stream:
        written = stream.read()
    _, status, used = os.wait4(child, 0)
    took = used.ru_utime + used.ru_stime
    if written:
        kind, value, megabytes = json.loads(written)
        return Outcome(kind, value, took, megabytes)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else status
    return Outcome(HANG if number in (signal.SIGALRM, signal.SIGPROF) else CRASH, number, took, 0.0)


def _answer(function: Callable[[], Any], writer: int, seconds: float) -> None:
    """Never returns."""
    for number, timer, most in (
        (signal.SIGALRM, signal.ITIMER_REAL, WAITS),
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
    ):
        signal.signal(number, signal.SIG_DFL)  # Python's own handlers would wait for a call into C to end
        signal.setitimer(timer, most)
    before = _megabytes()
    try:
        found: tuple[str, Any] = (ANSWERED, function())
    except NerElmoError as error:
        found = (REFUSED, str(error))
    except BaseException:
        found = (TRACEBACK, traceback.format_exc())
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    data = json.dumps((*found, _megabytes() - before)).encode()
    with open(writer, "wb") as stream:
        stream.write(data)
    os._exit(0)


def _megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
