"""Seeds side by side: each alone in a process with one thread, so that its result is the one it has by itself.

A process says what happens as it goes; the main one passes that on. It ends with the main process, however that ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, NoReturn, Protocol

from ner_elmo.errors import NerElmoError
from ner_elmo.runs.events import Report
from ner_elmo.runs.events import progress as tell_progress
from ner_elmo.runs.memory import keep_memory
from ner_elmo.runs.stop import Stopped

_PATIENCE = 5.0  # seconds that a process has to leave what it is doing

Result = dict[str, Any]


class Work(Protocol):
    """What is to be done for one seed. It can be pickled where processes are not forked."""

    def __call__(self, seed: int, *, report: Report) -> Result: ...


def start_method(device_type: str) -> str:
    """A fork shares what is prepared; beside a GPU, and where forks are unsafe, a process is started anew."""
    return "fork" if sys.platform == "linux" and device_type == "cpu" else "spawn"


def train_side_by_side(
    work: Work,
    seeds: Sequence[int],
    n_jobs: int,
    method: str,
    report: Report,
    received: Callable[[], int | None] = lambda: None,
) -> dict[int, Result]:
    """What ``work`` gives for each seed, in their order, of which ``n_jobs`` are in work at once.

    Args:
        method: how a process is started (:func:`start_method`).
        received: the number of the signal that should have ended the run, if there was one.

    Raises:
        NerElmoError: a process ended before its seed was done; all others are then ended, too.
        Stopped: a signal was received.
    """
    waiting, running = list(seeds), list[_Process]()
    done: dict[int, Result] = {}
    progress = _Progress(report)
    try:
        while waiting or running:
            while waiting and len(running) < n_jobs:
                running.append(_Process(work, waiting.pop(0), method))
            ready = wait([process.line for process in running])
            for process in [process for process in running if process.line in ready]:
                kind, value = process.hear()
                if kind == "event":
                    progress.pass_on(process.seed, value)
                elif kind == "error":
                    raise value
                else:
                    done[process.seed] = value
                    running.remove(process)
                    process.end()
            if (number := received()) is not None:
                raise Stopped(number)
    finally:
        for process in running:
            process.stop()
        for process in running:
            process.end()
    return {seed: done[seed] for seed in seeds}


class _Process:
    """A process that trains one seed."""

    def __init__(self, work: Work, seed: int, method: str) -> None:
        context: Any = multiprocessing.get_context(method)
        self.seed = seed
        self.line, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_train, args=(work, seed, theirs))
        self._process.start()
        theirs.close()

    def hear(self) -> tuple[str, Any]:
        """What it says next: an ``event``, an ``error``, or that it is ``done``.

        Raises:
            NerElmoError: it is gone.
        """
        try:
            kind, value = self.line.recv()
        except (EOFError, OSError):
            self._process.join()
            status = self._process.exitcode or 0
            how = f"was killed (signal {-status})" if status < 0 else f"ended (status {status})"
            raise NerElmoError(
                f"seed {self.seed}: its process {how}; the same command goes on with --resume, with fewer --jobs if "
                "memory was short"
            ) from None
        return kind, value

    def stop(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended, and make it do so if it takes long."""
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()
        self.line.close()


def _train(work: Work, seed: int, line: Connection) -> None:
    """The process: train, and say what happens."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears of it, too, and ends this one
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    keep_memory()
    try:
        with contextlib.suppress(BrokenPipeError):  # the main process has gone
            try:
                line.send(("done", work(seed, report=lambda event: line.send(("event", dict(event))))))
            except BrokenPipeError:
                raise
            except Exception as error:  # who waits should know
                line.send(("error", error))
    finally:
        line.close()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)  # so that what is half written is removed


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Progress:
    """Makes one progress of that of several seeds: the tokens of all of them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._before: dict[int, int] = {}  # tokens of epochs that are done
        self._now: dict[int, int] = {}  # of those that are not

    def pass_on(self, seed: int, event: Mapping[str, Any]) -> None:
        """Hand an event on; nobody knows how many epochs there will be, so nor how many tokens."""
        if event["event"] != "progress":
            self._report(event)
            return
        if event["done"] < self._now.get(seed, 0):
            self._before[seed] = self._before.get(seed, 0) + self._now[seed]
        self._now[seed] = event["done"]
        done = sum(self._before.values()) + sum(self._now.values())
        tell_progress(self._report, "seeds side by side", done, 0)
