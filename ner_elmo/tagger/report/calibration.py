"""Whether a tagger's probabilities can be believed, and the one number that makes them more so.

Of the entities to which it gives a probability of about 0.8, about 80 % should be right. The reliability table shows by
how much they are not; the expected calibration error sums it up (Naeini, Cooper and Hauskrecht, 2015; Guo et al., 2017,
"On calibration of modern neural networks", §2). Temperature scaling (Guo et al., §4.2), here of the whole tag lattice,
divides every sequence's score by one number, fitted on dev; the entities found stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ner_elmo.tagger.decoding import decode, emission_batches
from ner_elmo.tagger.network.inputs import Example
from ner_elmo.tagger.network.joined import Network
from ner_elmo.text.tag_scheme import Span

N_BINS = 15
TEMPERATURES = (0.25, 8.0)
# With fewer right or fewer wrong entities than this, a temperature would be fitted to chance.
FEWEST_OF_EACH = 10
_TOLERANCE = 0.02  # of log T, within which a temperature is found
_LEAST = 1e-12  # a probability of a wrong entity's being wrong, as far as it is counted


@dataclass
class _Lattices:
    emissions: Tensor  # (batch, time, tags)
    mask: Tensor  # (batch, time)
    spans: list[list[Span]]


@dataclass
class Predictions:
    """The entities of each sentence, and what is needed to compute their probabilities again."""

    spans: list[list[Span]]
    model: Network
    batches: list[_Lattices]
    is_correct: np.ndarray  # (entities,) bool, in the order of the batches

    def probabilities(self, temperature: float) -> np.ndarray:
        """``(entities,)`` in the order of ``is_correct``."""
        log_probabilities = [
            log_probability
            for batch in self.batches
            for sentence in self.model.crf.span_log_probabilities(batch.emissions, batch.mask, batch.spans, temperature)
            for log_probability in sentence
        ]
        return np.exp(np.array(log_probabilities, dtype=np.float64))


def predict_for_calibration(
    model: Network, examples: Sequence[Example], gold: Sequence[Sequence[Span]], device: torch.device | str
) -> Predictions:
    """The most probable entities of each sentence, with the lattices of those sentences that have any."""
    spans: list[list[Span]] = [[] for _ in examples]
    batches: list[_Lattices] = []
    is_correct: list[bool] = []
    for indices, emissions, mask in emission_batches(model, examples, device):
        decoded = decode(model, emissions, mask)
        for index, sentence in zip(indices, decoded, strict=True):
            spans[index] = sentence
            is_correct += [span in gold[index] for span in sentence]
        rows = [row for row, sentence in enumerate(decoded) if sentence]
        if rows:
            batches.append(_Lattices(emissions[rows], mask[rows], [decoded[row] for row in rows]))
    return Predictions(spans, model, batches, np.array(is_correct, dtype=bool))


def fit_temperature(predictions: Predictions) -> float:
    """The temperature at which the probabilities of the entities found best say which of them are right.

    It minimises the negative log-likelihood of that (a proper score of just what is shown to the reader; the likelihood
    of whole sentences would weigh the many tokens outside, too). 1 if there is too little to fit it to.
    """
    n_correct = int(predictions.is_correct.sum())
    if min(n_correct, len(predictions.is_correct) - n_correct) < FEWEST_OF_EACH:
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(predictions.probabilities(math.exp(log_temperature)), predictions.is_correct)

    best = golden_section(loss, math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1]), _TOLERANCE)
    return math.exp(best) if loss(best) < loss(0.0) else 1.0


def golden_section(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Where a function with one minimum between ``low`` and ``high`` has it, to within ``tolerance`` (Kiefer, 1953)."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > tolerance:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2


def log_loss(probabilities: np.ndarray, is_correct: np.ndarray) -> float:
    """Mean negative log-likelihood of which entities are right, in nats an entity; 0 without any."""
    if not len(probabilities):
        return 0.0
    likelihood = np.where(is_correct, probabilities, 1 - probabilities)
    return float(-np.log(likelihood.clip(_LEAST)).mean())


def reliability(probabilities: np.ndarray, is_correct: np.ndarray, n_bins: int = N_BINS) -> list[dict[str, Any]]:
    """Bins of equal width that hold an entity: ``low`` < probability <= ``high``, how many (``entities``), their mean
    probability (``confidence``) and the share of them that is right (``accuracy``)."""
    bins = np.clip(np.ceil(probabilities * n_bins).astype(int) - 1, 0, n_bins - 1)
    number = np.bincount(bins, minlength=n_bins)
    confidence = np.bincount(bins, weights=probabilities, minlength=n_bins)
    accuracy = np.bincount(bins, weights=is_correct.astype(float), minlength=n_bins)
    return [
        {
            "low": index / n_bins,
            "high": (index + 1) / n_bins,
            "entities": int(number[index]),
            "confidence": float(confidence[index] / number[index]),
            "accuracy": float(accuracy[index] / number[index]),
        }
        for index in range(n_bins)
        if number[index]
    ]


def calibration_error(probabilities: np.ndarray, is_correct: np.ndarray, n_bins: int = N_BINS) -> float:
    """Expected calibration error: |accuracy − confidence| of bins of equal width, weighted by their entities."""
    gaps = (
        row["entities"] * abs(row["accuracy"] - row["confidence"])
        for row in reliability(probabilities, is_correct, n_bins)
    )
    return float(sum(gaps)) / max(1, len(probabilities))


def adaptive_calibration_error(probabilities: np.ndarray, is_correct: np.ndarray, n_bins: int = N_BINS) -> float:
    """The same over bins of equally many entities (Nguyen and O'Connor, 2015), which most probabilities near 1 need."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, n_bins) if len(part)]
    gaps = (len(part) * abs(is_correct[part].mean() - probabilities[part].mean()) for part in parts)
    return float(sum(gaps)) / max(1, len(probabilities))


def calibration_figures(predictions: Predictions, temperature: float) -> dict[str, Any]:
    """For ``report.json``: entities, the two calibration errors and the log loss of their correctness, and the
    reliability table, with ``temperature`` and (under ``uncalibrated``) without."""

    def figures(probabilities: np.ndarray) -> dict[str, Any]:
        pair = probabilities, predictions.is_correct
        return {
            "ece": calibration_error(*pair),
            "adaptive_ece": adaptive_calibration_error(*pair),
            "log_loss": log_loss(*pair),
            "reliability": reliability(*pair),
        }

    raw = figures(predictions.probabilities(1.0))
    scaled = raw if temperature == 1.0 else figures(predictions.probabilities(temperature))
    return {"entities": len(predictions.is_correct), **scaled, "uncalibrated": raw}
