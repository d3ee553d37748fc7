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
from torch.nn import functional

from ner_elmo.bilm.data.corpus import Batch, Sentence, make_batch
from ner_elmo.bilm.data.running_text import RunningBatch, States, one_row, running_directions
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.errors import DataError
from ner_elmo.nn.packing import reversal, reverse
from ner_elmo.text.batching import by_length, in_chunks
from ner_elmo.text.vocabulary import Vocabulary

DEFAULT_BATCH_TOKENS = 4096
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


def directions(model: BiLm, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Forward and backward outputs ``(predictions, projection_dim)`` with their targets ``(predictions,)``.

    The token encoder runs once for each distinct token of the batch.
    """
    vectors = functional.embedding(batch.tokens, model.token_encoder(batch.types))
    forward, backward = model.predictions(vectors, batch.lengths)
    time = batch.targets.shape[0]
    real = torch.arange(time - 1, device=batch.lengths.device).unsqueeze(1) < batch.lengths - 1
    reversed_targets = reverse(batch.targets, reversal(batch.lengths, time))
    return forward[real], backward[real], batch.targets[1:][real], reversed_targets[1:][real]


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
    """
    device = next(model.parameters()).device
    max_characters = model.options.max_characters if model.options.char_cnn else None
    forward = backward = 0.0
    n_tokens = predictions = unknown = 0
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        if carry_state:
            chunks = in_chunks(sentences, batch_tokens, boundaries=1)
            parts = _one_reading(model, (one_row(chunk, vocabulary, max_characters).to(device) for chunk in chunks))
        else:
            batches = _batches(sentences, vocabulary, max_characters, batch_tokens)
            parts = ((*directions(model, batch.to(device)), batch.n_tokens) for batch in batches)
        for y_forward, y_backward, wanted_forward, wanted_backward, n_read in parts:
            forward += softmax.losses(y_forward, wanted_forward).double().sum().item()
            backward += softmax.losses(y_backward, wanted_backward).double().sum().item()
            n_tokens += n_read
            predictions += len(wanted_forward)
            unknown += int((wanted_forward == vocabulary.unknown_id).sum())
    model.train(was_training)
    forward, backward, *counted = combine([forward, backward, n_tokens, predictions, unknown])
    n_tokens, predictions, unknown = map(int, counted)
    if not predictions:
        raise DataError("the text for perplexity holds no sentence")
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


def _one_reading(
    model: BiLm, batches: Iterable[RunningBatch]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]]:
    """:func:`directions` and the number of tokens of one batch after the other, the state carried on."""
    states: States = (None, None)
    for batch in batches:
        predicted, states = running_directions(model, batch, states)
        yield *predicted, batch.n_tokens


def _batches(
    sentences: Iterable[Sentence], vocabulary: Vocabulary, max_characters: int | None, batch_tokens: int
) -> Iterator[Batch]:
    stream = iter(sentences)
    while chunk := list(islice(stream, _READ_AHEAD)):
        for group in by_length(chunk, batch_tokens):
            yield make_batch([chunk[i] for i in group], vocabulary, max_characters)


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
