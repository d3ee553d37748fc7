"""Texts tagged by several processes with one thread each, in the order in which they came.

A process that ends by itself or is killed is replaced, and what it had in hand is done again once. The main process
hands out chunks and hears of each as soon as it is done; it holds a few of them, however many there are.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from ner_elmo.runs.memory import keep_memory
from ner_elmo.tagger.tagger import Tagger, Unit
from ner_elmo.text.documents import Document, Failure

if TYPE_CHECKING:
    import torch

AHEAD = 4  # chunks begun before an earlier one is done, for each worker
_ATTEMPTS = 2
_LOOK_AGAIN = 0.02  # seconds, after which a source that had nothing is asked once more

# From so much text on, processes are begun sooner than they are missed; and no more of them, unless asked for, since
# each holds a batch's vectors.
BYTES_FOR_PROCESSES = 1 << 20
MOST_PROCESSES = 16

Item = Unit | Failure
Result = Document | Failure


def usual_processes(n_bytes: int, n_threads: int, device: torch.device) -> int:
    """How many processes tag a text of so many bytes, where as many threads might: threads of one process wait for one
    another wherever Python itself computes. 1 where a process cannot be forked from this one."""
    if n_bytes < BYTES_FOR_PROCESSES or sys.platform != "linux" or device.type != "cpu":
        return 1
    return min(n_threads, MOST_PROCESSES)


class Source(Protocol):
    """Where chunks come from."""

    def has_any(self) -> bool:
        """Whether :meth:`take` has not to wait."""

    def take(self) -> Sequence[Item]:
        """The next chunk; an empty one is the end."""


@dataclass
class Task:
    """A chunk and its place in the order; how often it was begun by a worker that was lost, and its result lost."""

    number: int
    chunk: Sequence[Item]
    attempts: int = 0
    lost: int = 0


class Crew(ABC):
    """What waits for workers, and what they have done that is not yet given out.

    Which workers there are, and how they are given chunks and heard, is said by the classes below.
    """

    def __init__(self, source: Source, n_workers: int) -> None:
        self._source, self._n_workers = source, n_workers
        self._again: list[Task] = []
        self._done: dict[int, list[Result]] = {}
        self._n_begun = self._n_given = 0
        self._is_ended = False  # the source

    @abstractmethod
    def _idle(self) -> Any:
        """A worker that may have another chunk, or None."""

    @abstractmethod
    def _give(self, worker: Any, task: Task) -> None:
        """Hand it to such a worker."""

    @abstractmethod
    def _is_busy(self) -> bool:
        """Whether a worker has something in hand."""

    @abstractmethod
    def _hear(self) -> None:
        """Wait until one of them has done something, or is gone, or a new chunk may be there."""

    def _can_begin(self) -> bool:
        """Whether there is a worker yet."""
        return True

    def next(self, before_waiting: Callable[[], object]) -> list[Result] | None:
        """The results of the next chunk, or None at the end."""
        while self._n_given not in self._done:
            self._hand_out()
            is_busy = self._is_busy() or bool(self._again)
            if not is_busy and self._is_ended:
                return None
            before_waiting()
            if is_busy or not self._can_begin():
                self._hear()
            else:
                self._begin(self._source.take())
        self._n_given += 1
        return self._done.pop(self._n_given - 1)

    def _hand_out(self) -> None:
        """Give every worker that may have more something, if there is anything."""
        while self._again and (worker := self._idle()) is not None:
            self._give(worker, self._again.pop(0))
        while not self._again and self._may_begin() and self._source.has_any():
            self._begin(self._source.take())

    def _may_begin(self) -> bool:
        is_far_ahead = self._n_begun - self._n_given >= AHEAD * self._n_workers
        return not self._is_ended and not is_far_ahead and self._idle() is not None

    def _begin(self, chunk: Sequence[Item]) -> None:
        if not chunk:
            self._is_ended = True
            return
        task = Task(self._n_begun, chunk)
        self._n_begun += 1
        worker = self._idle()
        assert worker is not None  # nobody else takes one
        self._give(worker, task)

    def _once_more(self, task: Task, how: str) -> None:
        """Do what a worker that was lost had begun again; or give up on it, saying ``how`` the worker ended."""
        if task.attempts < _ATTEMPTS:
            self._again.append(task)
        else:
            self._done[task.number] = [lost(item, how) for item in task.chunk]


class _Worker:
    """A process, what it is doing, and the line to it."""

    def __init__(self, tagger: Tagger, flags: dict[str, bool], others: Sequence[_Worker]) -> None:
        context: Any = multiprocessing.get_context(_start_method(tagger))
        self.line, theirs = context.Pipe()
        inherited = [worker.line for worker in others] + [self.line]
        if context.get_start_method() != "fork":
            inherited = []
        self.process = context.Process(target=_work, args=(tagger, flags, theirs, inherited), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        """Hand it something to do."""
        self.task = task
        task.attempts += 1
        with contextlib.suppress(OSError):  # it may have ended, as the next look at it shows
            self.line.send(task.chunk)

    def end(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.join()


def _start_method(tagger: Tagger) -> str:
    """A fork shares the model's memory; beside a GPU, and where forks are unsafe, a process is started anew."""
    return "fork" if sys.platform == "linux" and str(tagger.device) == "cpu" else "spawn"


def _work(tagger: Tagger, flags: dict[str, bool], line: Connection, inherited: Sequence[Connection]) -> None:
    """Tag what comes, until the main process is gone."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears of it, too, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:  # while copies of its end are open, nobody would notice that the main process has gone
        other.close()
    torch.set_num_threads(1)
    keep_memory()
    try:
        while True:
            chunk = line.recv()
            try:
                line.send(tagger.tag_chunk(chunk, **flags))
            except Exception as error:  # of ours: who waits should know
                line.send(error)
    except (EOFError, OSError):
        return


def tag_in_processes(
    tagger: Tagger,
    source: Source,
    n_processes: int,
    before_waiting: Callable[[], object],
    *,
    tokenized: bool = False,
    scores: bool = True,
) -> Iterator[Result]:
    """What :meth:`~ner_elmo.tagger.tagger.Tagger.tag_chunk` gives for all chunks, in their order.

    Args:
        before_waiting: is called whenever nothing is there to be given out.
    """
    crew = _Crew(tagger, source, n_processes, {"tokenized": tokenized, "scores": scores})
    try:
        while (results := crew.next(before_waiting)) is not None:
            yield from results
    finally:
        crew.end()


class _Crew(Crew):
    """Processes of this machine, each with one chunk in hand."""

    def __init__(self, tagger: Tagger, source: Source, n_processes: int, flags: dict[str, bool]) -> None:
        super().__init__(source, n_processes)
        self._tagger, self._flags = tagger, flags
        self._workers: list[_Worker] = []
        for _ in range(n_processes):  # before the source's thread begins: a fork copies one thread alone
            self._workers.append(_Worker(tagger, flags, self._workers))

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.task is None:
                return worker
        if len(self._workers) < self._n_workers:
            self._workers.append(_Worker(self._tagger, self._flags, self._workers))
            return self._workers[-1]
        return None

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.give(task)

    def _is_busy(self) -> bool:
        return any(worker.task is not None for worker in self._workers)

    def _hear(self) -> None:
        busy = [worker for worker in self._workers if worker.task is not None]
        ready = wait([worker.line for worker in busy], _LOOK_AGAIN if self._may_begin() else None)
        for worker in busy:
            if worker.line in ready:
                self._receive(worker)

    def _receive(self, worker: _Worker) -> None:
        task = worker.task
        assert task is not None
        try:
            results = worker.line.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.end()
            self._once_more(task, _how_it_ended(worker.process.exitcode))
            return
        if isinstance(results, Exception):
            raise results
        worker.task = None
        self._done[task.number] = results

    def end(self) -> None:
        for worker in self._workers:
            worker.end()


def _how_it_ended(status: int | None) -> str:
    return f"was killed (signal {-status})," if status is not None and status < 0 else f"ended (status {status}),"


def lost(item: Item, how: str) -> Failure:
    """What is said of an item whose process was lost, twice; ``how`` it ended, with a comma."""
    message = f"the process that tagged it {how} twice"
    if isinstance(item, Failure):
        return item
    if isinstance(item, str):
        return Failure(item, message)
    return Failure(getattr(item, "text", ""), message, getattr(item, "origin", None))
