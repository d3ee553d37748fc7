"""What tests of the network's parts share."""

from __future__ import annotations

import pytest

from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.nn.compiled_passes import CompiledPasses, compiled_passes, use_compiler


@pytest.fixture(scope="session")
def compiled_ones() -> CompiledPasses:
    """The compiled passes, where there is a compiler; tests put them to use themselves."""
    before = compiled_passes()
    why_not = use_compiler()
    found = compiled_passes()
    compiled._InUse.passes = before
    if found is None:
        pytest.skip(f"not here: {why_not}")
    return found
