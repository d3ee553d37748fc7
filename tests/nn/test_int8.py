"""8-bit products: close to float32, the same in any batch, and refused where torch has none."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError
from ner_elmo.nn import int8
from ner_elmo.nn.cell import Arranged, Clips, Weights, arrange
from ner_elmo.nn.inference import GATE_BYTES, run_one
from ner_elmo.nn.int8 import Int8Matrix
from ner_elmo.nn.precision import processor_has
from tests.support.small_bilms import small_bilm

needs_engine = pytest.mark.skipif(
    not set(int8._ENGINES) & set(torch.backends.quantized.supported_engines), reason="torch has no quantised products"
)


def make_weights(width: int, dim: int, projection: bool) -> Arranged:
    torch.manual_seed(4)
    kernel = torch.randn(2 * width + 1, 4 * dim) / width**0.5
    return arrange(Weights(kernel, torch.randn(dim, width) / dim**0.5 if projection else None))


@needs_engine
@pytest.mark.parametrize(("width", "dim", "projection"), [(16, 48, True), (24, 24, False)])
@pytest.mark.parametrize("clips", [Clips(None, None), Clips(0.5, 0.2)])
def test_close_to_float32_and_clipped_alike(width: int, dim: int, projection: bool, clips: Clips) -> None:
    weights = make_weights(width, dim, projection)
    x = torch.randn(9, width)
    state = (torch.randn(4, width) / 4, torch.randn(4, dim) / 4)
    cells = [state[1].clone(), state[1].clone()]
    exact = run_one(x, [4, 3, 2], weights, clips, (state[0], cells[0]))
    found = int8.run_int8(x, [4, 3, 2], int8.Int8Weights(weights), clips, (state[0], cells[1]))
    # Where the processor pairs products in 16 bits, inputs have 7 bits instead of 8, and steps twice as wide.
    most = 0.05 if processor_has("vnni") else 0.1
    assert (found - exact).abs().max() < most * exact.abs().max()
    assert not torch.equal(found, exact)  # else nothing was quantised
    torch.testing.assert_close(cells[1], cells[0], atol=0.05, rtol=0.05)
    if clips.projection is not None and projection:
        assert found.abs().max() <= clips.projection


@needs_engine
@pytest.mark.parametrize(("width", "dim", "projection"), [(16, 48, True), (16, 16, False)])
def test_a_row_does_not_feel_the_others(width: int, dim: int, projection: bool) -> None:
    weights = int8.Int8Weights(make_weights(width, dim, projection))
    x = torch.randn(6, 16) * torch.tensor([[1.0], [100.0], [1e-3], [1.0], [7.0], [0.0]])
    together = int8.run_int8(x, [6], weights, Clips(None, None))
    alone = torch.cat([int8.run_int8(row.unsqueeze(0), [1], weights, Clips(None, None)) for row in x])
    assert torch.equal(together, alone)
    assert torch.isfinite(together).all()


@needs_engine
def test_steps_taken_together_or_one_by_one_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, x, sizes = make_weights(24, 24, False), torch.randn(14, 24), [5, 4, 2, 1, 1, 1]
    found = []
    for most_bytes in (GATE_BYTES, 6 * 16 * weights.dim, 1):
        monkeypatch.setattr(int8, "GATE_BYTES", most_bytes)
        found.append(int8.run_int8(x, sizes, int8.Int8Weights(weights), Clips(None, None)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def mean_square(errors: torch.Tensor) -> float:
    return float(errors.square().mean())


@needs_engine
def test_units_of_large_weights_take_no_digits_of_the_others() -> None:
    torch.manual_seed(4)
    sizes = torch.ones(32)
    sizes[::4] = 1 / 64  # of the units; their weights are as much larger
    units, matrix = torch.rand(6, 32) * sizes / 2, torch.randn(32, 32) / sizes.unsqueeze(1)
    evened, plain, found = int8._Evened(matrix), Int8Matrix(matrix, 0.5), torch.empty(6, 32)
    rows, others = evened.rows(6), plain.rows(6)
    rows[:, :-2] = others[:, :-2] = units
    evened.product(rows, found)
    assert mean_square(found - units @ matrix) < mean_square(plain.product(others) - units @ matrix) / 2


@needs_engine
def test_large_inputs_take_no_digits_of_the_state() -> None:
    plain = make_weights(32, 32, False)
    kernel = torch.cat([plain.kernel[:32] / 100, plain.kernel[32:]])
    weights, x = plain._replace(kernel=kernel), 100 * torch.randn(60, 32)
    apart, joined = int8.Int8Weights(weights), int8.Int8Weights(weights)
    joined.gates = int8._Joined(weights)
    exact = run_one(x, [6] * 10, weights, Clips(None, None))
    errors = [mean_square(int8.run_int8(x, [6] * 10, one, Clips(None, None)) - exact) for one in (apart, joined)]
    assert errors[0] < errors[1] / 2


@needs_engine
def test_an_encoder_in_8_bits(tmp_path: Path) -> None:
    small_bilm(tmp_path)
    sentences = [["a", "b"], [], ["never-seen"] * 7]
    exact, found = (list(Elmo.load(tmp_path, precision=p).embed(sentences)) for p in ("fp32", "int8"))
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.shape == theirs.shape
        assert (ours[:1] == theirs[:1]).all()  # the token layer stays as it is
        assert ours.size == 0 or abs(ours - theirs).max() < 0.05


def test_refused_without_an_engine_or_on_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_bilm(tmp_path)
    assert Elmo.load(tmp_path, precision="int8", device="cpu:0").device.type == "cpu"
    with pytest.raises(UsageError, match="for CPUs only"):
        Elmo.load(tmp_path, precision="int8", device="cuda")
    with pytest.raises(UsageError, match="expected auto, fp32, bf16, int8"):
        Elmo.load(tmp_path, precision="int4")
    monkeypatch.setattr(int8, "_ENGINES", ())
    with pytest.raises(UsageError, match="no quantised products"):
        Elmo.load(tmp_path, precision="int8")


@needs_engine
def test_a_copy_computes_the_same_and_warns_of_nothing() -> None:
    torch.manual_seed(0)
    matrix = Int8Matrix(torch.randn(7, 5))
    copied = pickle.loads(pickle.dumps(matrix))  # a warning is an error here
    rows = [one.rows(3) for one in (matrix, copied)]
    values = torch.randn(3, 7)
    for one in rows:
        one[:, :-2] = values
    products = [one.scaled_product(row)[0] for one, row in zip((matrix, copied), rows, strict=True)]
    assert torch.equal(*products)


@needs_engine
def test_rows_between_known_bounds_need_no_factor() -> None:
    torch.manual_seed(0)
    weights = torch.randn(64, 32)
    bounded = Int8Matrix(weights, 0.5)
    rows = bounded.rows(5)
    rows[:, :-2] = torch.rand(5, 64) - 0.5
    rows[:, 0] = 0.5
    kept = rows.clone()
    found = bounded.product(rows)
    exact = rows[:, :-2] @ weights
    # A step of the input is a 255th of its range, or a 127th, and half a step is the most that a number is changed by.
    step = 1.0 / (255 if processor_has("vnni") else 127)
    most = (step / 2 * weights.abs() + 0.5 * weights.abs().amax(0) / 254).sum(0)
    assert ((found - exact).abs() <= 1.02 * most).all()
    assert torch.equal(rows, kept)
    assert torch.equal(bounded.product(rows[:1]), found[:1])
