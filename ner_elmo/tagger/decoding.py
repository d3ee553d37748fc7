"""Entities of many sentences at once, in the order of the sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ner_elmo.errors import ModelError
from ner_elmo.nn.in_threads import all_at_once, divided_in_two
from ner_elmo.tagger.agreement import with_agreement
from ner_elmo.tagger.network.inputs import Example, collate
from ner_elmo.tagger.network.joined import Network
from ner_elmo.text.batching import batches_by_length, shared
from ner_elmo.text.tag_scheme import TOKEN, Span, read_tags

BATCH_TOKENS = 4096

R = TypeVar("R")
ScoredSpan = tuple[Span, float]
EmissionsAt = Callable[[list[int]], tuple[Tensor, Tensor]]  # of the sentences of a batch: emissions and mask
Reading = tuple[list[Span], float]  # all entities of a sentence, and the log probability of just these


def predict(
    model: Network,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[list[Span]]:
    """The most probable entities of each sentence."""
    return _in_batches(model, examples, device, batch_tokens, lambda emissions, mask: decode(model, emissions, mask))


def predict_scored(
    model: Network,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
    temperature: float = 1.0,
) -> list[list[ScoredSpan]]:
    """The most probable entities of each sentence, each with its probability P(span, label | sentence) in 0..1."""

    def scored(emissions: Tensor, mask: Tensor) -> list[list[ScoredSpan]]:
        decoded = decode(model, emissions, mask)
        log_scores = model.crf.span_log_probabilities(emissions, mask, decoded, temperature)
        return [
            [(span, math.exp(score)) for span, score in zip(spans, scores, strict=True)]
            for spans, scores in zip(decoded, log_scores, strict=True)
        ]

    return _in_batches(model, examples, device, batch_tokens, scored)


def predict_readings(
    model: Network,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[Reading]:
    """The most probable tag sequence of each sentence, as its entities, with its log probability among all of them."""
    tags, scheme = model.options.tags, model.options.scheme

    def readings(emissions: Tensor, mask: Tensor) -> list[Reading]:
        with torch.inference_mode():
            sequences = model.crf.decode(emissions, mask)
            padded = torch.zeros(mask.shape, dtype=torch.long, device=emissions.device)
            for row, sequence in enumerate(sequences):
                padded[row, : len(sequence)] = torch.tensor(sequence, device=emissions.device)
            costs = model.crf.neg_log_likelihood(emissions, padded, mask).clamp(min=0.0).tolist()
        return [
            (read_tags([tags[tag] for tag in sequence], scheme), -cost)
            for sequence, cost in zip(sequences, costs, strict=True)
        ]

    return _in_batches(model, examples, device, batch_tokens, readings)


def _in_batches(
    model: Network,
    examples: Sequence[Example],
    device: torch.device | str,
    batch_tokens: int,
    compute: Callable[[Tensor, Tensor], list[R]],
    emissions_at: EmissionsAt | None = None,
) -> list[R]:
    """What ``compute`` finds in each sentence from emissions and mask of a batch; batches beside one another, where
    torch has several threads."""
    if not examples:
        return []
    emissions_at = emissions_at or _emissions_at(model, examples, device, batch_tokens)
    results: dict[int, R] = {}
    lengths = [len(example.tokens) for example in examples]
    on_cpu = torch.device(device).type == "cpu"
    n_threads = torch.get_num_threads() if on_cpu else 1
    batches = batches_by_length(lengths, shared(sum(lengths), batch_tokens, n_threads))

    def run(indices: list[int]) -> None:
        emissions, mask = emissions_at(indices)
        results.update(zip(indices, compute(emissions, mask), strict=True))

    with _evaluating(model):
        if on_cpu and len(batches) == 1:
            with divided_in_two():
                run(batches[0])
        elif on_cpu:
            all_at_once([partial(run, indices) for indices in batches])
        else:
            for indices in batches:
                run(indices)
    return [results[index] for index in range(len(examples))]


def _first_pass(model: Network, examples: Sequence[Example], device: torch.device | str) -> EmissionsAt:
    return lambda indices: _emissions(model, [examples[index] for index in indices], device)


def _emissions_at(
    model: Network, examples: Sequence[Example], device: torch.device | str, batch_tokens: int
) -> EmissionsAt:
    """What gives emissions and mask of the sentences of a batch; with two passes the first is made here."""
    if not model.options.passes_twice:
        return _first_pass(model, examples, device)
    tokens, documents = [example.tokens for example in examples], [example.document for example in examples]
    found = emissions_of(model, examples, device, batch_tokens)
    options = model.options
    agreed = with_agreement(found, tokens, documents, options.tags, options.scheme, options.context_window)

    def second(indices: list[int]) -> tuple[Tensor, Tensor]:
        some = [torch.from_numpy(agreed[index]) for index in indices]
        lengths = torch.tensor([len(one) for one in some])
        mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        return pad_sequence(some, batch_first=True).to(device), mask.to(device)

    return second


def emissions_of(
    model: Network,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[np.ndarray]:
    """The emissions of each sentence, ``(time, tags)`` float32, those of the first pass if there are two.

    Raises:
        ModelError: the network computes what are no numbers.
    """

    def rows(emissions: Tensor, mask: Tensor) -> list[np.ndarray]:
        lengths = mask.sum(dim=1).tolist()
        arrays = emissions.float().cpu().numpy()
        return [array[:length].copy() for array, length in zip(arrays, lengths, strict=True)]

    return _in_batches(model, examples, device, batch_tokens, rows, _first_pass(model, examples, device))


def emission_batches(
    model: Network, examples: Sequence[Example], device: torch.device | str, batch_tokens: int = BATCH_TOKENS
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Batches of sentences of similar length: their indices, emissions ``(batch, time, tags)`` and mask
    ``(batch, time)``. The model reads them without dropout.

    Raises:
        ModelError: the network computes what are no numbers.
    """
    with _evaluating(model):
        emissions_at = _emissions_at(model, examples, device, batch_tokens)
        for indices in batches_by_length([len(example.tokens) for example in examples], batch_tokens):
            yield indices, *emissions_at(indices)


def _emissions(model: Network, examples: list[Example], device: torch.device | str) -> tuple[Tensor, Tensor]:
    batch = collate(examples).to(device)
    with torch.inference_mode():
        emissions = model(batch)
    if not torch.isfinite(emissions).all():  # of all sequences none would then be the best
        raise ModelError("the tagger computes NaN or infinity; its weights are damaged, or far too large")
    return emissions, batch.mask


@contextmanager
def _evaluating(model: Network) -> Iterator[None]:
    """Within the block there is no dropout."""
    was_training = model.training
    if was_training:  # one that is not is left alone: other threads may be using it
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


def decode(model: Network, emissions: Tensor, mask: Tensor) -> list[list[Span]]:
    """The entities of each sentence's most probable tag sequence."""
    with torch.inference_mode():
        sequences = model.crf.decode(emissions, mask)
    tags, scheme = model.options.tags, model.options.scheme
    # Most sentences of most texts have no entity, and O is the first tag.
    return [
        read_tags([tags[tag] for tag in sequence], scheme) if any(sequence) or scheme == TOKEN else []
        for sequence in sequences
    ]
