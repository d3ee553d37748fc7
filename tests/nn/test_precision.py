"""Mixed precision: in which numbers a processor or GPU computes, and for how long."""

from __future__ import annotations

import pytest
import torch

from ner_elmo.nn import precision


@pytest.mark.parametrize(
    ("version", "expected"), [(91200, torch.float32), (91300, torch.bfloat16), (None, torch.float32)]
)
def test_an_older_cudnn_gets_no_bfloat16_lstm(
    monkeypatch: pytest.MonkeyPatch, version: int | None, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: version)
    monkeypatch.setattr(precision, "is_mixed", lambda device_type: True)
    assert precision.lstm_type("cuda") == expected


def test_products_are_exact_again_after_the_block() -> None:
    before = torch.get_float32_matmul_precision()
    with precision.fast_products("bf16"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
    with precision.fast_products("fp32"):
        assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize(
    ("capabilities", "expected"), [(["avx512_bf16"], "bf16"), (["amx_tile"], "bf16"), ([], "fp32")]
)
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch, capabilities: list[str], expected: str) -> None:
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name in capabilities, raising=False)
    assert precision.best_precision("cpu") == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (["amx_tile", "avx512_bf16", "vnni"], "bf16"),
        (["avx512_bf16", "vnni"], "int8"),
        (["vnni"], "int8"),
        ([], "fp32"),
    ],
)
def test_auto_tags_in_what_is_fastest(monkeypatch: pytest.MonkeyPatch, capabilities: list[str], expected: str) -> None:
    monkeypatch.setattr(precision, "processor_has", lambda name: name in capabilities)
    cpu = torch.device("cpu")
    assert precision.inference_precision("auto", cpu) == expected
    assert precision.tagger_precision("auto", cpu) == ("bf16" if "avx512_bf16" in capabilities else "fp32")
    assert precision.tagger_precision("int8", cpu) == "int8"
    assert precision.tagger_precision("auto", torch.device("cuda")) == "fp32"
