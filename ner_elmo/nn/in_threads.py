"""Jobs at once on a CPU, sharing torch's threads among them instead of each product among all threads.

Products of so few terms as an LSTM's divide badly, and at the end of each the threads wait for one another: where
another program has a core, every product waits for its turn there. Jobs that share nothing (batches, or the two
directions of a biLM) wait for one another once, at their end, and what one computes does not depend on the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

from ner_elmo.nn.thread_count import threads_for_now

T = TypeVar("T")


def at_once(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """What both return, each with half of torch's threads; one after the other where torch has a single thread.
    Whatever one of them raises is raised."""
    n_threads = max(torch.get_num_threads(), getattr(_divided, "n_threads", 1))
    if n_threads < 2:
        return first(), second()
    beside = _as_here(second, n_threads // 2)
    with threads_for_now(n_threads - n_threads // 2):
        other = _waiting_threads().submit(beside)
        try:
            of_first = first()
        except BaseException:
            if not other.cancel():
                other.exception()  # nothing goes on behind the caller's back
            raise
        if not other.cancel():
            return of_first, other.result()
        with threads_for_now(n_threads // 2):  # no thread was free for it yet
            return of_first, second()


_divided = threading.local()


@contextmanager
def divided_in_two() -> Iterator[None]:
    """Within the block torch computes in one thread, but what is given to :func:`at_once` has a thread each: of so
    little that threads which shared a product would be waited for, rather than help."""
    _divided.n_threads = min(2, torch.get_num_threads())
    try:
        with threads_for_now(1):
            yield
    finally:
        _divided.n_threads = 1


def all_at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What all jobs return, in their order: as many at a time as torch has threads, each with one thread. A single job
    has all threads. Whatever one of them raises is raised, and those that have not begun do not begin."""
    n_at_a_time = min(torch.get_num_threads(), len(jobs))
    if n_at_a_time < 2:
        return [job() for job in jobs]
    with threads_for_now(1), ThreadPoolExecutor(n_at_a_time) as pool:
        return list(pool.map(lambda job: job(), [_as_here(job, 1) for job in jobs]))


@cache
def _waiting_threads() -> ThreadPoolExecutor:
    """Threads that are kept: what torch sets up for a new one takes longer than the half of a short sentence."""
    return ThreadPoolExecutor(os.cpu_count() or 1)


if hasattr(os, "register_at_fork"):  # Windows has no fork; a child has none of these threads
    os.register_at_fork(after_in_child=_waiting_threads.cache_clear)


def _as_here(job: Callable[[], T], n_threads: int) -> Callable[[], T]:
    """The job in another thread, which begins with torch's defaults, not with what holds in this one."""
    keeps_gradients, is_inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def run() -> T:
        torch.set_num_threads(n_threads)
        with torch.inference_mode(is_inference), torch.set_grad_enabled(keeps_gradients):
            return job()

    return run
