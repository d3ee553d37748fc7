"""Chunks of a stream as it comes: order, bounds, pauses, errors."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.text.pacing import HELD_CHUNKS, as_they_come

LONG = 60.0  # seconds, after which a test is taken to hang


@given(st.lists(st.text(max_size=5), max_size=60), st.integers(1, 20))
def test_nothing_is_lost_and_no_chunk_is_too_long(items: list[str], most: int) -> None:
    chunks = list(as_they_come(items, most))
    assert [item for chunk in chunks for item in chunk] == items
    for chunk in chunks:
        assert chunk
        assert sum(max(1, len(item)) for item in chunk[:-1]) < most


def test_a_pause_ends_a_chunk() -> None:
    goes_on = threading.Event()

    def slow() -> Iterator[str]:
        yield from ("a", "b")
        assert goes_on.wait(LONG)
        yield "c"

    waits = []
    chunks = as_they_come(slow(), 1000, lambda: waits.append(1))
    got = [next(chunks)]
    if got[0] == ["a"]:  # a slow machine may see a pause between the two
        got.append(next(chunks))
    assert list(itertools.chain.from_iterable(got)) == ["a", "b"]
    before = len(waits)
    goes_on.set()
    assert list(chunks) == [["c"]]
    assert len(waits) >= before


def test_what_waits_is_told_before() -> None:
    """So that what was written can be flushed before the source is waited for."""
    flushed = threading.Event()

    def source() -> Iterator[str]:
        assert flushed.wait(LONG)  # comes only once somebody is about to wait
        yield "a"

    assert list(as_they_come(source(), 10, flushed.set)) == [["a"]]


def test_an_error_comes_in_its_place() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    got: list[str] = []

    def read() -> None:
        for chunk in as_they_come(broken(), 10):
            got.extend(chunk)

    with pytest.raises(OSError, match="gone"):
        read()
    assert got == ["a"]


def test_a_slow_reader_makes_the_source_wait() -> None:
    n_read = 0

    def endless() -> Iterator[str]:
        nonlocal n_read
        while True:
            n_read += 1
            yield "x" * 10

    chunks = as_they_come(endless(), 100)
    next(chunks)
    for _ in range(50):
        next(chunks)
    held = n_read - 51 * 10
    assert held <= (HELD_CHUNKS + 1) * 10 + 1
    chunks.close()
