"""Every sentence once, in the order that was promised, within the budget."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.text.batching import BOUNDARIES, POOL_BATCHES, batches_by_length, by_length, in_chunks

lengths_of_sentences = st.lists(st.integers(0, 30), max_size=60)


def flat(batches: list[list[int]]) -> list[int]:
    return [index for batch in batches for index in batch]


@given(lengths_of_sentences, st.integers(1, 80), st.integers(0, 2))
def test_chunks_hold_the_stream_in_its_order_and_end_where_they_are_full(
    lengths: list[int], most: int, boundaries: int
) -> None:
    items = ["x" * length for length in lengths]
    chunks = list(in_chunks(items, most, boundaries))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(chunks)
    sizes = [[max(1, len(item) + boundaries) for item in chunk] for chunk in chunks]
    assert all(sum(chunk[:-1]) < most for chunk in sizes)
    assert all(sum(chunk) >= most for chunk in sizes[:-1])


def test_a_chunk_is_given_out_before_more_is_read() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for read in count(1):
            yield "" if read % 2 else "ab"

    chunks = list(islice(in_chunks(endless(), 6), 3))
    assert chunks == [["", "ab", "", "ab"]] * 3  # an empty one counts, or an endless stream of them would be held
    assert read == 12


@given(lengths_of_sentences, st.integers(1, 80))
def test_groups_hold_every_sentence_once_shortest_first_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(by_length(["x" * length for length in lengths], budget))
    assert flat(groups) == sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    for group in groups:
        assert len(group) == 1 or len(group) * (max(lengths[i] for i in group) + BOUNDARIES) <= budget
    for group, after in pairwise(groups):  # and none is cut before it is full
        assert (len(group) + 1) * (lengths[after[0]] + BOUNDARIES) > budget


@given(
    lengths_of_sentences,
    st.integers(1, 40),
    st.one_of(st.none(), st.integers(1, 7)),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_batches_hold_every_sentence_once_within_the_budget(
    lengths: list[int], budget: int, most: int | None, seed: int | None
) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    batches = batches_by_length(lengths, budget, most, rng)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
        assert most is None or len(batch) <= most
    if rng is None:
        assert flat(batches) == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def test_a_sentence_longer_than_the_budget_is_alone() -> None:
    assert batches_by_length([2, 99, 2], 10) == [[1], [0, 2]]
    assert list(by_length(["ab", "x" * 99, "ab"], 10)) == [[0, 2], [1]]


def test_random_batches_differ_but_follow_from_the_generator() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 4 * POOL_BATCHES).tolist()
    first, same, other = (batches_by_length(lengths, 100, 2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == same != other
    gaps = [abs(lengths[a] - lengths[b]) for a, b in (batch for batch in first if len(batch) == 2)]
    assert sum(gaps) / len(gaps) < 2, "sentences of a batch are of like length"
