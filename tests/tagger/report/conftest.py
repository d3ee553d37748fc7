"""Runs whose reports are read and compared; do not change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.tagger.training.run import train_tagger
from tests.support.devices import CPU
from tests.support.toy_language import toy_config


@pytest.fixture(scope="session")
def plain(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch without a biLM: it makes errors."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    train_tagger(toy_config(toy, epochs=2, learning_rate=0.005), folder, device=CPU)
    return folder


@pytest.fixture(scope="session")
def seeds(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three seeds."""
    folder = tmp_path_factory.mktemp("seeds") / "seeds"
    train_tagger(toy_config(toy, epochs=3, seeds=(1, 2, 3)), folder, device=CPU)
    return folder
