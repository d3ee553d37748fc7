"""How far a figure would move with other test sentences: the bootstrap over sentences, for one run and for two.

The sentences are drawn anew, with replacement, as many as there are; each drawing gives figures of its own. It says
nothing about other seeds of the training, which ``--seeds`` shows.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ner_elmo.tagger.report.scores import Counts, SentenceCounts, most_frequent

N_RESAMPLES = 1000
N_PAIRED_RESAMPLES = 10_000
SEED = 20030527
LEVEL = 0.95


class PairedTest(NamedTuple):
    """A difference in F1, its interval, and the probability of one as large (in either direction) by chance."""

    difference: float
    low: float
    high: float
    p: float


def resamples(n_sentences: int, n_resamples: int, seed: int = SEED) -> Iterator[np.ndarray]:
    """How often each sentence is drawn, ``(n_sentences,)``, one drawing after the other."""
    rng = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.bincount(rng.integers(0, n_sentences, n_sentences), minlength=n_sentences)


def count_table(sentences: Sequence[SentenceCounts], labels: Sequence[str]) -> np.ndarray:
    """``(sentences, labels, 3)`` float64: gold, predicted, correct."""
    table = np.zeros((len(sentences), len(labels), 3))
    column = {label: index for index, label in enumerate(labels)}
    for row, sentence in enumerate(sentences):
        for label, counts in sentence.items():
            table[row, column[label]] = counts
    return table


def f1_of(counts: np.ndarray) -> np.ndarray:
    """F1 of gold, predicted, correct in the last dimension; 0 where there is neither gold nor predicted."""
    total = counts[..., 0] + counts[..., 1]
    return np.asarray(2 * counts[..., 2] / np.where(total > 0, total, 1))


def resampled_totals(table: np.ndarray, n_resamples: int, seed: int = SEED) -> np.ndarray:
    """The counts of each drawing added up: ``(sentences, ...)`` → ``(n_resamples, ...)``."""
    flat = np.ascontiguousarray(table.reshape(len(table), -1))
    totals = [drawn.astype(np.float64) @ flat for drawn in resamples(len(table), n_resamples, seed)]
    return np.array(totals).reshape(n_resamples, *table.shape[1:])


_RARER = ""  # stands for labels of which no interval is shown; no label


def _with_rarer_as_one(sentence: SentenceCounts, labels: set[str]) -> SentenceCounts:
    kept = {label: counts for label, counts in sentence.items() if label in labels}
    rarer = [counts for label, counts in sentence.items() if label not in labels]
    return {**kept, _RARER: functools.reduce(Counts.plus, rarer, Counts())}


def f1_intervals(
    sentences: Sequence[SentenceCounts], n_resamples: int = N_RESAMPLES, seed: int = SEED
) -> dict[str, Any]:
    """95 % percentile intervals of F1: ``f1`` over all labels, and ``labels`` for each (of very many, the most
    frequent); empty without sentences."""
    if not sentences:
        return {}
    support: Counter[str] = Counter()
    for sentence in sentences:
        support.update({label: counts.gold for label, counts in sentence.items()})
    labels = most_frequent(support)
    if len(labels) < len(support):
        sentences = [_with_rarer_as_one(sentence, set(labels)) for sentence in sentences]
    table = count_table(sentences, [*labels, _RARER] if len(labels) < len(support) else labels)
    totals = resampled_totals(table, n_resamples, seed)
    by_label = {label: _interval(f1_of(totals[:, index])) for index, label in enumerate(labels)}
    return {"f1": _interval(f1_of(totals.sum(axis=1))), "labels": by_label, "resamples": n_resamples}


def _interval(values: np.ndarray) -> list[float]:
    tail = 100 * (1 - LEVEL) / 2
    return [float(value) for value in np.percentile(values, [tail, 100 - tail])]


def paired_bootstrap(
    first: Sequence[SentenceCounts],
    second: Sequence[SentenceCounts],
    n_resamples: int = N_PAIRED_RESAMPLES,
    seed: int = SEED,
) -> PairedTest:
    """Whether ``second`` has another F1 than ``first`` on the same sentences: the paired bootstrap of Berg-Kirkpatrick,
    Burkett and Klein (2012, "An empirical investigation of statistical significance in NLP", §2).

    Both are scored on the same drawings; the differences, shifted to be 0 on average, are what chance alone would do.
    p is the share of them that is as large as the one observed, in either direction, since nobody knows beforehand
    which is better (theirs is one-sided); the observed one counts among them, so p is never 0.

    Raises:
        ValueError: they are not as many sentences, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} sentences, expected as many of both")
    tables = [_overall(sentences) for sentences in (first, second)]
    first_f1, second_f1 = (f1_of(table.sum(axis=0)) for table in tables)
    observed = float(second_f1 - first_f1)
    totals = resampled_totals(np.stack(tables, axis=1), n_resamples, seed)
    differences = f1_of(totals[:, 1]) - f1_of(totals[:, 0])
    n_as_large = int((np.abs(differences - observed) >= abs(observed) - 1e-12).sum())
    low, high = _interval(differences)
    return PairedTest(observed, low, high, (1 + n_as_large) / (1 + n_resamples))


def _overall(sentences: Sequence[SentenceCounts]) -> np.ndarray:
    """``(sentences, 3)``: all labels together."""
    return np.array([[sum(values) for values in zip(*s.values(), strict=True)] or [0, 0, 0] for s in sentences], float)
