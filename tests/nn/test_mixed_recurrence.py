"""The recurrence with products in bfloat16: against a loop that autograd differentiates, its numbers rounded alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.nn import ordered_matrix
from ner_elmo.nn.cell import Clips
from ner_elmo.nn.mixed_recurrence import MixedRecurrence
from ner_elmo.nn.ordered_matrix import OrderedMatrix
from ner_elmo.nn.room import Room

DIM, WIDTH = 12, 5
BINDING = Clips(0.3, 0.05)


class _Rounded(torch.autograd.Function):
    """To bfloat16 and back; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


def rounded(x: Tensor) -> Tensor:
    return _Rounded.apply(x)  # type: ignore[no-any-return]


def slow(
    x: list[Tensor], kernel: Tensor, projection: Tensor | None, clips: Clips, h: Tensor, c: Tensor
) -> list[Tensor]:
    """All steps of rows that end one after the other; what is rounded in the fast version is rounded here."""
    outputs = []
    matrix, bias = rounded(kernel[:-1]), kernel[-1]
    for step in x:
        n_rows = len(step)
        z = rounded(torch.cat([rounded(step), rounded(h[:n_rows])], dim=1) @ matrix + bias)
        i, f, j, o = z.chunk(4, dim=1)
        c = torch.sigmoid(f) * c[:n_rows] + torch.sigmoid(i) * torch.tanh(j)
        if clips.cell is not None:
            c = c.clamp(-clips.cell, clips.cell)
        h = torch.sigmoid(o) * torch.tanh(c)
        if projection is not None:
            h = rounded(rounded(h) @ rounded(projection))
            if clips.projection is not None:
                h = h.clamp(-clips.projection, clips.projection)
        outputs.append(h)
    return outputs


@pytest.mark.parametrize("batch_sizes", [[4, 4, 4], [20, 17, 3, 3, 1], [1]])
@pytest.mark.parametrize("clips", [Clips(None, None), BINDING])
@pytest.mark.parametrize("projection", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(("lays_out", "compiles"), [(True, False), (False, False), (True, True)])
def test_outputs_and_gradients_are_those_of_a_slow_loop(
    batch_sizes: list[int],
    clips: Clips,
    projection: bool,
    with_state: bool,
    lays_out: bool,
    compiles: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not lays_out:  # as where torch lacks the operations
        monkeypatch.setattr(ordered_matrix, "onednn_functions", lambda: None)
    monkeypatch.setattr(compiled._InUse, "passes", None)
    if compiles and (why_not := compiled.use_compiler()) is not None:
        pytest.skip(f"not here: {why_not}")
    torch.manual_seed(sum(batch_sizes))
    width, most = (WIDTH if projection else DIM), batch_sizes[0]
    kernel = (0.6 * torch.randn(2 * width + 1, 4 * DIM)).requires_grad_()
    matrix = (0.6 * torch.randn(DIM, width)).requires_grad_() if projection else None
    state = (torch.randn(most, width) / 20, torch.randn(most, DIM) / 5) if with_state else None
    x = torch.randn(sum(batch_sizes), width, requires_grad=True)
    begin = state or (torch.zeros(most, width), torch.zeros(most, DIM))
    expected = torch.cat(slow(list(x.split(batch_sizes)), kernel, matrix, clips, *begin))
    upstream = torch.randn_like(expected)
    leaves = [leaf for leaf in (x, kernel, matrix) if leaf is not None]
    wanted = torch.autograd.grad((expected * upstream).sum(), leaves)

    y, c = MixedRecurrence.apply(x, kernel, matrix, *(state or (None, None)), batch_sizes, clips, Room())
    found = torch.autograd.grad((y * upstream).sum(), leaves)
    assert y.dtype == c.dtype == torch.float32
    torch.testing.assert_close(y, expected, atol=0.02, rtol=0.02)
    # Where values are clipped, a digit more or less lets a gradient pass or not.
    share = 0.03 if clips.cell is None else 0.25
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).norm() <= share * theirs.norm()


def test_memory_that_is_used_again_changes_nothing() -> None:
    """Steps of changing sizes from one room, whose memory holds what was left there, and from new ones."""
    torch.manual_seed(3)
    kernel, matrix = torch.randn(2 * WIDTH + 1, 4 * DIM), torch.randn(DIM, WIDTH)
    shared = Room()
    shared.give_back(torch.full((40_000,), torch.nan))
    for batch_sizes in ([9, 9, 9], [9, 9, 2], [300, 200], [5], [9, 9, 9]):
        found = []
        for room in (shared, Room()):
            weights = kernel.clone().requires_grad_(), matrix.clone().requires_grad_()
            x = torch.linspace(-1, 1, sum(batch_sizes) * WIDTH).view(-1, WIDTH).requires_grad_()
            y, c = MixedRecurrence.apply(x, *weights, None, None, batch_sizes, BINDING, room)
            found.append((y, c, *torch.autograd.grad(y.sin().sum(), [x, *weights])))
        for ours, theirs in zip(*found, strict=True):
            assert torch.equal(ours, theirs)


def test_a_second_backward_pass_is_refused() -> None:
    kernel = torch.randn(2 * DIM + 1, 4 * DIM, requires_grad=True)
    y, _ = MixedRecurrence.apply(torch.randn(6, DIM), kernel, None, None, None, [3, 3], BINDING, Room())
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass"):
        y.sum().backward()


@pytest.mark.parametrize("n_rows", [1, 16, 93])
def test_a_matrix_laid_out_beforehand_gives_its_product(n_rows: int) -> None:
    torch.manual_seed(n_rows)
    rows, matrix = torch.randn(n_rows, 64).bfloat16(), torch.randn(64, 24).bfloat16()
    found = OrderedMatrix(matrix.t(), 16).meet(rows)
    torch.testing.assert_close(found.double(), rows.double() @ matrix.double(), atol=0.05, rtol=0.01)
