"""Vocabularies: their order, their file, and new words that join them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ner_elmo.errors import DataError
from ner_elmo.text.vocabulary import Vocabulary, extended, most_frequent, read_vocabulary, write_vocabulary

OLD = Vocabulary(["<S>", "</S>", "<UNK>", "b", "a"])
COUNTS = Counter({"a": 5, "new": 9, "b": 2, "newer": 3, "rare": 1, "<unk>": 7, "</S>": 4})


def test_vocabulary_round_trip_and_order(tmp_path: Path) -> None:
    vocabulary = most_frequent(Counter({"b": 3, "a": 3, "c": 5, "rare": 1}), 10)
    assert vocabulary.tokens == ["<S>", "</S>", "<UNK>", "c", "a", "b"]
    write_vocabulary(vocabulary, tmp_path / "vocab.txt")
    again = read_vocabulary(tmp_path / "vocab.txt")
    assert again.tokens == vocabulary.tokens
    assert again.digest() == vocabulary.digest()
    (tmp_path / "bad.txt").write_text("<S>\n</S>\na\n")
    with pytest.raises(DataError, match="found no line <UNK>"):
        read_vocabulary(tmp_path / "bad.txt")


def test_new_words_join_a_vocabulary_by_their_frequency() -> None:
    assert extended(OLD, COUNTS).tokens == ["<S>", "</S>", "<UNK>", "new", "a", "newer", "b"]
    assert extended(OLD, COUNTS, size=6).tokens == ["<S>", "</S>", "<UNK>", "new", "a", "b"]
    assert extended(OLD, COUNTS, min_count=4).tokens == ["<S>", "</S>", "<UNK>", "new", "a", "b"]
    assert extended(OLD, Counter({"new": 9}), min_count=2).tokens == ["<S>", "</S>", "<UNK>", "new", "b", "a"]
    assert extended(OLD, COUNTS, size=5) is OLD  # also in its order
    assert extended(OLD, Counter({"a": 9, "rare": 1})) is OLD
