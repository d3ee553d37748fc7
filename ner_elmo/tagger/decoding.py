"""Entities of many sentences at once, in the order of the sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ner_elmo.errors import ModelError
from ner_elmo.tagger.network.inputs import Example, collate
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.text.batching import batches_by_length
from ner_elmo.text.tag_scheme import Span, read_tags

BATCH_TOKENS = 4096

ScoredSpan = tuple[Span, float]
Reading = tuple[list[Span], float]  # all entities of a sentence, and the log probability of just these


def predict(
    model: TaggerModel,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[list[Span]]:
    """The most probable entities of each sentence."""
    results: list[list[Span]] = [[] for _ in examples]
    for indices, emissions, mask in emission_batches(model, examples, device, batch_tokens):
        for index, spans in zip(indices, decode(model, emissions, mask), strict=True):
            results[index] = spans
    return results


def predict_scored(
    model: TaggerModel,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
    temperature: float = 1.0,
) -> list[list[ScoredSpan]]:
    """The most probable entities of each sentence, each with its probability P(span, label | sentence) in 0..1."""
    results: list[list[ScoredSpan]] = [[] for _ in examples]
    for indices, emissions, mask in emission_batches(model, examples, device, batch_tokens):
        decoded = decode(model, emissions, mask)
        log_scores = model.crf.span_log_probabilities(emissions, mask, decoded, temperature)
        for index, spans, scores in zip(indices, decoded, log_scores, strict=True):
            results[index] = [(span, math.exp(score)) for span, score in zip(spans, scores, strict=True)]
    return results


def predict_readings(
    model: TaggerModel,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[Reading]:
    """The most probable tag sequence of each sentence, as its entities, with its log probability among all of them."""
    results: list[Reading] = [([], 0.0) for _ in examples]
    tags, scheme = model.options.tags, model.options.scheme
    for indices, emissions, mask in emission_batches(model, examples, device, batch_tokens):
        with torch.inference_mode():
            sequences = model.crf.decode(emissions, mask)
            padded = torch.zeros(mask.shape, dtype=torch.long, device=emissions.device)
            for row, sequence in enumerate(sequences):
                padded[row, : len(sequence)] = torch.tensor(sequence, device=emissions.device)
            costs = model.crf.neg_log_likelihood(emissions, padded, mask).clamp(min=0.0).tolist()
        for index, sequence, cost in zip(indices, sequences, costs, strict=True):
            results[index] = read_tags([tags[tag] for tag in sequence], scheme), -cost
    return results


def emission_batches(
    model: TaggerModel, examples: Sequence[Example], device: torch.device | str, batch_tokens: int = BATCH_TOKENS
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Batches of sentences of similar length: their indices, emissions ``(batch, time, tags)`` and mask
    ``(batch, time)``. The model reads them without dropout.

    Raises:
        ModelError: the network computes what are no numbers.
    """
    was_training = model.training
    if was_training:  # one that is not is left alone: other threads may be using it
        model.eval()
    try:
        for indices in batches_by_length([len(example.tokens) for example in examples], batch_tokens):
            batch = collate([examples[index] for index in indices]).to(device)
            with torch.inference_mode():
                emissions = model(batch)
            if not torch.isfinite(emissions).all():  # of all sequences none would then be the best
                raise ModelError("the tagger computes NaN or infinity; its weights are damaged, or far too large")
            yield indices, emissions, batch.mask
    finally:
        if was_training:
            model.train()


def decode(model: TaggerModel, emissions: Tensor, mask: Tensor) -> list[list[Span]]:
    """The entities of each sentence's most probable tag sequence."""
    with torch.inference_mode():
        sequences = model.crf.decode(emissions, mask)
    tags, scheme = model.options.tags, model.options.scheme
    return [read_tags([tags[tag] for tag in sequence], scheme) for sequence in sequences]
