"""The search by blocks finds what a search of everything at once finds."""

from __future__ import annotations

import numpy as np
import pytest

from ner_elmo.explore import search
from ner_elmo.explore.index import OccurrenceIndex, unit_length
from ner_elmo.explore.search import nearest


def slowly(index: OccurrenceIndex, layer: int, vector: np.ndarray, n: int) -> list[tuple[float, int]]:
    """All places and their cosines, place by place, the nearest first."""
    rows = index.vectors(layer).astype(np.float64)
    found = []
    for start in range(index.n_tokens - n + 1):
        if index.sentence_of(start) == index.sentence_of(start + n - 1):
            together = rows[start : start + n].sum(axis=0)
            found.append((float(together @ vector / np.linalg.norm(together) / np.linalg.norm(vector)), start))
    return sorted(found, key=lambda one: (-one[0], one[1]))


@pytest.mark.parametrize("block", [1, 7, 10_000])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("layer", [1, 2])
def test_as_place_by_place(
    index: OccurrenceIndex, layer: int, n: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK_TOKENS", block)
    vector = np.random.default_rng(n).normal(size=index.dim).astype(np.float32)
    scores, starts = search._best(index, layer, unit_length(vector), n, 20)
    expected = slowly(index, layer, vector, n)[:20]
    np.testing.assert_allclose(scores, [score for score, _ in expected], atol=1e-4)
    of_all = {start: score for score, start in slowly(index, layer, vector, n)}
    np.testing.assert_allclose(scores, [of_all[int(start)] for start in starts], atol=1e-4)


def test_no_sentence_and_no_surroundings_twice(index: OccurrenceIndex) -> None:
    vector = index.vectors(2)[5].astype(np.float32)
    found = nearest(index, 2, vector, 1, 50)
    sentences = [index.sentence_of(one.start) for one in found]
    assert len(set(sentences)) == len(sentences)
    around = [
        tuple(index.tokens(max(s[0], o.start - 3), min(s[1], o.end + 3))) for s, o in zip(sentences, found, strict=True)
    ]
    assert len(set(around)) == len(around) > 5
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_sentence_does_not_find_itself(index: OccurrenceIndex) -> None:
    sentence = index.tokens(*index.sentence_of(0))
    vector = index.vectors(1)[0].astype(np.float32)
    assert nearest(index, 1, vector, 1, 1)[0].start == 0
    assert all(
        index.tokens(*index.sentence_of(one.start)) != sentence for one in nearest(index, 1, vector, 1, 20, sentence)
    )
