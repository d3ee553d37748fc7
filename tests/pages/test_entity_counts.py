"""Counts of entities: exact until memory ends, then off by no more than is said."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.entity_counts import EntityCounts, Frequent, folded


def test_entities_are_told_apart_by_label_and_words() -> None:
    counts = EntityCounts()
    for label, text in [("PER", "Ann  Lee"), ("PER", "Ann\nLee"), ("LOC", "Ann Lee"), ("PER", "ann lee")]:
        counts.add(label, text)
    assert counts.most_frequent(2) == [Frequent("PER", "Ann Lee", 2), Frequent("LOC", "Ann Lee", 1)]
    assert counts.labels == {"PER": 3, "LOC": 1}
    assert counts.is_exact
    assert counts.note() == ""


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_what_is_forgotten_is_bounded(numbers: list[int], most: int) -> None:
    counts = EntityCounts(most_held=most)
    for number in numbers:
        counts.add("X", str(number))
    true = Counter(numbers)
    found = {int(text): times for _, text, times in counts.most_frequent(100)}
    assert len(found) <= most
    assert counts.labels["X"] == len(numbers)
    for number, times in true.items():
        assert times - counts.missed <= found.get(number, 0) <= times
    if len(true) <= most:
        assert found == true
        assert counts.is_exact


def test_the_most_frequent_survive() -> None:
    counts = EntityCounts(most_held=100)
    for number in range(5_000):
        counts.add("X", "often" if number % 3 == 0 else f"once {number}")
    assert counts.most_frequent(1) == [Frequent("X", "often", 1667)]
    assert not counts.is_exact
    assert "approximate" in counts.note()


def test_white_space_is_folded() -> None:
    assert folded(" a\u00a0\u2003b\n\tc ") == "a b c"
