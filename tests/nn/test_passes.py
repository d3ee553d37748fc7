"""What is computed between products, by torch's operations and compiled: against formulas in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.nn.compiled_passes import CompiledPasses, compiled_passes, use_compiler
from ner_elmo.nn.passes import FACTORS, Passes, TorchPasses, passes_on

DIMS = [1, 5, 64, 130]  # blocks of the compiled code have 64 units


@pytest.fixture(params=["torch", "compiled"])
def passes(request: pytest.FixtureRequest) -> Passes:
    return TorchPasses() if request.param == "torch" else request.getfixturevalue("compiled_ones")


@pytest.fixture
def nothing_compiled() -> Iterator[None]:
    before, compiled._InUse.passes = compiled._InUse.passes, None
    yield
    compiled._InUse.passes = before


def slow(z: Tensor, cell: Tensor, clip: float | None) -> tuple[Tensor, Tensor]:
    """n and twice the cell ``(rows, dim)``, by the formulas."""
    i, f, j, o = z.sigmoid().chunk(4, 1)
    after = f * cell + 2 * i * (2 * j - 1)
    if clip is not None:
        after = after.clamp(-clip, clip)
    return o * (1 - 2 * after.sigmoid()), after


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("is_projected", [True, False])
def test_a_step_and_its_gradients_are_those_of_the_formulas(
    passes: Passes, dim: int, clip: float | None, is_projected: bool
) -> None:
    torch.manual_seed(dim)
    rows = 7
    z = (2 * torch.randn(rows, 4 * dim)).bfloat16()
    before, of_next = torch.randn(rows, dim), torch.randn(rows, dim)
    upstream = torch.randn(rows, dim).bfloat16()
    exact_z, exact_before = z.double().requires_grad_(), before.double().requires_grad_()
    n, after = slow(exact_z, exact_before, clip)
    wanted = torch.autograd.grad([n, after], [exact_z, exact_before], [upstream.double(), of_next.double()])

    cell, factors = before.clone(), torch.empty(rows, FACTORS * dim, dtype=torch.bfloat16)
    hidden = torch.empty(rows, dim, dtype=torch.bfloat16) if is_projected else None
    out = None if is_projected else torch.empty(rows, dim)
    passes.cell_forward(z, cell, clip, factors, hidden, out)
    torch.testing.assert_close(cell.double(), after.detach(), atol=2e-5, rtol=2e-5)
    if hidden is not None:
        torch.testing.assert_close(hidden.double(), n.detach(), atol=1e-5, rtol=2**-8)
    if out is not None:
        torch.testing.assert_close(out.double(), -n.detach(), atol=1e-5, rtol=1e-5)

    d_cell, d_gates = of_next.clone(), torch.empty(rows, 4 * dim, dtype=torch.bfloat16)
    passes.cell_backward(
        factors, upstream if is_projected else None, None if is_projected else -upstream.float(), d_cell, d_gates
    )
    i, f, j, o = d_gates.double().chunk(4, 1)
    # The candidate lacks 4; the 2 that it lacks in training is in its columns, which are doubled there.
    found = torch.cat([i, f, 4 * j, o], 1)
    for ours, theirs in ((found, wanted[0]), (d_cell.double(), wanted[1])):
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("has_before", [True, False])
@pytest.mark.parametrize("directions", [0, 2])
def test_a_step_in_float32_and_its_gradients_are_those_of_the_formulas(
    passes: Passes, dim: int, clip: float | None, has_before: bool, directions: int
) -> None:
    torch.manual_seed(dim)
    # More rows than are given: what is a part of each direction has gaps between directions.
    shape = (2, 9) if directions else (7,)
    z, before = 2 * torch.randn(*shape, 4 * dim), torch.randn(*shape, dim)
    cell, squashed, minus = (torch.full((*shape, dim), math.nan) for _ in range(3))
    d_minus, d_cell = torch.randn(*shape, dim), torch.randn(*shape, dim)
    whole = z.clone()
    z, before, cell, squashed, minus, d_minus, d_cell = (
        of[..., :7, :] for of in (z, before, cell, squashed, minus, d_minus, d_cell)
    )
    exact_z, exact_before = z.double().requires_grad_(), before.double().requires_grad_(has_before)
    start = exact_before if has_before else torch.zeros_like(exact_before)
    n, after = slow(exact_z.flatten(0, -2), start.flatten(0, -2), clip)
    upstream = [d_minus.double().flatten(0, -2), d_cell.double().flatten(0, -2)]
    leaves = [exact_z, exact_before] if has_before else [exact_z]
    wanted = torch.autograd.grad([n, after], leaves, upstream)

    given = before if has_before else None
    passes.gates_forward(z, given, cell, squashed, minus, clip)
    assert torch.allclose(z.double(), exact_z.detach().sigmoid(), atol=2e-6, rtol=1e-5)
    for ours, theirs in ((cell, after), (minus, n), (squashed, after.sigmoid())):
        torch.testing.assert_close(ours.double().flatten(0, -2), theirs.detach(), atol=1e-5, rtol=1e-5)
    passes.gates_backward(z, given, cell, squashed, d_minus, d_cell, clip)
    i, f, j, o = z.double().chunk(4, -1)
    # As SCALES has it, but for the doubling of the candidate's columns
    found = torch.cat([-2 * i, f, 4 * j, o], -1)
    torch.testing.assert_close(found, wanted[0], atol=3e-5, rtol=1e-4)
    if has_before:
        torch.testing.assert_close(d_cell.double(), wanted[1], atol=3e-5, rtol=1e-4)
    if directions:
        assert torch.equal(whole[:, 7:], z._base[:, 7:])  # type: ignore[index] # what lies between is left alone


@pytest.mark.parametrize("n", [1, 63, 64, 200])
def test_exponentials_of_what_is_shifted(passes: Passes, n: int) -> None:
    torch.manual_seed(n)
    x = 60 * torch.randn(5, n)
    x[1, 0], x[2, -1] = -math.inf, 300.0
    shift = torch.tensor([500.0, 0.0, 1.0, -1000.0, 3.0])
    most = torch.maximum(x.amax(1), shift)
    expected = (x.double() - most.double().unsqueeze(1)).exp()
    total = passes.shifted_exponentials(x, shift)
    assert torch.equal(shift, most)
    torch.testing.assert_close(x.double(), expected, atol=1e-37, rtol=2e-5)
    torch.testing.assert_close(total.double(), expected.sum(1), atol=1e-36, rtol=2e-5)
    not_a_number = torch.tensor([[1.0, math.nan]])
    assert passes.shifted_exponentials(not_a_number, torch.zeros(1)).isnan().all()


@pytest.mark.parametrize("n", [1, 63, 64, 200])
def test_exponentials_and_their_sums(passes: Passes, n: int) -> None:
    torch.manual_seed(n)
    x = (30 * torch.randn(5, n)).clamp(max=80).bfloat16()
    x[1, 0] = -math.inf
    expected = x.double().exp()
    total = passes.exponentials(x)
    torch.testing.assert_close(x.double(), expected, atol=1e-36, rtol=2**-8)
    assert x[1, 0] == 0
    torch.testing.assert_close(total.double(), expected.sum(1), atol=1e-36, rtol=2**-7)


def test_what_is_no_number_does_not_get_lost(passes: Passes) -> None:
    nan = torch.tensor([[1.0, math.nan]]).bfloat16()
    assert passes.exponentials(nan).isnan().all()
    z = torch.zeros(1, 8).bfloat16()
    z[0, 1] = math.nan
    cell, hidden = torch.zeros(1, 2), torch.zeros(1, 2).bfloat16()
    passes.cell_forward(z, cell, 1.0, torch.zeros(1, 12).bfloat16(), hidden, None)
    assert cell.isnan().tolist() == hidden.isnan().tolist() == [[False, True]]


@pytest.mark.parametrize("n", [1, 64, 100])
def test_rows_are_added_up(passes: Passes, n: int) -> None:
    torch.manual_seed(n)
    x, total = torch.randn(32, n).bfloat16(), torch.randn(n)
    expected = total.double() + x.double().sum(0)
    passes.add_rows(total, x)
    torch.testing.assert_close(total.double(), expected, atol=0.05, rtol=2**-8)


def test_threads_change_no_digit(compiled_ones: CompiledPasses) -> None:
    torch.manual_seed(1)
    z, before = torch.randn(9, 4 * 130).bfloat16(), torch.randn(9, 130)
    upstream = torch.randn(9, 130).bfloat16()
    results = []
    n_threads = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            cell, factors = before.clone(), torch.empty(9, FACTORS * 130).bfloat16()
            hidden, d_gates, d_cell = torch.empty_like(upstream), torch.empty_like(z), before.clone()
            compiled_ones.cell_forward(z, cell, None, factors, hidden, None)
            compiled_ones.cell_backward(factors, upstream, None, d_cell, d_gates)
            total, p = torch.zeros(4 * 130), z.clone()
            compiled_ones.add_rows(total, d_gates)
            results.append([cell, factors, hidden, d_gates, d_cell, total, compiled_ones.exponentials(p), p])
            gates, squashed, minus, logits = z.float(), torch.empty(9, 130), torch.empty(9, 130), z.float()
            compiled_ones.gates_forward(gates, before, cell, squashed, minus, 1.0)
            compiled_ones.gates_backward(gates, before, cell, squashed, minus, d_cell, 1.0)
            sums = compiled_ones.shifted_exponentials(logits, shift := torch.zeros(9))
            results[-1] += [gates, squashed, minus, cell, d_cell, logits, sums, shift]
    finally:
        torch.set_num_threads(n_threads)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_tensors_with_gaps_are_refused(compiled_ones: CompiledPasses) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        compiled_ones.exponentials(torch.zeros(4, 8).bfloat16().t())


@pytest.mark.usefixtures("nothing_compiled")
def test_nothing_is_compiled_unasked() -> None:
    assert isinstance(passes_on(torch.device("cpu")), TorchPasses)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize(
    ("compiler", "why_not"),
    [("no-such-cc -x", "no program is called no-such-cc"), ("false", "false could not compile")],
)
def test_where_it_cannot_be_compiled_torch_computes(
    compiler: str, why_not: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert why_not in (use_compiler() or "")
    assert isinstance(passes_on(torch.device("cpu")), TorchPasses)


@pytest.mark.usefixtures("compiled_ones", "nothing_compiled")
def test_a_library_without_the_functions_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty.c"
    empty.write_text("int nothing;\n")
    monkeypatch.setattr(compiled, "SOURCE", empty)
    assert "cannot be used" in (use_compiler() or "")
    assert compiled_passes() is None


def test_it_is_compiled_once(compiled_ones: CompiledPasses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled._InUse, "passes", compiled_ones)
    monkeypatch.setenv("CC", "no-such-cc")
    assert use_compiler() is None
    assert passes_on(torch.device("cpu")) is compiled_ones
