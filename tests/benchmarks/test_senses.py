"""The sentences of the senses, and the shares that are counted over them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def senses(repository: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "path", [str(repository / "benchmarks"), *sys.path])
    import senses

    return senses


def test_ten_words_two_senses_ten_sentences(senses: object, repository: Path) -> None:
    found = senses.read(repository / "benchmarks" / "gold" / "senses.en.tsv")  # type: ignore[attr-defined]
    counts = Counter((one.word, one.sense) for one in found)
    assert len(found) == 200
    assert set(counts.values()) == {10}
    assert all(one.query.marked == [one.word] for one in found)
    assert len({tuple(one.query.tokens) for one in found}) == 200
    chinese = senses.read(repository / "benchmarks" / "gold" / "senses.zh.tsv")  # type: ignore[attr-defined]
    assert Counter(one.sense for one in chinese) == {"水果": 10, "公司": 10}


def test_shares(senses: object) -> None:
    query = senses.Query(["x"], 0, 1)  # type: ignore[attr-defined]
    some = [senses.Occurrence("w", sense, query) for sense in "aabb"]  # type: ignore[attr-defined]
    apart = np.array([[[0, 1], [1, 0]], [[0, 1], [1, 0]], [[0, 1], [0, 1]], [[0, 1], [0, 1]]], dtype=float)
    shares = senses.shares_of(some, apart)["w"]  # type: ignore[attr-defined]
    np.testing.assert_allclose(shares, [1 / 3, 1, 1 / 3])  # of three others one has the sense, and it is the nearest
