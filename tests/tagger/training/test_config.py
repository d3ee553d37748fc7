"""What is chosen where a configuration says auto."""

from __future__ import annotations

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.nn.precision import chosen_precision


@pytest.mark.parametrize(
    ("asked", "device", "has_it", "expected"),
    [
        ("auto", "cpu", True, "bf16"),
        ("auto", "cpu", False, "fp32"),
        ("auto", "cuda", True, "fp32"),
        ("fp32", "cpu", True, "fp32"),
        ("bf16", "cpu", True, "bf16"),
        ("bf16", "cpu", False, "needs a processor that multiplies bfloat16; try --precision fp32"),
        ("bf16", "cuda", True, "needs a processor"),
        ("fp16", "cpu", True, "--precision fp16: unknown; expected auto, fp32 or bf16"),
    ],
)
def test_the_precision_that_is_chosen(
    asked: str, device: str, has_it: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ner_elmo.nn.precision.processor_has", lambda capability: has_it)
    if expected in ("fp32", "bf16"):
        assert chosen_precision(asked, device) == expected
    else:
        with pytest.raises(UsageError, match=expected):
            chosen_precision(asked, device)
