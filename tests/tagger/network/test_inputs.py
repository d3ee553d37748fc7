"""Words, examples and batches: what a network reads."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from ner_elmo.tagger.network.inputs import (
    UNKNOWN_INDEX,
    Example,
    collate,
    drop_contexts,
    drop_singletons,
    initial_vectors,
    make_examples,
    make_words,
)
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span
from tests.support.small_taggers import TAGS


def test_words_are_found_exactly_then_lower_cased_then_unknown() -> None:
    words = make_words(Counter({"the": 3, "Apple": 2, "rare": 1}), min_count=2)
    assert words.words == ["<pad>", "<unk>", "the", "Apple"]
    assert [words.index(form) for form in ("the", "THE", "Apple", "apple", "rare")] == [2, 2, 3, 1, 1]


def test_words_of_a_vectors_file_follow_and_start_from_its_vectors() -> None:
    words = make_words(Counter({"Rome": 2, "new": 1, "seen": 1}), min_count=1, known=["rome", "seen", "paris"])
    assert words.n_tuned == 5
    assert words.words[5:] == ["rome", "paris"]
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    table = initial_vectors(words, 2, ["rome", "seen", "paris"], vectors, seed=1)
    assert table[words.index("Rome")].tolist() == [0, 1]  # by its lower-case form
    assert table[words.index("seen")].tolist() == [2, 3]
    assert table[words.index("paris")].tolist() == [4, 5]
    assert not table[0].any()
    assert table[words.index("new")].any()


def test_only_singletons_are_dropped() -> None:
    words = make_words(Counter({"a": 2, "b": 1}))
    batch = collate([Example(("a", "b") * 50, words.indices(("a", "b") * 50))])
    torch.manual_seed(0)
    dropped = drop_singletons(batch, words, 0.5).word_ids[0]
    assert (dropped[::2] == words.index("a")).all()
    assert 10 < int((dropped[1::2] == UNKNOWN_INDEX).sum()) < 40


def test_sentences_lose_their_context_whole() -> None:
    words = make_words(Counter({"a": 2}))
    context = np.ones((3, 4), dtype=np.float16)
    batch = collate([Example(("a",) * 3, words.indices(("a",) * 3), context=context) for _ in range(200)])
    torch.manual_seed(1)
    dropped = drop_contexts(batch, 0.3).context
    assert dropped is not None
    left = dropped.sum((1, 2))
    assert set(left.tolist()) == {0.0, 12.0}
    assert 30 < int((left == 0).sum()) < 90
    assert drop_contexts(batch, 0.0) is batch
    without = collate([Example(("a",), words.indices(("a",)))])
    assert drop_contexts(without, 0.3) is without


def test_tags_of_unknown_labels_become_outside() -> None:
    sentence = LabelledSentence(("x", "y", "z"), (Span(0, 1, "A"), Span(1, 3, "NEW")))
    (made,) = make_examples([sentence], make_words(Counter()), {tag: i for i, tag in enumerate(TAGS)}, "bioes")
    assert made.tag_ids is not None
    assert [TAGS[i] for i in made.tag_ids] == ["S-A", "O", "O"]
