"""``tag --engine ray``: the chunks of plain ``tag``, tagged by actors of a Ray cluster, in the order they came in.

The main process reads, writes and keeps order as without an engine, so that what is written is the same to the bit and
``--resume`` goes on with either. Actors have the model from Ray's object store; they need no file. An actor, or a whole
machine, that is lost is replaced, and what it had in hand is done again.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ner_elmo.engines.packages import require
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.events import Report, note, silent
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.tagging.workers import Crew, Result, Source, Task

QUEUED = 2  # chunks that an actor has at once, so that it need not wait for the next one
_LOST_RESULTS = 8  # how often a chunk is done whose result went with its machine
_STILLBORN_MOST = 3  # workers in a row, beside as many as there are at once
_LOOK_AGAIN = 0.02  # seconds, after which a source that had nothing is asked once more
_TELL_AFTER = 60.0  # seconds without an actor


class RayCluster(AbstractContextManager["RayCluster"]):
    """The connection to a cluster, or a local one that lasts as long as the context.

    Args:
        address: of the cluster; ``auto`` for the one this machine belongs to; None for one of this machine alone.
        n_workers: how many actors tag; None for one on each CPU of the cluster.

    Raises:
        UsageError: Ray is missing, or there is no cluster at that address.
    """

    def __init__(self, address: str | None = None, n_workers: int | None = None, report: Report = silent) -> None:
        self._ray: Any = require("ray", "ray")
        self._address, self._n_workers, self._report = address, n_workers, report
        self._is_ours = False
        self._crews: list[_Crew] = []

    def __enter__(self) -> RayCluster:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        logging.getLogger("ray").setLevel(logging.ERROR)
        if not self._ray.is_initialized():
            here = {"num_cpus": self._n_workers} if self._address is None else {}
            try:
                self._ray.init(
                    address=self._address or "local",
                    include_dashboard=None if self._address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **here,
                )
            except Exception as error:  # Ray has many, and bare ones among them
                where = "this machine" if self._address is None else f"--address {self._address}"
                reason = str(error).strip().splitlines()[0][:200]
                raise UsageError(f"{where}: found no Ray cluster ({reason}); start one with ray start --head") from None
            self._is_ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for crew in self._crews:  # one whose chunks were not all asked for; later, Ray would start anew to end it
            crew.end()
        if self._is_ours:
            self._ray.shutdown()

    def tag_chunks(
        self,
        tagger: Tagger,
        source: Source,
        before_waiting: Callable[[], object],
        *,
        tokenized: bool = False,
        scores: bool = True,
    ) -> Iterator[Result]:
        """What :meth:`~ner_elmo.tagger.tagger.Tagger.tag_chunk` gives for all chunks, in their order.

        Args:
            before_waiting: is called whenever nothing is there to be given out.
        """
        n_workers = self._n_workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        crew = _Crew(self._ray, tagger, source, n_workers, {"tokenized": tokenized, "scores": scores}, self._report)
        self._crews.append(crew)
        gc.freeze()  # Ray's own modules stay, and the collector of garbage need not look at them
        try:
            while (results := crew.next(before_waiting)) is not None:
                yield from results
        finally:
            crew.end()


class _Tagging:
    """What an actor does."""

    def __init__(self, tagger: Tagger) -> None:
        import torch

        torch.set_num_threads(1)
        gc.freeze()  # the collector of garbage need not look at what stays
        self._tagger = tagger

    def tag(self, chunk: bytes, flags: Mapping[str, bool]) -> bytes:
        """Both packed by Python: Ray's own way asks about each of the many small objects."""
        return pickle.dumps(self._tagger.tag_chunk(pickle.loads(chunk), **flags), pickle.HIGHEST_PROTOCOL)

    def is_ready(self) -> bool:
        return True


@dataclass
class _Actor:
    """An actor, the reference that says it is there, and what it was given, oldest first."""

    handle: Any
    ready: Any
    is_ready: bool = False
    tasks: dict[Any, Task] = field(default_factory=dict)


class _Crew(Crew):
    """Actors, each with a few chunks in hand."""

    def __init__(
        self, ray: Any, tagger: Tagger, source: Source, n_workers: int, flags: Mapping[str, bool], report: Report
    ) -> None:
        super().__init__(source, n_workers)
        self._ray, self._flags, self._report = ray, dict(flags), report
        self._tagger = ray.put(tagger)
        self._class = ray.remote(num_cpus=1, max_restarts=0)(_Tagging)
        self._actors = [self._new_actor() for _ in range(n_workers)]
        self._n_stillborn = 0
        self._began = time.monotonic()
        self._has_told = False

    def _new_actor(self) -> _Actor:
        handle = self._class.remote(self._tagger)
        return _Actor(handle, handle.is_ready.remote())

    def _idle(self) -> _Actor | None:
        """The actor with the fewest chunks, if it may have another."""
        ready = [actor for actor in self._actors if actor.is_ready and len(actor.tasks) < QUEUED]
        return min(ready, key=lambda actor: len(actor.tasks), default=None)

    def _give(self, actor: _Actor, task: Task) -> None:
        chunk = pickle.dumps(task.chunk, pickle.HIGHEST_PROTOCOL)
        actor.tasks[actor.handle.tag.remote(chunk, self._flags)] = task

    def _is_busy(self) -> bool:
        return any(actor.tasks for actor in self._actors)

    def _can_begin(self) -> bool:
        return any(actor.is_ready for actor in self._actors)

    def _hear(self) -> None:
        waited = {reference: actor for actor in self._actors for reference in actor.tasks}
        waited |= {actor.ready: actor for actor in self._actors if not actor.is_ready}
        timeout = _LOOK_AGAIN if self._may_begin() else 1.0
        ready, _ = self._ray.wait(list(waited), num_returns=1, timeout=timeout, fetch_local=True)
        for reference in ready:
            self._receive(waited[reference], reference)
        if not self._has_told and time.monotonic() - self._began > _TELL_AFTER:
            self._has_told = True
            if not self._can_begin():
                note(self._report, f"waiting for the cluster to give {self._n_workers} workers a CPU each")

    def _receive(self, actor: _Actor, reference: Any) -> None:
        if actor not in self._actors:  # it was replaced, and what it had is done again
            return
        errors = self._ray.exceptions
        try:
            value = self._ray.get(reference)
        except (errors.RayActorError, errors.ActorUnavailableError) as error:
            self._count_stillborn(actor, error)
            self._replace(actor)
        except (errors.ObjectLostError, errors.ObjectFetchTimedOutError, errors.OwnerDiedError):
            self._do_again(actor, reference)
        except errors.RayTaskError as error:
            raise _of_ours(error) from None
        else:
            if reference in actor.tasks:
                self._done[actor.tasks.pop(reference).number] = pickle.loads(value)
            else:
                actor.is_ready = True

    def _replace(self, actor: _Actor) -> None:
        """Put a new actor in the place of one that is gone; the chunk that it had begun is perhaps to blame."""
        with contextlib.suppress(Exception):
            self._ray.kill(actor.handle)
        place = self._actors.index(actor)
        begun = True
        for reference, task in actor.tasks.items():
            is_done, _ = self._ray.wait([reference], timeout=0)
            if is_done and (value := self._value_of(reference)) is not None:
                self._done[task.number] = value
                continue
            task.attempts += begun
            begun = False
            self._once_more(task, "was killed, or lost with its machine,")
        self._actors[place] = self._new_actor()

    def _count_stillborn(self, actor: _Actor, error: Exception) -> None:
        """Give up where workers end before they begin: the next would, too."""
        self._n_stillborn = 0 if actor.is_ready else self._n_stillborn + 1
        if self._n_stillborn > _STILLBORN_MOST + self._n_workers:
            reason = str(error).strip().splitlines()[-1][:300]
            raise NerElmoError(
                f"the workers of the cluster end before they begin ({reason}); is ner-elmo installed there?"
            )

    def _value_of(self, reference: Any) -> list[Result] | None:
        """A result that was there before its actor was lost."""
        try:
            return pickle.loads(self._ray.get(reference, timeout=0))  # type: ignore[no-any-return]
        except Exception:
            return None

    def _do_again(self, actor: _Actor, reference: Any) -> None:
        """A result went with the machine that held it."""
        task = actor.tasks.pop(reference, None)
        if task is None:
            self._replace(actor)
            return
        task.lost += 1
        if task.lost >= _LOST_RESULTS:
            raise NerElmoError("results are lost again and again with the machines that hold them; see Ray's logs")
        self._again.append(task)

    def end(self) -> None:
        """End all actors that are there."""
        while self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(self._actors.pop().handle)


def _of_ours(error: Any) -> Exception:
    """What went wrong in a worker, as it was said there."""
    cause = error.cause
    if isinstance(cause, NerElmoError):
        return cause
    if isinstance(cause, ImportError):
        return UsageError(
            f"a worker of the cluster lacks the {cause.name} package; install the same ner-elmo on all its machines"
        )
    return cause if isinstance(cause, Exception) else NerElmoError(str(error).strip().splitlines()[-1])
