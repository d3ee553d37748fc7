"""Products in bfloat16 for inference: close to float32, the same in any batch, and refused where they would be slow."""

from __future__ import annotations

import pickle

import pytest
import torch

from ner_elmo.errors import UsageError
from ner_elmo.nn import ordered_matrix, precision
from ner_elmo.nn.bfloat16 import ROWS, Bf16Weights, enough_rows, run_bf16
from ner_elmo.nn.cell import Arranged, Clips, Weights, arrange
from ner_elmo.nn.inference import run_one
from ner_elmo.nn.precision import inference_precision
from ner_elmo.nn.prepared import Prepared
from tests.support.precisions import skip_without


def make_weights(n_inputs: int, width: int, dim: int, projection: bool) -> Arranged:
    torch.manual_seed(4)
    kernel = torch.randn(n_inputs + width + 1, 4 * dim) / (n_inputs + width) ** 0.5
    return arrange(Weights(kernel, torch.randn(dim, width) / dim**0.5 if projection else None))


@pytest.mark.parametrize(
    ("n_inputs", "width", "dim", "projection"), [(16, 16, 48, True), (40, 24, 24, False), (13, 300, 300, False)]
)
@pytest.mark.parametrize("clips", [Clips(None, None), Clips(0.5, 0.2)])
def test_close_to_float32_and_clipped_alike(
    n_inputs: int, width: int, dim: int, projection: bool, clips: Clips
) -> None:
    weights, sizes = make_weights(n_inputs, width, dim, projection), [21, 21, 20, 5, 2]
    x = torch.randn(sum(sizes), n_inputs)
    state = torch.randn(21, width) / 4, torch.randn(21, dim) / 4
    cells = [state[1].clone(), state[1].clone()]
    exact = run_one(x, sizes, weights, clips, (state[0], cells[0]))
    found = run_bf16(x, sizes, Bf16Weights(weights), clips, (state[0], cells[1]))
    assert (found - exact).abs().max() < 0.01
    assert not torch.equal(found, exact)  # else nothing was rounded
    torch.testing.assert_close(cells[1], cells[0], atol=0.02, rtol=0.02)
    if clips.projection is not None and projection:
        assert found.abs().max() <= clips.projection


@pytest.mark.skipif(not precision.multiplies_bf16("cpu"), reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize(
    ("n_inputs", "width", "dim", "projection"),
    [(128, 128, 512, True), (740, 256, 256, False), (300, 200, 200, False), (512, 512, 4096, True)],
)
def test_a_row_does_not_feel_the_others(n_inputs: int, width: int, dim: int, projection: bool) -> None:
    weights = Bf16Weights(make_weights(n_inputs, width, dim, projection))
    x, clips = torch.randn(3, 700, n_inputs), Clips(3.0, 3.0)
    together = run_bf16(x.flatten(0, 1), [700] * 3, weights, clips).view(3, 700, -1)
    for rows in (slice(0, 1), slice(5, 8), slice(11, 28), slice(100, 148), slice(90, 290), slice(30, 690)):
        some = x[:, rows]
        alone = run_bf16(some.flatten(0, 1), [some.shape[1]] * 3, weights, clips).view(*some.shape[:2], -1)
        assert torch.equal(alone, together[:, rows])


def test_the_bias_is_not_rounded() -> None:
    """With nothing else, gates are what the bias says to 16 binary digits: it meets the product as two numbers."""
    weights = make_weights(16, 16, 48, True)
    weights.kernel[:-1].zero_()
    x, clips = torch.zeros(8, 16), Clips(None, None)
    found, exact = run_bf16(x, [8], Bf16Weights(weights), clips), run_one(x, [8], weights, clips)
    # The gates' one rounding, to bfloat16, is still there: 2 ** -9 of a gate.
    assert (found - exact).abs().max() < 0.004
    ((kernel,),) = (of.parts for of in pickle.loads(pickle.dumps(Bf16Weights(weights))).kernels)
    kernel = kernel.__getstate__()["matrix"]
    torch.testing.assert_close(kernel[:, 32].float() + kernel[:, 33].float(), weights.kernel[-1], atol=0, rtol=2**-16)


def test_few_numbers_of_rows() -> None:
    numbers = [enough_rows(n) for n in range(1, 5000)]
    for n, rows in enumerate(numbers, start=1):
        assert n <= rows <= max(n + ROWS, 1.13 * n)
    assert numbers == sorted(numbers)
    assert len(set(numbers)) < 60


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8", "int8-compiled"])
def test_a_copy_computes_the_same(name: str) -> None:
    if name != "bf16":  # which torch computes on any processor
        skip_without(name)
    weights = make_weights(16, 16, 48, True)
    prepared = Prepared(weights, name)
    x, clips = torch.randn(12, 16), Clips(None, None)
    assert torch.equal(prepared.run(x, [6, 6], clips), pickle.loads(pickle.dumps(prepared)).run(x, [6, 6], clips))


def test_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(precision, "processor_has", lambda capability: False)
    assert inference_precision("auto", cpu) == "fp32"
    with pytest.raises(UsageError, match="needs a processor that multiplies bfloat16"):
        inference_precision("bf16", cpu)
    monkeypatch.setattr(precision, "processor_has", lambda capability: True)
    assert inference_precision("auto", cpu) == "bf16"
    assert inference_precision("auto", torch.device("cuda")) == "fp32"
    with pytest.raises(UsageError, match="for CPUs only"):
        inference_precision("bf16", torch.device("cuda"))


@pytest.mark.parametrize(("n_inputs", "width", "dim"), [(16, 16, 48), (300, 300, 300)])
def test_without_ordered_weights_it_computes_the_same(
    monkeypatch: pytest.MonkeyPatch, n_inputs: int, width: int, dim: int
) -> None:
    """Of one part and of two, as another torch would."""
    weights, clips = make_weights(n_inputs, width, dim, width != dim), Clips(0.5, 0.2)
    x = torch.randn(20, n_inputs)
    found = run_bf16(x, [10, 10], Bf16Weights(weights), clips)
    monkeypatch.setattr(ordered_matrix, "onednn_functions", lambda: None)
    plain = Bf16Weights(weights)
    assert not plain.kernels[0].parts[0].is_ordered
    torch.testing.assert_close(run_bf16(x, [10, 10], plain, clips), found, atol=0.01, rtol=0.01)
