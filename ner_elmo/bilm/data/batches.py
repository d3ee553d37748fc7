"""Batches of whole sentences: shuffled in a buffer, cut where they are long, those of like length together."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ner_elmo.bilm.data.corpus import Sentence
from ner_elmo.bilm.token_encoder import TokenEncoder
from ner_elmo.errors import DataError
from ner_elmo.text.batching import by_length
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE
from ner_elmo.text.vocabulary import Vocabulary

SHUFFLE_BUFFER = 65_536  # sentences read, shuffled and cut into batches at a time
LONGEST_TRAINING_SENTENCE = 400  # tokens; longer ones are cut into pieces for training, never for perplexity


class Batch(NamedTuple):
    """Padded sentences with their boundaries, time first.

    Attributes:
        types: the distinct tokens of the batch as rows of the token encoder ``(types, ...)``.
        tokens: indices into ``types`` ``(time, batch)``; padding repeats the end of the sentence.
        targets: word ids ``(time, batch)``.
        lengths: real positions of each sentence, boundaries included ``(batch,)``.
        n_tokens: tokens without boundaries.
    """

    types: Tensor
    tokens: Tensor
    targets: Tensor
    lengths: Tensor
    n_tokens: int

    def to(self, device: torch.device | str) -> Batch:
        types, tokens, targets, lengths = (part.to(device, non_blocking=True) for part in self[:4])
        return Batch(types, tokens, targets, lengths, self.n_tokens)

    def pinned(self) -> Batch:
        """In memory from which a GPU copies while it computes."""
        types, tokens, targets, lengths = (part.pin_memory() for part in self[:4])
        return Batch(types, tokens, targets, lengths, self.n_tokens)


def make_batch(sentences: Sequence[Sentence], vocabulary: Vocabulary, encoder: TokenEncoder) -> Batch:
    """Build a batch, on the CPU, whose tokens ``encoder`` is to read."""
    bounded = [[BEGIN_SENTENCE, *sentence, END_SENTENCE] for sentence in sentences]
    lengths = [len(sentence) for sentence in bounded]
    index: dict[str, int] = {END_SENTENCE: 0}
    tokens = np.zeros((max(lengths), len(bounded)), dtype=np.int64)
    for column, sentence in enumerate(bounded):
        tokens[: len(sentence), column] = [index.setdefault(token, len(index)) for token in sentence]
    ids = np.array([vocabulary.id_of(token) for token in index], dtype=np.int64)
    return Batch(
        types=encoder.rows_of(list(index), vocabulary),
        tokens=torch.from_numpy(tokens),
        targets=torch.from_numpy(ids[tokens]),
        lengths=torch.tensor(lengths),
        n_tokens=sum(lengths) - 2 * len(lengths),
    )


def training_batches(
    source: Callable[[], Iterable[list[str]]], batch_tokens: int, seed: int | str, epoch: int
) -> Iterator[list[list[str]]]:
    """The batches of one epoch as lists of sentences: a pure function of its arguments, so that a run can resume.

    ``SHUFFLE_BUFFER`` sentences are read at a time and cut into batches of like length, in a random order.

    Raises:
        DataError: the text holds no sentence.
    """
    order = random.Random(f"{seed}/{epoch}")
    longest = max(1, min(LONGEST_TRAINING_SENTENCE, batch_tokens - 2))
    buffer: list[list[str]] = []
    any_yet = False

    def drain() -> Iterator[list[list[str]]]:
        order.shuffle(buffer)
        groups = list(by_length(buffer, batch_tokens))
        order.shuffle(groups)
        for group in groups:
            yield [buffer[i] for i in group]
        buffer.clear()

    for tokens in source():
        any_yet = True
        buffer.extend(pieces(list(map(sys.intern, tokens)), longest))  # a word that is there already is kept once
        if len(buffer) >= SHUFFLE_BUFFER:
            yield from drain()
    if not any_yet:
        raise DataError("the training text holds no sentence")
    yield from drain()


def pieces(tokens: list[str], longest: int) -> Iterator[list[str]]:
    """Cut a sentence into pieces of at most ``longest`` tokens."""
    for start in range(0, len(tokens), longest):
        yield tokens[start : start + longest]
