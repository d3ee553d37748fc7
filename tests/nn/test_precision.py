"""Mixed precision: what is computed in which numbers. A CPU stands in for the GPU, whose casts it shares."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ner_elmo.bilm.lstm import LstmLayer
from ner_elmo.bilm.options import options_to_json, parse_options, size
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import Trainer, new_trainer
from ner_elmo.nn import precision
from ner_elmo.text.vocabulary import SPECIALS, Vocabulary

WORDS = [f"word{n}" for n in range(60)]
BATCH_SIZES = [3, 3, 2, 1]


def trainer_in(numbers: str, clip: float | None = None) -> Trainer:
    options = options_to_json(size("tiny"))
    options["lstm"] |= {"cell_clip": clip, "proj_clip": clip}
    config = PretrainConfig(corpus=[], options=options, dropout=0.0, softmax="sampled", n_samples=16, precision=numbers)
    config = replace(config, options={**options, "dropout": 0.0})
    return new_trainer(config, Vocabulary([*SPECIALS, *WORDS]), None, 10_000, torch.device("cpu"))


def layer_of(clip: float | None = None) -> LstmLayer:
    options = options_to_json(size("tiny"))
    options["lstm"] |= {"cell_clip": clip, "proj_clip": clip}
    torch.manual_seed(3)
    layer = LstmLayer(parse_options(options).lstm)
    layer.reset_parameters()
    return layer


@pytest.mark.parametrize("clip", [None, 3.0])
def test_a_step_in_bfloat16_is_nearly_the_one_in_float32(clip: float | None) -> None:
    sentences = [WORDS[n : n + 7] for n in range(0, 50, 5)]
    exact, mixed = trainer_in("fp32", clip), trainer_in("bf16", clip)
    for _ in range(3):
        step, nearly = exact.train_on(sentences), mixed.train_on(sentences)
        assert nearly.finite
        assert nearly.forward == pytest.approx(step.forward, rel=5e-3)
        assert nearly.backward == pytest.approx(step.backward, rel=5e-3)
        assert nearly.forward != step.forward  # it is another arithmetic
    assert all(parameter.dtype == torch.float32 for parameter in mixed.learner.parameters())


def test_the_fused_lstm_is_the_recurrence_with_and_without_a_state() -> None:
    layer = layer_of()
    x = torch.randn(sum(BATCH_SIZES), layer.width)
    state = torch.randn(3, layer.width), torch.randn(3, layer.dim)
    for start in (None, state):
        expected, (h, c) = layer(x, BATCH_SIZES, start)
        found, (fused_h, fused_c) = layer._fused(x, BATCH_SIZES, start)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        # A row that ends leaves its own last state behind.
        torch.testing.assert_close(fused_h, h, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(fused_c, c, atol=1e-6, rtol=1e-5)


def test_the_fused_lstm_computes_in_bfloat16_and_its_gradients_come_back_in_float32() -> None:
    layer = layer_of()
    x = torch.randn(sum(BATCH_SIZES), layer.width)
    expected, _ = layer(x, BATCH_SIZES)
    expected.square().sum().backward()
    exact = layer.lstm.weight_hh_l0.grad.clone()
    layer.zero_grad()
    with precision.computing("bf16", torch.device("cpu")):
        found, (h, c) = layer._fused(x, BATCH_SIZES, None)
    assert (found.dtype, h.dtype, c.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=2e-2)
    found.float().square().sum().backward()
    assert layer.lstm.weight_hh_l0.grad.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(layer.lstm.weight_hh_l0.grad.flatten(), exact.flatten(), 0) > 0.99


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("with_state", [True, False])
def test_the_recurrence_in_bfloat16_is_nearly_the_one_in_float32(clip: float | None, with_state: bool) -> None:
    layer = layer_of(clip)
    state = (torch.randn(3, layer.width), torch.randn(3, layer.dim)) if with_state else None
    values = torch.randn(sum(BATCH_SIZES), layer.width)
    found = []
    for numbers in ("fp32", "bf16"):
        layer.zero_grad()
        x = values.clone().requires_grad_(True)
        with precision.computing(numbers, torch.device("cpu")):
            y, (h, c) = layer(x, BATCH_SIZES, state)
        (y.sin().sum()).backward()
        assert {y.dtype, h.dtype, c.dtype} == {torch.float32}
        found.append((y, h, c, [x.grad, *(p.grad for p in layer.parameters() if p.requires_grad)]))
    (y, h, c, gradients), (*nearly, mixed) = found
    for a, b in zip(nearly, (y, h, c), strict=True):
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.02)
        assert not torch.equal(a, b)
    for a, b in zip(mixed, gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.99


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
