"""In what numbers this machine can compute."""

from __future__ import annotations

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.nn.compiled_int8 import int8_library
from ner_elmo.nn.precision import multiplies_bf16


def skip_without(precision: str) -> None:
    """Skip a test of a precision that this machine does not have."""
    if precision == "bf16" and not multiplies_bf16("cpu"):
        pytest.skip("this processor does not multiply bfloat16")
    if precision == "int8-compiled":
        try:
            int8_library()
        except UsageError as error:
            pytest.skip(str(error))
