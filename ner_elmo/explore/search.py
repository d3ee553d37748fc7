"""The nearest occurrences of a vector in an index: exactly, block by block, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ner_elmo.explore.index import OccurrenceIndex, unit_length

BLOCK_TOKENS = 32_768  # vectors that are in memory at a time
_SPARE = 20  # times as many as are wanted are kept, as many repeat what others say
_AROUND = 3  # tokens on each side; occurrences whose surroundings are the same count once


class Occurrence(NamedTuple):
    """Tokens of the index from ``start`` to ``end``, and the cosine of their vector and what was asked for."""

    start: int
    end: int
    score: float


def nearest(
    index: OccurrenceIndex, layer: int, vector: np.ndarray, n_tokens: int, most: int, sentence: Sequence[str] = ()
) -> list[Occurrence]:
    """The occurrences whose vectors in ``layer`` have the greatest cosine with ``vector``, the nearest first.

    Of a sentence no two are given, nor two with the same tokens around them.

    Args:
        vector: of what is marked ``(dim,)``: of several tokens, the sum of their vectors of unit length.
        n_tokens: how many tokens are marked; so many in a row are compared.
        sentence: the one that was asked about; it does not find itself.
    """
    scores, starts = _best(index, layer, unit_length(vector), n_tokens, _SPARE * most)
    found: list[Occurrence] = []
    seen: set[tuple[str, ...]] = set()
    sentences: set[int] = set()
    for score, start in zip(scores, starts, strict=True):
        first, last = index.sentence_of(int(start))
        around = index.tokens(max(first, int(start) - _AROUND), min(last, int(start) + n_tokens + _AROUND))
        key = tuple(form.casefold() for form in around)
        if key in seen or first in sentences or index.tokens(first, last) == list(sentence):
            continue
        seen.add(key)
        sentences.add(first)
        found.append(Occurrence(int(start), int(start) + n_tokens, float(score)))
        if len(found) == most:
            break
    return found


def _best(
    index: OccurrenceIndex, layer: int, vector: np.ndarray, n_tokens: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The scores and first tokens of the ``most`` nearest places, falling; of equals the first."""
    vectors = index.vectors(layer)
    scores, starts = np.empty(0, np.float32), np.empty(0, np.int64)
    for begin in range(0, index.n_tokens, BLOCK_TOKENS):
        end = min(begin + BLOCK_TOKENS, index.n_tokens)
        found = _scores(index, vectors[begin : end + n_tokens - 1], begin, end, vector, n_tokens)
        best = np.argsort(-found, kind="stable")[:most]
        scores, starts = np.concatenate([scores, found[best]]), np.concatenate([starts, begin + best])
        order = np.argsort(-scores, kind="stable")[:most]
        scores, starts = scores[order], starts[order]
    real = np.isfinite(scores)
    return scores[real], starts[real]


def _scores(
    index: OccurrenceIndex, block: np.ndarray, begin: int, end: int, vector: np.ndarray, n_tokens: int
) -> np.ndarray:
    """The cosine of each place from ``begin`` to ``end`` ``(places,)``; minus infinity where a sentence ends inside."""
    rows = block.astype(np.float32)
    if n_tokens == 1:
        return rows @ vector  # type: ignore[no-any-return]
    n_places = len(rows) - n_tokens + 1
    scores = np.full(end - begin, -np.inf, np.float32)
    if n_places <= 0:
        return scores
    together = rows[:n_places].copy()
    for further in range(1, n_tokens):
        together += rows[further : further + n_places]
    places = np.arange(begin, begin + n_places)
    ends = index.ends[np.searchsorted(index.ends, places, side="right")]
    scores[:n_places] = np.where(places + n_tokens <= ends, unit_length(together) @ vector, -np.inf)
    return scores
