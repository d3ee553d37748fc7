"""Held-out perplexity, always by the exact softmax, both directions apart.

A sentence of n tokens gives n + 1 predictions in each direction: its tokens and the closing boundary. Targets outside
the vocabulary are scored as ``<UNK>``. Figures over different vocabularies cannot be compared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from ner_elmo.bilm.data.batches import make_batch
from ner_elmo.bilm.data.corpus import Sentence
from ner_elmo.bilm.data.running_text import one_row
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.predictions import Predictions, directions, running_directions
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.errors import DataError, ModelError
from ner_elmo.nn.cell import States
from ner_elmo.text.batching import by_length, in_chunks
from ner_elmo.text.vocabulary import Vocabulary

DEFAULT_BATCH_TOKENS = 4096
_MOST_LOSS = 700.0  # of a prediction; exp of more is no float64
_READ_AHEAD = 8192  # sentences grouped by length at a time


@dataclass(frozen=True)
class Perplexity:
    """``forward`` and ``backward`` are exp of the mean negative log-likelihood; ``mean`` is exp of their mean;
    ``state`` says what a sentence is read from: ``zero``, or what the one before left (``carried``)."""

    tokens: int
    predictions: int
    forward: float
    backward: float
    mean: float
    unk_rate: float
    vocabulary: str
    state: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def held_out_perplexity(
    model: BiLm,
    softmax: Softmax,
    vocabulary: Vocabulary,
    sentences: Iterable[Sentence],
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
    carry_state: bool = False,
    combine: Callable[[Sequence[float]], Sequence[float]] = lambda sums: sums,
) -> Perplexity:
    """Perplexity of ``sentences``, each read from the zero state, or with ``carry_state`` one after the other, each
    from the state that the one before left in its direction.

    Args:
        combine: adds up sums and counts over processes, each of which has a share of the sentences.

    Raises:
        DataError: there is no sentence.
        ModelError: the weights make no numbers of it.
    """
    forward = backward = 0.0
    n_tokens = predictions = unknown = 0
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        if carry_state:
            parts = _one_reading(model, vocabulary, sentences, batch_tokens)
        else:
            parts = _each_by_itself(model, vocabulary, sentences, batch_tokens)
        for predicted, n_read in parts:
            forward += softmax.losses(predicted.forward, predicted.forward_targets).double().sum().item()
            backward += softmax.losses(predicted.backward, predicted.backward_targets).double().sum().item()
            n_tokens += n_read
            predictions += len(predicted.forward_targets)
            unknown += int((predicted.forward_targets == vocabulary.unknown_id).sum())
    model.train(was_training)
    forward, backward, *counted = combine([forward, backward, n_tokens, predictions, unknown])
    n_tokens, predictions, unknown = map(int, counted)
    if not predictions:
        raise DataError("the text for perplexity holds no sentence")
    if not max(forward, backward) / predictions < _MOST_LOSS:  # nor NaN
        raise ModelError("the biLM gives no probabilities that can be counted; its weights are damaged or too large")
    return Perplexity(
        tokens=n_tokens,
        predictions=predictions,
        forward=math.exp(forward / predictions),
        backward=math.exp(backward / predictions),
        mean=math.exp((forward + backward) / (2 * predictions)),
        unk_rate=unknown / max(1, n_tokens),
        vocabulary=vocabulary.digest(),
        state="carried" if carry_state else "zero",
    )


def _each_by_itself(
    model: BiLm, vocabulary: Vocabulary, sentences: Iterable[Sentence], batch_tokens: int
) -> Iterator[tuple[Predictions, int]]:
    """The predictions and the number of tokens of one batch after the other, each sentence from the zero state."""
    device = next(model.parameters()).device
    stream = iter(sentences)
    while chunk := list(islice(stream, _READ_AHEAD)):
        for group in by_length(chunk, batch_tokens):
            batch = make_batch([chunk[i] for i in group], vocabulary, model.token_encoder)
            yield directions(model, batch.to(device)), batch.n_tokens


def _one_reading(
    model: BiLm, vocabulary: Vocabulary, sentences: Iterable[Sentence], batch_tokens: int
) -> Iterator[tuple[Predictions, int]]:
    """The same with the state carried on from sentence to sentence and from batch to batch."""
    device = next(model.parameters()).device
    states: States = (None, None)
    for chunk in in_chunks(sentences, batch_tokens, boundaries=1):
        batch = one_row(chunk, vocabulary, model.token_encoder)
        predicted, states = running_directions(model, batch.to(device), states)
        yield predicted, batch.n_tokens


def unigram_perplexity(counts: Counter[str], vocabulary: Vocabulary, sentences: Iterable[Sequence[str]]) -> float:
    """Perplexity of an add-one unigram model on the same predictions: tokens and a closing boundary a sentence.

    Args:
        counts: training counts of tokens, with the number of sentences under ``</S>``.
        vocabulary: tokens outside it are counted and scored as ``<UNK>``.
    """
    by_id: Counter[int] = Counter()
    for token, n in counts.items():
        by_id[vocabulary.id_of(token)] += n
    total = sum(by_id.values()) + len(vocabulary)
    log_likelihood, predictions = 0.0, 0
    for sentence in sentences:
        for wanted in (*map(vocabulary.id_of, sentence), vocabulary.end_id):
            log_likelihood += math.log((by_id[wanted] + 1) / total)
            predictions += 1
    return math.exp(-log_likelihood / predictions)
