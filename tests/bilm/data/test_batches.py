"""Batches of whole sentences: each once, within the budget, with their boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from ner_elmo.bilm.data import batches
from ner_elmo.text.characters import char_ids
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.small_bilms import make_model, make_options
from tests.support.toy_pretraining import toy_text


def test_batches_hold_every_sentence_once_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHUFFLE_BUFFER", 50)
    sentences = toy_text(173, 2)

    def of_epoch(epoch: int) -> list[list[list[str]]]:
        return list(batches.training_batches(lambda: (list(s) for s in sentences), 40, 1, epoch))

    found = of_epoch(0)
    assert sorted(sentence for batch in found for sentence in batch) == sorted(sentences)
    assert all(len(batch) * (max(map(len, batch)) + 2) <= 40 for batch in found)
    assert of_epoch(0) == found
    assert of_epoch(1) != found


def test_long_sentences_are_cut_for_training() -> None:
    found = list(batches.training_batches(lambda: [["x"] * 95], 32, 1, 0))
    assert sorted(len(sentence) for batch in found for sentence in batch) == [5, 30, 30, 30]


def test_make_batch() -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "b"])
    batch = batches.make_batch([["a", "zz"], ["b"]], vocabulary, make_model(make_options()).token_encoder)
    assert batch.targets.t().tolist() == [[0, 3, 2, 1], [0, 4, 1, 1]]
    assert batch.lengths.tolist() == [4, 3]
    assert batch.n_tokens == 3
    assert len(batch.types) == 5
    wanted = char_ids(["<S>", "a", "zz", "</S>"], 12)
    np.testing.assert_array_equal(batch.types[batch.tokens[:, 0]].numpy(), wanted)
