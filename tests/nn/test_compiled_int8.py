"""Compiled products in 8 bits: against whole numbers, against float32, and by each kind of instruction."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.bilm.options import CharCnnOptions
from ner_elmo.bilm.token_encoder import CharacterCnn
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError
from ner_elmo.nn import compiled_int8
from ner_elmo.nn.cell import Arranged, Clips, Types, Weights, arrange
from ner_elmo.nn.compiled_int8 import (
    SOURCE,
    CompiledInt8Linear,
    CompiledInt8Weights,
    Tiles,
    int8_library,
    run_compiled_int8,
)
from ner_elmo.nn.compiler import CompilerError, compiled_library
from ner_elmo.nn.inference import GATE_BYTES, run_one
from tests.support.precisions import skip_without
from tests.support.small_bilms import small_bilm

UNCLIPPED = Clips(None, None)
# What the compiler is told, and how many sums a register then has: all that the processor can, at most 256 bits of it,
# and nothing that adds up products. The last is what the others are held to.
KINDS = {"all": "", "256 bits": " -mno-avx512f", "plain": " -mno-avx512f -mno-avxvnni"}


def library_of(kind: str) -> ctypes.CDLL:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", "cc" + KINDS[kind])
        try:
            library = compiled_library(SOURCE, compiled_int8._ARGUMENTS)
        except CompilerError as why_not:
            pytest.skip(f"not here: {why_not}")
    return library


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything is computed so."""
    library = library_of(request.param)
    if request.param != "plain" and not library.int8_lanes():
        pytest.skip(f"this processor does not add up products in 8 bits ({request.param})")
    monkeypatch.setattr(compiled_int8, "_library", lambda: library)
    return str(request.param)


def make_weights(n_inputs: int, width: int, dim: int, projection: bool) -> Arranged:
    torch.manual_seed(4)
    kernel = torch.randn(n_inputs + width + 1, 4 * dim) / width**0.5
    return arrange(Weights(kernel, torch.randn(dim, width) / dim**0.5 if projection else None))


def rounded(x: torch.Tensor) -> np.ndarray:
    """What a row becomes, times its scale."""
    numbers = x.double().numpy()
    scales = np.maximum(abs(numbers).max(1, keepdims=True), 1e-30) / 127
    return np.asarray(np.rint(numbers / scales) * scales)


def unpacked(tiles: Tiles) -> np.ndarray:
    """The matrix ``(inputs, outputs)`` that tiles stand for, with what was filled up."""
    numbers = tiles.weights.transpose(1, 2).reshape(len(tiles.scales), -1).double() * tiles.scales.unsqueeze(1)
    return np.asarray(numbers.T.numpy())


@pytest.mark.parametrize("n_rows", range(1, 14))
def test_products_are_those_of_whole_numbers(kind: str, n_rows: int) -> None:
    weights = CompiledInt8Weights(make_weights(37, 32, 32, False))
    x = torch.randn(n_rows, 37) * 10.0 ** torch.randint(-4, 4, (n_rows, 1))
    ((found, sizes),) = compiled_int8._gates(x, [n_rows], weights, None)
    assert weights.of_input is not None
    exact = rounded(x) @ unpacked(weights.of_input)[:37] + weights.bias.numpy()
    assert sizes == [n_rows]
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5 * float(np.abs(exact).max()))


@pytest.mark.parametrize(("n_inputs", "n_outputs"), [(1, 1), (37, 64), (112, 130)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_a_matrix_by_itself(kind: str, n_inputs: int, n_outputs: int, with_bias: bool) -> None:
    torch.manual_seed(6)
    matrix, bias = torch.randn(n_inputs, n_outputs), torch.randn(n_outputs) if with_bias else None
    x = torch.randn(n_inputs, 9).T  # not as it stands in memory
    exact = rounded(x) @ unpacked(Tiles(matrix))[:n_inputs, :n_outputs] + (0 if bias is None else bias.numpy())
    linear = CompiledInt8Linear(matrix, bias)
    found = linear(x)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5 * float(np.abs(exact).max()))
    assert torch.equal(linear(x[4:5]), found[4:5])
    assert linear(x[:0]).shape == (0, n_outputs)


@pytest.mark.parametrize(("width", "dim", "projection"), [(16, 48, True), (70, 96, True), (24, 24, False)])
@pytest.mark.parametrize("clips", [UNCLIPPED, Clips(0.5, 0.2)])
def test_close_to_float32_and_clipped_alike(kind: str, width: int, dim: int, projection: bool, clips: Clips) -> None:
    weights = make_weights(width, width, dim, projection)
    x = torch.randn(9, width)
    state = (torch.rand(4, width) / 2, torch.randn(4, dim) / 4)
    cells = [state[1].clone(), state[1].clone()]
    exact = run_one(x, [4, 3, 2], weights, clips, (state[0], cells[0]))
    found = run_compiled_int8(x, [4, 3, 2], CompiledInt8Weights(weights), clips, (state[0], cells[1]))
    assert (found - exact).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(found, exact)  # else nothing was rounded
    torch.testing.assert_close(cells[1], cells[0], atol=0.05, rtol=0.05)
    if clips.projection is not None and projection:
        assert found.abs().max() <= clips.projection


@pytest.mark.parametrize(("width", "dim", "projection"), [(16, 48, True), (24, 24, False)])
def test_every_kind_computes_as_the_plain_one(kind: str, width: int, dim: int, projection: bool) -> None:
    weights, x = CompiledInt8Weights(make_weights(width, width, dim, projection)), torch.randn(40, width)
    found = run_compiled_int8(x, [20, 15, 5], weights, UNCLIPPED)
    plain = library_of("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_int8, "_library", lambda: plain)
        expected = run_compiled_int8(x, [20, 15, 5], weights, UNCLIPPED)
    # A number that a last digit moved across the middle between two whole ones is a step away.
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0.0)
    assert (found - expected).abs().mean() < 1e-4


@pytest.mark.parametrize(("width", "dim", "projection"), [(16, 48, True), (32, 32, False)])
def test_a_row_does_not_feel_the_others(kind: str, width: int, dim: int, projection: bool) -> None:
    weights, steps = CompiledInt8Weights(make_weights(16, width, dim, projection)), 3
    for n_rows in range(2, 14):
        sizes = torch.tensor([1.0, 100.0, 1e-3, 1.0, 7.0, 0.0]).repeat(3)[:n_rows].unsqueeze(1)
        x = torch.randn(steps, n_rows, 16) * sizes
        together = run_compiled_int8(x.flatten(0, 1), [n_rows] * steps, weights, UNCLIPPED)
        alone = [run_compiled_int8(x[:, row].contiguous(), [1] * steps, weights, UNCLIPPED) for row in range(n_rows)]
        assert torch.equal(together.view(steps, n_rows, -1), torch.stack(alone, dim=1))
        assert torch.isfinite(together).all()


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_stays_none(kind: str, value: float, projection: bool) -> None:
    """So that it is noticed; and other rows do not feel it."""
    weights, x = CompiledInt8Weights(make_weights(16, 32, 32, projection)), torch.randn(2, 3, 16)
    expected = run_compiled_int8(x.flatten(0, 1), [3, 3], weights, UNCLIPPED).view(2, 3, -1)
    x[0, 1, 5] = value
    found = run_compiled_int8(x.flatten(0, 1), [3, 3], weights, UNCLIPPED).view(2, 3, -1)
    assert found[0, 1].isnan().all()
    assert torch.equal(found[:, ::2], expected[:, ::2])
    damaged = CompiledInt8Weights(make_weights(16, 32, 32, projection))
    damaged.kernel.scales[7] = torch.nan
    assert run_compiled_int8(torch.randn(6, 16), [3, 3], damaged, UNCLIPPED).isnan().any()


def test_steps_taken_together_or_one_by_one_are_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, x = CompiledInt8Weights(make_weights(24, 24, 24, False)), torch.randn(14, 24)
    found = []
    for most_bytes in (GATE_BYTES, 6 * 16 * weights.dim, 1):
        monkeypatch.setattr(compiled_int8, "GATE_BYTES", most_bytes)
        found.append(run_compiled_int8(x, [5, 4, 2, 1, 1, 1], weights, UNCLIPPED))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("n_typed", [5, 16])
def test_what_types_give_may_be_left_out(kind: str, n_typed: int, projection: bool) -> None:
    weights = CompiledInt8Weights(make_weights(16, 32, 32, projection))
    types = Types(torch.randn(3, n_typed), torch.randint(3, (8,)))
    others = torch.randn(8, 16 - n_typed)
    whole = run_compiled_int8(types.behind(others), [4, 4], weights, UNCLIPPED)
    assert torch.equal(run_compiled_int8(others, [4, 4], weights, UNCLIPPED, types=types), whole)


def test_an_encoder(tmp_path: Path) -> None:
    skip_without("int8-compiled")
    small_bilm(tmp_path)
    sentences = [["a", "b"], [], ["never-seen"] * 7]
    exact, found = (list(Elmo.load(tmp_path, precision=p).embed(sentences)) for p in ("fp32", "int8-compiled"))
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.shape == theirs.shape
        assert ours.size == 0 or 0 < abs(ours - theirs).max() < 0.05


def test_a_character_cnn_has_each_token_alike_in_any_company(kind: str) -> None:
    torch.manual_seed(5)
    options = CharCnnOptions(filters=((1, 8), (2, 16), (5, 40)), max_characters_per_token=20, n_highway=2)
    exact, found = CharacterCnn(options, 24), CharacterCnn(options, 24)
    exact.reset_parameters()
    found.load_state_dict(exact.state_dict())
    exact.prepare_for_inference()
    found.prepare_for_inference("int8-compiled")
    tokens = ["a", "token", "", "long" * 5, *(f"{n:b}" for n in range(400))]
    rows = exact.rows_of(tokens)
    with torch.inference_mode():
        together = found(rows)
        assert 0 < (together - exact(rows)).abs().max() < 0.02 * exact(rows).abs().max()
        for n in (0, 1, 2, 3, 200):
            assert torch.equal(found(rows[n : n + 1])[0], together[n])


@pytest.mark.parametrize(
    ("compiler", "expected"),
    [
        ("no-such-cc", "there is no C compiler: no program is called no-such-cc; try --precision int8"),
        ("false", "false could not compile it; try --precision int8"),
        ("cc" + KINDS["plain"], "needs a processor that adds up 8-bit products"),
    ],
)
def test_refused_where_it_cannot_be_compiled_or_would_be_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, expected: str
) -> None:
    if compiler.startswith("cc"):
        library_of("plain")  # or skipped
    small_bilm(tmp_path)
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(compiled_int8, "_library", compiled_int8._library.__wrapped__)
    with pytest.raises(UsageError, match=expected):
        Elmo.load(tmp_path, precision="int8-compiled", device="cpu")


def test_it_is_compiled_once() -> None:
    skip_without("int8-compiled")
    assert int8_library() is int8_library()
