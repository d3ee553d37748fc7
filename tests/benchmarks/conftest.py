"""The scripts of the benchmarks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """What imports a script of ``benchmarks/``, which is no package, by its name."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module
