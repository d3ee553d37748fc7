"""Items that a thread makes ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from ner_elmo.bilm.data.read_ahead import read_ahead


@pytest.mark.parametrize("n_items", [0, 1, 3, 4, 50])
def test_gives_all_items_in_their_order(n_items: int) -> None:
    assert list(read_ahead(iter(range(n_items)), 3)) == list(range(n_items))


def test_makes_items_before_they_are_asked_for_but_not_too_many() -> None:
    made = threading.Semaphore(0)
    count = []

    def items() -> Iterator[int]:
        for number in range(100):
            count.append(number)
            made.release()
            yield number

    with closing(read_ahead(items(), 3)) as stream:
        assert next(stream) == 0
        for _ in range(4):  # the one that was read and three that lie ready
            assert made.acquire(timeout=10)
        assert len(count) <= 5  # and one that waits for room


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken text")

    stream = read_ahead(items(), 3)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken text"):
        next(stream)


def test_closing_ends_the_thread_and_what_it_reads() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    with closing(read_ahead(items(), 2)) as stream:
        assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())
    assert closed.wait(10)
