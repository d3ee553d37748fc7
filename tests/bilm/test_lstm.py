"""A layer of the biLM against torch's LSTM, in float32 and in bfloat16."""

from __future__ import annotations

import pytest
import torch

from ner_elmo.bilm.lstm import LstmLayer
from ner_elmo.bilm.options import LstmOptions, options_to_json, parse_options, size
from ner_elmo.nn import precision
from ner_elmo.nn.cell import arrange
from tests.support.devices import CPU

DIM, PROJECTION = 7, 4
BATCH_SIZES = [3, 3, 2, 1]


def layer_of(clip: float | None = None) -> LstmLayer:
    options = options_to_json(size("tiny"))
    options["lstm"] |= {"cell_clip": clip, "proj_clip": clip}
    torch.manual_seed(3)
    layer = LstmLayer(parse_options(options).lstm)
    layer.reset_parameters()
    return layer


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
    with precision.computing("bf16", CPU):
        found, (h, c) = layer._fused(x, BATCH_SIZES, None)
    assert (found.dtype, h.dtype, c.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=2e-2)
    found.float().square().sum().backward()
    assert layer.lstm.weight_hh_l0.grad.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(layer.lstm.weight_hh_l0.grad.flatten(), exact.flatten(), 0) > 0.99


@pytest.mark.parametrize("has_gradient", [True, False])
def test_without_clips_a_layer_is_torchs_lstm(has_gradient: bool) -> None:
    options = LstmOptions(
        dim=DIM, projection_dim=PROJECTION, n_layers=1, cell_clip=None, proj_clip=None, use_skip_connections=True
    )
    torch.manual_seed(3)
    layer = LstmLayer(options)
    layer.reset_parameters()
    x = torch.randn(5, 3, PROJECTION, requires_grad=True)
    state = (torch.randn(3, PROJECTION), torch.randn(3, DIM))
    expected, (h, c) = layer.lstm(x, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
    if not has_gradient:
        with torch.no_grad():
            layer.use(arrange(layer.weights()))
    with torch.set_grad_enabled(has_gradient):
        found, last = layer(x.reshape(15, PROJECTION), [3] * 5, state)
    torch.testing.assert_close(found.view(5, 3, PROJECTION), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last, (h[0], c[0]), atol=1e-6, rtol=1e-5)
    if has_gradient:
        parameters = [x, *(p for p in layer.parameters() if p.requires_grad)]
        ours = torch.autograd.grad(found.sum(), parameters)
        theirs = torch.autograd.grad(expected.sum(), parameters)
        for mine, wanted in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


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
        with precision.computing(numbers, CPU):
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
