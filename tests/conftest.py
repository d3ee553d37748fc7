"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline measures the machine, not the code.
settings.register_profile("ner-elmo", deadline=None)
settings.load_profile("ner-elmo")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real corpora beside the checkout, which may not be redistributed; tests that need them are skipped without."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the real corpora in ../shared, which are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Path:
    """Vectors computed by the reference implementations of ELMo."""
    return shared / "elmo" / "goldens"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands keep their cached features away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_ELMO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
