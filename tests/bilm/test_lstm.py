"""A layer, and a stack of them, against a one-step NumPy LSTM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ner_elmo.bilm.lstm import FORGET_BIAS, LstmLayer, LstmStack, prepare_for_inference
from ner_elmo.bilm.options import LstmOptions, options_to_json, parse_options, size
from ner_elmo.nn import precision
from ner_elmo.nn.cell import State, arrange
from tests.support import reference
from tests.support.devices import CPU

DIM, WIDTH = 7, 4
LENGTHS = [6, 4, 4, 1]  # rows that end one after the other
BATCH_SIZES = [4, 3, 3, 3, 1, 1]


def make_options(**changes: object) -> LstmOptions:
    return LstmOptions(**({"dim": DIM, "projection_dim": WIDTH, "n_layers": 2} | changes))  # type: ignore[arg-type]


def randomised(module: LstmLayer | LstmStack, seed: int = 0) -> None:
    """Weights and biases that hide no mistake: initial biases are zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.8)


def as_the_file_has_them(layer: LstmLayer) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """``W_0``, ``B`` and ``W_P_0``: inputs before outputs, gates i, j, f, o, and the bias without the forget bias."""

    def reordered(rows: Tensor) -> np.ndarray:
        i, f, j, o = rows.detach().double().numpy().reshape(4, layer.dim, -1)
        return np.concatenate([i, j, f, o])

    lstm = layer.lstm
    kernel = np.concatenate([reordered(lstm.weight_ih_l0).T, reordered(lstm.weight_hh_l0).T])
    projection = lstm.weight_hr_l0.detach().double().numpy().T if lstm.proj_size else None
    return kernel, reordered(lstm.bias_ih_l0)[:, 0], projection


def slow_layer(layer: LstmLayer, rows: list[np.ndarray], states: list[State]) -> tuple[list[np.ndarray], list[State]]:
    """Each row ``(time, width)`` by itself, step by step from its own state."""
    outputs, last_states = [], []
    for row, (h, c) in zip(rows, states, strict=True):
        steps = []
        for x in row:
            h, c = reference.lstm_step(x, h, c, *as_the_file_has_them(layer), layer.cell_clip, layer.proj_clip)
            steps.append(h)
        outputs.append(np.stack(steps))
        last_states.append((h, c))
    return outputs, last_states


def packed(rows: list[np.ndarray]) -> Tensor:
    """The first step of all rows, then the second of those that have one …"""
    steps = [row[t] for t in range(len(rows[0])) for row in rows if len(row) > t]
    return torch.from_numpy(np.stack(steps)).float()


def draw_rows(width: int) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.normal(size=(length, width)) for length in LENGTHS]


def draw_states(width: int, dim: int) -> list[State]:
    generator = np.random.default_rng(6)
    return [(generator.normal(size=width) / 20, generator.normal(size=dim) / 5) for _ in LENGTHS]


def stacked(states: list[State]) -> State:
    h, c = (torch.from_numpy(np.stack(parts)).float() for parts in zip(*states, strict=True))
    return h, c


def with_a_gradient(layer: LstmLayer) -> None:
    """As it is trained."""


def without_a_gradient(layer: LstmLayer) -> None:
    """As an encoder has it."""
    with torch.no_grad():
        layer.use(arrange(layer.weights()))


SHAPES = [
    {},
    {"cell_clip": 0.3, "proj_clip": 0.05},
    {"cell_clip": 0.3},
    {"proj_clip": 0.05},
    {"dim": WIDTH},
    {"dim": WIDTH, "cell_clip": 0.3, "proj_clip": 0.05},  # nothing is projected, so the second clip is none
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("mode", [with_a_gradient, without_a_gradient])
def test_a_layer_is_the_slow_one(shape: dict[str, object], with_state: bool, mode: Callable[[LstmLayer], None]) -> None:
    layer = LstmLayer(make_options(**shape))
    randomised(layer)
    rows, states = draw_rows(layer.width), draw_states(layer.width, layer.dim)
    if not with_state:
        states = [(0 * h, 0 * c) for h, c in states]
    wanted, wanted_states = slow_layer(layer, rows, states)
    mode(layer)
    start = stacked(states) if with_state else None
    kept = None if start is None else (start[0].clone(), start[1].clone())
    found, (h, c) = layer(packed(rows), BATCH_SIZES, start)
    torch.testing.assert_close(found, packed(wanted), atol=1e-5, rtol=1e-5)
    # each row's own last state, whenever it ended
    torch.testing.assert_close((h, c), stacked(wanted_states), atol=1e-5, rtol=1e-5)
    if start is not None and kept is not None:
        assert all(torch.equal(given, before) for given, before in zip(start, kept, strict=True))


@pytest.mark.parametrize("shape", [{}, {"cell_clip": 0.3, "proj_clip": 0.05}], ids=str)
def test_the_state_is_carried_from_call_to_call(shape: dict[str, object]) -> None:
    layer = LstmLayer(make_options(**shape))
    randomised(layer)
    x = torch.randn(6, 2, WIDTH)
    whole, last = layer(x.flatten(0, 1), [2] * 6)
    first, state = layer(x[:2].flatten(0, 1), [2] * 2)
    second, end = layer(x[2:].flatten(0, 1), [2] * 4, state)
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-6, rtol=0)
    assert not torch.allclose(layer(x[2:].flatten(0, 1), [2] * 4)[0], second, atol=1e-2)  # it does make a difference


@pytest.mark.parametrize("has_gradient", [True, False])
def test_without_clips_a_layer_is_torchs_lstm(has_gradient: bool) -> None:
    torch.manual_seed(3)
    layer = LstmLayer(make_options(n_layers=1))
    layer.reset_parameters()
    x = torch.randn(5, 3, WIDTH, requires_grad=True)
    state = (torch.randn(3, WIDTH), torch.randn(3, DIM))
    expected, (h, c) = layer.lstm(x, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
    if not has_gradient:
        without_a_gradient(layer)
    with torch.set_grad_enabled(has_gradient):
        found, last = layer(x.reshape(15, WIDTH), [3] * 5, state)
    torch.testing.assert_close(found.view(5, 3, WIDTH), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last, (h[0], c[0]), atol=1e-6, rtol=1e-5)
    if has_gradient:
        parameters = [x, *(p for p in layer.parameters() if p.requires_grad)]
        ours = torch.autograd.grad(found.sum(), parameters)
        theirs = torch.autograd.grad(expected.sum(), parameters)
        for mine, wanted in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


def test_initial_values_are_bilm_tfs_and_the_forget_bias_is_not_learned() -> None:
    torch.manual_seed(4)
    layer = LstmLayer(make_options(dim=40, projection_dim=20))
    layer.reset_parameters()
    bound = (6 / (20 + 20 + 4 * 40)) ** 0.5  # Glorot, over the kernel that inputs and state share
    for weight in (layer.lstm.weight_ih_l0, layer.lstm.weight_hh_l0):
        assert 0.95 * bound < weight.abs().max() <= bound
    assert 0.9 * 0.1**0.5 < layer.lstm.weight_hr_l0.abs().max() <= 0.1**0.5  # 6 / (20 + 40)
    assert not layer.lstm.bias_ih_l0.any()
    assert layer.lstm.bias_hh_l0.view(4, 40).sum(1).tolist() == [0, 40 * FORGET_BIAS, 0, 0]
    assert not layer.lstm.bias_hh_l0.requires_grad


@pytest.mark.parametrize("skip", [True, False])
def test_a_stack_adds_inputs_from_the_second_layer_on(skip: bool) -> None:
    stack = LstmStack(make_options(n_layers=3, use_skip_connections=skip))
    randomised(stack, 7)
    rows, states = draw_rows(WIDTH), draw_states(WIDTH, DIM)
    found, last_states = stack(packed(rows), BATCH_SIZES, [stacked(states)] * 3)
    assert len(found) == len(last_states) == 3
    for number, layer in enumerate(stack.layers):
        assert isinstance(layer, LstmLayer)
        outputs, wanted_states = slow_layer(layer, rows, states)
        if skip and number:
            outputs = [y + x for y, x in zip(outputs, rows, strict=True)]
        torch.testing.assert_close(found[number], packed(outputs), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(last_states[number], stacked(wanted_states), atol=1e-5, rtol=1e-5)
        rows = outputs
    lower, _ = stack(packed(draw_rows(WIDTH)), BATCH_SIZES, [stacked(states)] * 3, n_layers=2)
    assert [torch.equal(a, b) for a, b in zip(lower, found, strict=False)] == [True, True]


def test_prepared_stacks_compute_what_they_did() -> None:
    stacks = [LstmStack(make_options(cell_clip=0.3, proj_clip=0.05)) for _ in range(2)]
    for seed, stack in enumerate(stacks):
        randomised(stack, seed)
    x = packed(draw_rows(WIDTH))
    wanted = [stack(x, BATCH_SIZES)[0] for stack in stacks]
    prepare_for_inference(*stacks)
    for direction, stack in enumerate(stacks):
        for ours, theirs in zip(stack(x, BATCH_SIZES)[0], wanted[direction], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


# torch's own LSTM, which a GPU runs ----------------------------------------------------------------------------

FUSED_SIZES = [3, 3, 2, 1]


def layer_of(clip: float | None = None) -> LstmLayer:
    options = options_to_json(size("tiny"))
    options["lstm"] |= {"cell_clip": clip, "proj_clip": clip}
    torch.manual_seed(3)
    layer = LstmLayer(parse_options(options).lstm)
    layer.reset_parameters()
    return layer


def test_the_fused_lstm_is_the_recurrence_with_and_without_a_state() -> None:
    layer = layer_of()
    x = torch.randn(sum(FUSED_SIZES), layer.width)
    state = torch.randn(3, layer.width), torch.randn(3, layer.dim)
    for start in (None, state):
        expected, (h, c) = layer(x, FUSED_SIZES, start)
        found, (fused_h, fused_c) = layer._fused(x, FUSED_SIZES, start)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        # A row that ends leaves its own last state behind.
        torch.testing.assert_close(fused_h, h, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(fused_c, c, atol=1e-6, rtol=1e-5)


def test_the_fused_lstm_computes_in_bfloat16_and_its_gradients_come_back_in_float32() -> None:
    layer = layer_of()
    x = torch.randn(sum(FUSED_SIZES), layer.width)
    expected, _ = layer(x, FUSED_SIZES)
    expected.square().sum().backward()
    exact = layer.lstm.weight_hh_l0.grad.clone()
    layer.zero_grad()
    with precision.computing("bf16", CPU):
        found, (h, c) = layer._fused(x, FUSED_SIZES, None)
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
    values = torch.randn(sum(FUSED_SIZES), layer.width)
    found = []
    for numbers in ("fp32", "bf16"):
        layer.zero_grad()
        x = values.clone().requires_grad_(True)
        with precision.computing(numbers, CPU):
            y, (h, c) = layer(x, FUSED_SIZES, state)
        (y.sin().sum()).backward()
        assert {y.dtype, h.dtype, c.dtype} == {torch.float32}
        found.append((y, h, c, [x.grad, *(p.grad for p in layer.parameters() if p.requires_grad)]))
    (y, h, c, gradients), (*nearly, mixed) = found
    for a, b in zip(nearly, (y, h, c), strict=True):
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.02)
        assert not torch.equal(a, b)
    for a, b in zip(mixed, gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.99
