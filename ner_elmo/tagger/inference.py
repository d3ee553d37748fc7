"""Entities of many sentences at once, in the order of the sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ner_elmo.tagger.features import Example, batches_by_length, collate
from ner_elmo.tagger.model import TaggerModel
from ner_elmo.text.tag_scheme import Span, spans

BATCH_TOKENS = 4096


def predict(
    model: TaggerModel,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[list[Span]]:
    """The most probable entities of each sentence."""
    return [[span for span, _ in found] for found in _predict(model, examples, device, batch_tokens, scored=False)]


def predict_scored(
    model: TaggerModel,
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    batch_tokens: int = BATCH_TOKENS,
) -> list[list[tuple[Span, float]]]:
    """The most probable entities of each sentence, each with its probability P(span, label | sentence) in 0..1."""
    return _predict(model, examples, device, batch_tokens, scored=True)


@torch.inference_mode()
def _predict(
    model: TaggerModel, examples: Sequence[Example], device: torch.device | str, batch_tokens: int, scored: bool
) -> list[list[tuple[Span, float]]]:
    was_training = model.training
    model.eval()
    results: list[list[tuple[Span, float]]] = [[] for _ in examples]
    for indices in batches_by_length([len(example.tokens) for example in examples], batch_tokens):
        batch = collate([examples[index] for index in indices]).to(device)
        emissions = model(batch)
        found = [
            spans([model.options.tags[tag] for tag in sequence]) for sequence in model.crf.decode(emissions, batch.mask)
        ]
        if scored:
            log_scores = model.crf.span_log_probabilities(emissions, batch.mask, found)
        else:
            log_scores = [[0.0] * len(sentence) for sentence in found]
        for index, sentence, scores in zip(indices, found, log_scores, strict=True):
            results[index] = [(span, math.exp(score)) for span, score in zip(sentence, scores, strict=True)]
    model.train(was_training)
    return results
