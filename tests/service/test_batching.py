"""Requests tagged together: each gets its own answer; full queues, cancelled requests, faults, the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ner_elmo.service.batching import Batcher, ClosedError, QueueFullError
from ner_elmo.text.documents import Document


class Echo:
    """A tagger that finds nothing, waits where it is told to, and remembers its batches."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.batches: list[list[str]] = []

    def tag_chunk(self, chunk: Sequence[Any], *, tokenized: bool, scores: bool) -> list[Document]:
        self.batches.append(list(chunk))
        assert self.goes_on.wait(60)
        if "bad" in chunk:
            raise ArithmeticError("a fault")
        return [Document(f"{text} {tokenized} {scores}") for text in chunk]


def batcher(tagger: Echo, wait: float = 0.05, most: int = 100, batch_tokens: int = 1000) -> Batcher:
    return Batcher(tagger, batch_tokens, wait, most)  # type: ignore[arg-type]


def test_each_gets_its_own_answer_in_its_own_way() -> None:
    tagger = Echo()
    queue = batcher(tagger)

    async def ask(number: int) -> None:
        tokenized = number % 3 == 0
        found = await queue.tag([f"{number} a", f"{number} b"], tokenized, number % 2 == 0)
        assert [one.text for one in found] == [f"{number} {x} {tokenized} {number % 2 == 0}" for x in "ab"]

    async def ask_all() -> None:
        await asyncio.gather(*(ask(number) for number in range(60)))

    asyncio.run(ask_all())
    assert len(tagger.batches) < 60  # several requests were computed together
    queue.close(10)
    assert not queue.is_alive


def test_a_batch_keeps_to_its_budget() -> None:
    tagger = Echo()
    queue = batcher(tagger, batch_tokens=10)

    async def ask_all() -> None:
        await asyncio.gather(*(queue.tag(["x" * 24], False, True) for _ in range(20)))

    asyncio.run(ask_all())
    assert max(map(len, tagger.batches)) <= 2  # of 5 tokens each


def test_a_full_queue_and_a_closed_one() -> None:
    tagger = Echo()
    tagger.goes_on.clear()
    queue = batcher(tagger, wait=0.0, most=2)

    async def ask_all() -> list[Any]:
        first = asyncio.ensure_future(queue.tag(["a"], False, True))
        while not tagger.batches:
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(queue.tag([text], False, True)) for text in "bc"]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await queue.tag(["d"], False, True)
        tagger.goes_on.set()
        return list(await asyncio.gather(first, *others))

    assert [found[0].text[0] for found in asyncio.run(ask_all())] == ["a", "b", "c"]
    queue.close(10)
    with pytest.raises(ClosedError):
        asyncio.run(queue.tag(["e"], False, True))


def test_who_no_longer_waits_leaves_the_queue() -> None:
    tagger = Echo()
    tagger.goes_on.clear()
    queue = batcher(tagger, wait=0.0)

    async def ask_all() -> None:
        first = asyncio.ensure_future(queue.tag(["a"], False, True))
        while not tagger.batches:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(queue.tag(["b"], False, True))
        third = asyncio.ensure_future(queue.tag(["c"], False, True))
        await asyncio.sleep(0)
        assert queue.n_waiting == 2
        second.cancel()
        await asyncio.sleep(0)
        assert queue.n_waiting == 1
        first.cancel()  # it is being computed already
        tagger.goes_on.set()
        assert (await third)[0].text == "c False True"

    asyncio.run(ask_all())
    assert tagger.batches == [["a"], ["c"]]


def test_a_fault_is_that_of_its_batch_alone() -> None:
    queue = batcher(Echo(), wait=0.0)

    async def ask_all() -> None:
        with pytest.raises(ArithmeticError):
            await queue.tag(["bad"], False, True)
        assert (await queue.tag(["good"], False, True))[0].text == "good False True"
        assert await queue.tag([], False, True) == []

    asyncio.run(ask_all())
    assert queue.is_alive


def test_what_waits_is_finished_at_the_end() -> None:
    tagger = Echo()
    tagger.goes_on.clear()
    queue = batcher(tagger, wait=0.0)

    async def ask_all() -> list[Any]:
        tasks = [asyncio.ensure_future(queue.tag([text], False, True)) for text in "abc"]
        while not tagger.batches:
            await asyncio.sleep(0.001)
        threading.Timer(0.05, tagger.goes_on.set).start()
        await asyncio.to_thread(queue.close, 10)
        return list(await asyncio.gather(*tasks))

    assert [found[0].text[0] for found in asyncio.run(ask_all())] == ["a", "b", "c"]
