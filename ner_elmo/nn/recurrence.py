"""The recurrence of an LSTM with a gradient, on packed sequences: how a biLM is trained.

It is what :class:`torch.nn.LSTM` computes, and clips beside it (Sak et al. 2014; docs/elmo-format.md §5). A step t
computes, from the input x_t, the output h and the cell c of the step before:

    z = [x_t h 1] W                           i, f, j, o = the four quarters of z
    c_t = clip(σ(f) c + σ(i) tanh(j))
    m_t = σ(o) tanh(c_t)                      hidden
    h_t = clip(m_t W_p)                       h_t = m_t where there is no projection

It is arranged for a processor: rows that have ended leave the batch, and the gradient of all weights is one product
over all steps. :mod:`~ner_elmo.nn.inference` says what packed means. It is float32; in mixed precision
:mod:`~ner_elmo.nn.mixed_recurrence` takes its place. A tagger has both directions in one
(:mod:`~ner_elmo.nn.bi_recurrence`).

Letters in shapes: ``positions`` of all rows together, ``rows`` of one step, ``width`` of inputs and outputs, ``dim`` of
the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.cell import Clips, Gates, Weights, gates_of


def last_outputs(y: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """Each row's output at its own last step ``(rows, width)``, from packed outputs."""
    last: list[int] = []
    end = y.shape[0]
    for n_rows in reversed(batch_sizes):  # from the last step: rows that have not been seen end here
        end -= n_rows
        last += range(end + len(last), end + n_rows)
    return y[torch.tensor(last, device=y.device)]


class Step(NamedTuple):
    """Where a step's rows stand among all positions.

    Attributes:
        rows: of this step.
        before: the same rows in the step before, all of which it had; ``None`` in the first step.
        following: of the step after: the first of ``rows``, the others having ended; empty after the last step.
    """

    rows: slice
    before: slice | None
    following: slice

    @property
    def n_rows(self) -> int:
        return int(self.rows.stop - self.rows.start)

    @property
    def n_going_on(self) -> int:
        """How many of the rows have a step after this one."""
        return int(self.following.stop - self.following.start)


def steps_of(batch_sizes: Sequence[int]) -> list[Step]:
    """All steps, the first one first."""
    ends = list(accumulate(batch_sizes))
    steps = []
    for t, (n_rows, end) in enumerate(zip(batch_sizes, ends, strict=True)):
        start = end - n_rows
        before = None if t == 0 else slice(start - batch_sizes[t - 1], start - batch_sizes[t - 1] + n_rows)
        steps.append(Step(slice(start, end), before, slice(end, ends[t + 1] if t + 1 < len(ends) else end)))
    return steps


class Recurrence(torch.autograd.Function):
    """The outputs with a gradient for the inputs and the weights; the state that they start from is taken as given.

    Input, state and bias meet the weights in one product a step. A value that was clipped passes no gradient. The state
    is ``None`` for zeros.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        projection: Tensor | None,
        h: Tensor | None,
        c: Tensor | None,
        batch_sizes: Sequence[int],
        clips: Clips,
    ) -> tuple[Tensor, Tensor]:
        """Outputs ``(positions, width)`` and each row's last cell ``(rows, dim)``, which has no gradient.

        Each tensor over ``positions`` is filled step by step. After step t its rows are: of ``joined`` what the weights
        are multiplied by, [x_t h_{t-1} 1]; of ``z`` the gates after activation; of ``cells`` c_t, of ``tanh_cells``
        tanh(c_t), of ``hidden`` m_t and of ``y`` h_t.
        """
        weights = Weights(kernel, projection)
        n_positions, dim, width = x.shape[0], weights.dim, weights.width
        # (positions, 2 · width + 1); the columns of the state are filled step by step
        joined = x.new_empty(n_positions, 2 * width + 1)
        joined[:, :width] = x
        joined[:, -1] = 1.0
        # (positions, 4 · dim)
        z = x.new_empty(n_positions, 4 * dim)
        # (positions, dim)
        cells, tanh_cells = (x.new_empty(n_positions, dim) for _ in range(2))
        # (positions, width)
        y = x.new_empty(n_positions, width)
        # (positions, dim)
        hidden = y if projection is None else x.new_empty(n_positions, dim)
        # (rows of the first step, dim)
        last_cells = x.new_empty(batch_sizes[0], dim)
        for step in steps_of(batch_sizes):
            rows, cell = step.rows, cells[step.rows]
            # (rows, width), (rows, dim): the state that these rows were left in
            before_h, before_c = (h, c) if step.before is None else (y[step.before], cells[step.before])
            joined[rows, width:-1] = 0.0 if before_h is None else before_h
            gates = gates_of(torch.mm(joined[rows], kernel, out=z[rows]))
            cell_forward(gates, before_c, cell, tanh_cells[rows], hidden[rows], clips.cell)
            if projection is not None:
                out = torch.mm(hidden[rows], projection, out=y[rows])
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            last_cells[step.n_going_on : step.n_rows] = cell[step.n_going_on :]
        ctx.first_c, ctx.batch_sizes, ctx.clips = c, list(batch_sizes), clips
        ctx.save_for_backward(kernel, projection, joined, z, cells, tanh_cells, hidden, y)
        ctx.mark_non_differentiable(last_cells)
        return y, last_cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_last_cells: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first. The gradients of the gates take the gates' place, so that
        torch refuses a second pass.

        Before step t is reached, its rows of ``d_y`` are the loss's gradient for h_t but for what goes through step
        t + 1; ``d_gates`` holds, in the rows of ``following``, the gradients of the gates of that step before
        activation, by which h_t gets the rest; and ``d_cells`` has what step t + 1 left for c_t (0 for a row that ends
        here).
        """
        kernel, projection, joined, z, cells, tanh_cells, hidden, y = ctx.saved_tensors
        batch_sizes, clips = ctx.batch_sizes, ctx.clips
        dim, width = cells.shape[1], y.shape[1]
        # (positions, width)
        d_y = d_y.clone(memory_format=torch.contiguous_format)
        # (positions, 4 · dim)
        d_gates = z
        # (4 · dim, width): from the gates back to the output of the step before
        to_state = kernel[width:-1].t().contiguous()
        # (width, dim)
        to_hidden = None if projection is None else projection.t().contiguous()
        # (rows of the first step, dim)
        d_cells = y.new_zeros(batch_sizes[0], dim)
        buffers = [y.new_empty(batch_sizes[0], dim) for _ in range(3)]
        for step in reversed(steps_of(batch_sizes)):
            rows, n_rows = step.rows, step.n_rows
            # (rows, width), (rows, dim), (rows, dim)
            d_out, d_hidden, d_cell = d_y[rows], buffers[0][:n_rows], d_cells[:n_rows]
            d_out[: step.n_going_on].addmm_(d_gates[step.following], to_state)
            if to_hidden is None:
                d_hidden = d_out
            else:
                if clips.projection is not None:
                    d_out.masked_fill_(y[rows].abs() >= clips.projection, 0.0)
                torch.mm(d_out, to_hidden, out=d_hidden)
            # (rows, dim)
            before_c = ctx.first_c if step.before is None else cells[step.before]
            scratch = buffers[1][:n_rows], buffers[2][:n_rows]
            gates = gates_of(z[rows])
            cell_backward(gates, cells[rows], tanh_cells[rows], before_c, d_hidden, d_cell, scratch, clips.cell)
        # Sums over all steps at once: (positions, width), (dim, width), (2 · width + 1, 4 · dim)
        d_x = d_gates @ kernel[:width].t() if ctx.needs_input_grad[0] else None
        d_projection = None if projection is None else hidden.t() @ d_y
        return d_x, joined.t() @ d_gates, d_projection, None, None, None, None


def tanh_(x: Tensor) -> Tensor:
    """tanh(x) = 2 σ(2x) − 1 in the place of ``x``: torch computes σ ten times faster than tanh on a CPU."""
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


def cell_forward(
    gates: Gates, before: Tensor | None, cell: Tensor, tanh_cell: Tensor, hidden: Tensor, cell_clip: float | None
) -> None:
    """One step's cell: the gates are activated in their place, and three tensors receive what comes of them.

    Args:
        gates: each ``(..., rows, dim)``, as are all others.
        before: the cell of the step before; ``None`` for zeros.
        cell: receives σ(f) before + σ(i) tanh(j), clipped.
        tanh_cell: receives its tanh.
        hidden: receives σ(o) tanh(cell).
    """
    gates.inner.sigmoid_()
    tanh_(gates.j)
    gates.o.sigmoid_()
    torch.mul(gates.i, gates.j, out=cell)
    if before is not None:
        cell.addcmul_(gates.f, before)
    if cell_clip is not None:
        cell.clamp_(-cell_clip, cell_clip)
    torch.mul(gates.o, tanh_(tanh_cell.copy_(cell)), out=hidden)


def cell_backward(
    gates: Gates,
    cell: Tensor,
    tanh_cell: Tensor,
    before: Tensor | None,
    d_hidden: Tensor,
    d_cell: Tensor,
    scratch: tuple[Tensor, Tensor],
    cell_clip: float | None,
) -> None:
    """One step's chain rule: the gates become their gradients before activation, ``d_cell`` that of the cell before.

    Args:
        gates: after activation (:func:`cell_forward`).
        tanh_cell: tanh of the cell.
        before: the cell of the step before; ``None`` for zeros.
        d_hidden: gradient of σ(o) tanh(cell).
        d_cell: on entry the gradient that the step after has left.
        scratch: two tensors of the shape of the cell, overwritten.
    """
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    tanh_backward = torch.ops.aten.tanh_backward.grad_input
    _, _, i, f, j, o = gates
    t, u = scratch
    # d cell += d hidden · σ(o) · (1 − tanh²(cell))
    d_cell.add_(tanh_backward(torch.mul(d_hidden, o, out=t), tanh_cell, grad_input=t))
    if cell_clip is not None:
        d_cell.masked_fill_(cell.abs() >= cell_clip, 0.0)
    # d o = d hidden · tanh(cell) · σ'(o)
    sigmoid_backward(torch.mul(d_hidden, tanh_cell, out=t), o, grad_input=o)
    # d j = d cell · σ(i) · tanh'(j), d i = d cell · tanh(j) · σ'(i)
    torch.mul(d_cell, i, out=t)
    torch.mul(d_cell, j, out=u)
    tanh_backward(t, j, grad_input=j)
    sigmoid_backward(u, i, grad_input=i)
    # d f = d cell · before · σ'(f), d before = d cell · σ(f)
    if before is None:
        f.zero_()
    else:
        torch.mul(d_cell, before, out=t)
        d_cell.mul_(f)
        sigmoid_backward(t, f, grad_input=f)
