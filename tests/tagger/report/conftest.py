"""Finished runs whose reports are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.tagger.training.run import run
from tests.tagger.toy_language import toy_config

CPU = torch.device("cpu")


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def plain(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch without a biLM: it makes errors."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    run(toy_config(toy, epochs=2, learning_rate=0.005), folder, device=CPU)
    return folder


@pytest.fixture(scope="session")
def seeds(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three seeds."""
    folder = tmp_path_factory.mktemp("seeds") / "seeds"
    run(toy_config(toy, epochs=3, seeds=(1, 2, 3)), folder, device=CPU)
    return folder
