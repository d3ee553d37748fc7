"""A small biLM with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.elmo.encoder import Elmo
from tests.support.small_bilms import small_bilm


@pytest.fixture
def bilm(tmp_path: Path) -> Path:
    """Its directory."""
    small_bilm(tmp_path / "bilm")
    return tmp_path / "bilm"


@pytest.fixture
def elmo(bilm: Path) -> Elmo:
    """Its encoder, for sentences by the small batch."""
    return Elmo.load(bilm, batch_tokens=60)
