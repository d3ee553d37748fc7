"""The nearest forms by vectors without context."""

from __future__ import annotations

import numpy as np
import pytest

from ner_elmo.explore import static
from ner_elmo.explore.index import unit_length
from ner_elmo.explore.static import Form, StaticVectors


@pytest.mark.parametrize("block", [1, 2, 100])
def test_the_nearest(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "BLOCK_TOKENS", block)
    forms = ["play", "Play", "game", "theatre", "stone"]
    vectors = unit_length(np.array([[1, 0], [1, 0.01], [0.9, 0.3], [0.6, 0.8], [-1, 0]], dtype=np.float32))
    table = StaticVectors("toy", forms, vectors)
    vector = table.vector_of(["PLAY"])
    assert vector is not None
    found = table.nearest(vector, 2, ["play"])
    assert [form for form, _ in found] == ["game", "theatre"]
    assert isinstance(found[0], Form)
    assert found[0].score == pytest.approx(0.9 / np.hypot(0.9, 0.3), abs=1e-6)
    assert table.vector_of(["unknown"]) is None
    both = table.vector_of(["play", "unknown", "game"])
    np.testing.assert_allclose(both, vectors[0] + vectors[2], rtol=1e-6)
