"""Mixed precision: in which numbers a processor or GPU computes, and for how long."""

from __future__ import annotations

import pytest
import torch

from ner_elmo.errors import UsageError
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
    ("capabilities", "intel", "multiplies", "expected"),
    [
        (["avx512_bf16"], False, True, "bf16"),
        (["avx512_bf16"], True, True, "fp32"),  # where it is slower than float32
        (["amx_tile"], True, True, "bf16"),
        (["amx_tile", "avx512_bf16"], True, True, "bf16"),
        ([], True, False, "fp32"),
        ([], False, False, "fp32"),
    ],
)
def test_auto_asks_the_processor(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[str], intel: bool, multiplies: bool, expected: str
) -> None:
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name in capabilities, raising=False)
    monkeypatch.setattr(precision, "_is_of_intel", lambda: intel)
    assert precision.multiplies_bf16("cpu") == multiplies
    assert precision.best_precision("cpu") == expected
    assert precision.chosen_precision("auto", "cpu") == expected
    for chosen in (
        precision.chosen_precision,
        lambda asked, on: precision.inference_precision(asked, torch.device(on)),
    ):
        if multiplies:  # what is slower may be asked for
            assert chosen("bf16", "cpu") == "bf16"
        else:
            with pytest.raises(UsageError, match="needs a processor that multiplies bfloat16"):
                chosen("bf16", "cpu")


@pytest.mark.parametrize(
    ("capabilities", "intel", "expected"),
    [
        (["amx_tile", "avx512_bf16", "vnni"], True, ("bf16", "bf16")),
        (["avx512_bf16", "vnni"], False, ("int8", "bf16")),
        (["avx512_bf16", "vnni"], True, ("int8", "int8")),
        (["vnni"], True, ("int8", "int8")),
        ([], False, ("fp32", "fp32")),
    ],
)
def test_auto_tags_in_what_is_fastest(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[str], intel: bool, expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(precision, "processor_has", lambda name: name in capabilities)
    monkeypatch.setattr(precision, "_is_of_intel", lambda: intel)
    cpu = torch.device("cpu")
    assert precision.inference_precision("auto", cpu) == expected[0]
    assert precision.tagger_precision("auto", cpu) == expected[1]
    assert precision.tagger_precision("int8", cpu) == "int8"
    assert precision.tagger_precision("auto", torch.device("cuda")) == "fp32"
