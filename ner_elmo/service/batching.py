"""Requests of all clients tagged together, by one thread a model.

A request waits in a queue until the thread is free, and a few milliseconds for others to join it; then as many as a
budget of tokens allows are computed together. Each has a future of its own, so none gets another's answer. Who no
longer waits cancels its future, and is passed over.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ner_elmo.text.documents import Document, Failure

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Tagger, Unit

CHARACTERS_A_TOKEN = 5
_WAITS = 5  # times as long as the setting says others are waited for, while they keep coming
Results = list[Document | Failure]


class QueueFullError(Exception):
    """So many requests wait that another one should come again later."""


class ClosedError(Exception):
    """The server is about to end and takes nothing new."""


@dataclass
class Job:
    """The texts of a request, or its lists of tokens, and where its answer goes.

    Attributes:
        key: requests of unlike keys cannot be computed together.
    """

    texts: Sequence[Unit]
    tokenized: bool
    scores: bool
    future: Future[Results] = field(default_factory=Future)

    @property
    def key(self) -> tuple[bool, bool]:
        return self.tokenized, self.scores

    @property
    def size(self) -> int:
        """About how many tokens it has."""
        return sum(1 + len(text) // (CHARACTERS_A_TOKEN if isinstance(text, str) else 1) for text in self.texts)


class Batcher:
    """The queue of one model, and the thread that empties it.

    Args:
        batch_tokens: of so many tokens, or just beyond, a batch is.
        wait: seconds that the first request of a batch waits for others.
        most_waiting: requests that may wait.
        tell: is handed the number of texts and the seconds of each batch.
    """

    def __init__(
        self,
        tagger: Tagger,
        batch_tokens: int,
        wait: float,
        most_waiting: int,
        tell: Callable[[int, float], None] = lambda n, seconds: None,
    ) -> None:
        self.tagger = tagger
        self._batch_tokens, self._wait, self._most_waiting, self._tell = batch_tokens, wait, most_waiting, tell
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="tagging", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests in the queue."""
        return len(self._jobs)

    @property
    def is_alive(self) -> bool:
        """Whether requests are worked on."""
        return self._thread.is_alive()

    async def tag(self, texts: Sequence[Unit], tokenized: bool, scores: bool) -> Results:
        """What is found in the texts, in their order.

        Raises:
            QueueFullError: too many wait.
            ClosedError: the server is about to end.
        """
        job = Job(texts, tokenized, scores)
        with self._changed:
            if self._is_closed:
                raise ClosedError
            if len(self._jobs) >= self._most_waiting:
                raise QueueFullError
            self._jobs.append(job)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(job.future)
        finally:
            if job.future.cancel():  # nobody waits for it any longer
                with self._changed:
                    if job in self._jobs:
                        self._jobs.remove(job)

    def close(self, seconds: float) -> None:
        """Take nothing new, and finish what is there, if it takes no longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while jobs := self._next():
            begun = time.monotonic()
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            texts = [text for job in jobs for text in job.texts]
            if not texts:
                for job in jobs:
                    job.future.set_result([])
                continue
            try:
                found = self.tagger.tag_chunk(texts, tokenized=jobs[0].tokenized, scores=jobs[0].scores)
            except BaseException as error:  # who waits has to hear of it, whatever it is
                for job in jobs:
                    job.future.set_exception(error)
                continue
            at = 0
            for job in jobs:
                job.future.set_result(found[at : at + len(job.texts)])
                at += len(job.texts)
            self._tell(len(texts), time.monotonic() - begun)

    def _next(self) -> list[Job]:
        """The requests that are computed together next: of one kind, in their order; none when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_closed)
            self._wait_for_others()
            if not self._jobs:
                return [] if self._is_closed else self._empty()
            first = self._jobs.popleft()
            taken, size, others = [first], first.size, deque[Job]()
            while self._jobs and size < self._batch_tokens:
                job = self._jobs.popleft()
                if job.key == first.key:
                    taken.append(job)
                    size += job.size
                else:
                    others.append(job)
            self._jobs.extendleft(reversed(others))
            return taken

    def _wait_for_others(self) -> None:
        """Wait for requests to join the first: again for each that does, but not for ever."""
        begun = time.monotonic()
        n_jobs, until = len(self._jobs), begun + self._wait
        last = begun + _WAITS * self._wait
        while self._jobs and not self._is_closed and self._is_short() and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)
            if len(self._jobs) > n_jobs:
                n_jobs, until = len(self._jobs), min(last, time.monotonic() + self._wait)

    def _is_short(self) -> bool:
        return sum(job.size for job in self._jobs) < self._batch_tokens

    def _empty(self) -> list[Job]:
        """A request that was cancelled while it was waited for others: nothing to do, but not the end."""
        nothing = Job((), False, False)
        nothing.future.cancel()
        return [nothing]
