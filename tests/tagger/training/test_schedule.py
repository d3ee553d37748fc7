"""Epochs, batches and learning rates that follow from the number of sentences."""

from __future__ import annotations

import pytest

from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.tagger.training.schedule import batch_for, epochs_for, linear_factor


@pytest.mark.parametrize(("n_sentences", "batch"), [(1, 8), (163, 8), (639, 8), (640, 16), (2559, 32), (14041, 64)])
def test_batches_grow_with_the_sentences(n_sentences: int, batch: int) -> None:
    assert batch_for(n_sentences) == batch


@pytest.mark.parametrize(
    ("n_sentences", "batch", "epochs"), [(0, 8, 60), (163, 8, 60), (2884, 64, 35), (14041, 64, 8), (10**6, 64, 8)]
)
def test_few_sentences_are_read_more_often(n_sentences: int, batch: int, epochs: int) -> None:
    assert epochs_for(n_sentences, batch, "linear") == epochs
    assert epochs_for(n_sentences, batch, "plateau") == 50
    assert epochs_for(n_sentences, batch, "linear", has_bilm=False) == min(60, 2 * epochs)


def test_the_rate_rises_and_falls() -> None:
    factors = [linear_factor(step / 1000) for step in range(1001)]
    top = factors.index(max(factors))
    assert (factors[0], factors[top], factors[-1]) == (0, pytest.approx(1), 0)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert top == 50


def test_what_is_given_counts() -> None:
    config = TaggerConfig(train="x", epochs=3, batch_sentences=5, batch_tokens=7, patience=2)
    options = config.training_options(1, None, 14041)
    assert (options.epochs, options.batch_sentences, options.batch_tokens, options.patience) == (3, 5, 7, 2)
    options = TaggerConfig(train="x").training_options(1, None, 163)
    assert (options.epochs, options.batch_sentences, options.batch_tokens, options.patience) == (60, 8, 512, None)
    options = TaggerConfig(train="x", schedule="plateau").training_options(1, None, 163)
    assert (options.epochs, options.patience) == (50, 8)
