"""A small corpus, its biLM and its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.explore.index import OccurrenceIndex, build_index
from ner_elmo.runs.events import silent
from tests.support.explored import MADE, SENTENCES


@pytest.fixture(scope="session")
def elmo(bilm: Path) -> Elmo:
    return Elmo.load(bilm)


@pytest.fixture(scope="session")
def index(elmo: Elmo, tmp_path_factory: pytest.TempPathFactory) -> OccurrenceIndex:
    return build_index(elmo, lambda: SENTENCES, tmp_path_factory.mktemp("explore") / "index", MADE, silent)
