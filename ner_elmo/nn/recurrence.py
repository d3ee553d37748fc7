"""The recurrences of LSTMs with a gradient, on packed sequences: how a biLM and a tagger are trained.

:class:`Recurrence` is one direction with projection and clips: what :class:`torch.nn.LSTM` computes, and clips beside
it (Sak et al. 2014; docs/elmo-format.md §5). :class:`BiRecurrence` is both directions of a layer without either, as
Hochreiter & Schmidhuber 1997 and Gers et al. 2000 have them. A step t computes in both, from the input x_t, the output
h and the cell c of the step before:

    z = [x_t h 1] W                           i, f, j, o = the four quarters of z
    c_t = clip(σ(f) c + σ(i) tanh(j))
    m_t = σ(o) tanh(c_t)                      hidden
    h_t = clip(m_t W_p)                       h_t = m_t where there is no projection

Both are arranged for a processor: rows that have ended leave the batch, and the gradient of all weights is one product
over all steps. :mod:`~ner_elmo.nn.inference` says what packed means.

:class:`Recurrence` is float32; in mixed precision :mod:`~ner_elmo.nn.mixed_recurrence` takes its place.
:class:`BiRecurrence` has products in bfloat16, too.

Letters in shapes: ``positions`` of all rows together, ``rows`` of one step, ``width`` of inputs and outputs, ``dim`` of
the cell; of both directions ``batch`` sentences, ``time`` tokens, ``units`` of the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.cell import Clips, Gates, Weights, gates_of
from ner_elmo.nn.packing import Packing


def last_outputs(y: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """Each row's output at its own last step ``(rows, width)``, from packed outputs."""
    last: list[int] = []
    end = y.shape[0]
    for n_rows in reversed(batch_sizes):  # from the last step: rows that have not been seen end here
        end -= n_rows
        last += range(end + len(last), end + n_rows)
    return y[torch.tensor(last, device=y.device)]


class _Step(NamedTuple):
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


def _steps(batch_sizes: Sequence[int]) -> list[_Step]:
    """All steps, the first one first."""
    ends = list(accumulate(batch_sizes))
    steps = []
    for t, (n_rows, end) in enumerate(zip(batch_sizes, ends, strict=True)):
        start = end - n_rows
        before = None if t == 0 else slice(start - batch_sizes[t - 1], start - batch_sizes[t - 1] + n_rows)
        steps.append(_Step(slice(start, end), before, slice(end, ends[t + 1] if t + 1 < len(ends) else end)))
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
        for step in _steps(batch_sizes):
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
        for step in reversed(_steps(batch_sizes)):
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


class BiRecurrence(torch.autograd.Function):
    """Both directions of a layer ``(batch, time, 2 · units)``, 0 at padding, with a gradient for everything learned.

    What torch's LSTM computes. All inputs of both directions meet their weights in one product before the first step,
    and the gradients of inputs and weights are each one product after the last; within a step both directions are one.
    The products, and the numbers that meet in them, are of ``dtype``; gates, cells and their gradients are of the type
    of ``x``.

    Weights are, of the forward direction and then of the backward one: to the gates from the input
    ``(4 · units, dim)`` and from the state ``(4 · units, units)``, and the bias ``(4 · units,)``, the gates in torch's
    order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        """``x`` is ``(batch, time, dim)``; ``packing`` says where its real elements are.

        Tensors ``(2, positions, …)`` have a direction each in the order in which it reads, the backward one from each
        sentence's end. After step t the rows of ``z``, there from the beginning as what inputs and bias give, are the
        gates after activation; ``cells``, ``tanh_cells`` and ``y`` hold c_t, tanh(c_t) and h_t.
        """
        batch, time, dim = x.shape
        # (2 · 4 · units, dim)
        of_input = torch.cat([weight.to(dtype) for weight in weights[0::3]])
        # (2, 4 · units, units)
        of_state = torch.stack([weight.to(dtype) for weight in weights[1::3]])
        # (positions, dim)
        inputs = x.view(-1, dim).index_select(0, packing.ahead).to(dtype)
        n_positions, units = len(inputs), of_state.shape[2]
        # (2, positions, 4 · units)
        z = _directions(inputs @ of_input.T, packing, x.dtype)
        z += torch.stack(weights[2::3]).unsqueeze(1)
        # (2, positions, units)
        y, cells, tanh_cells = (x.new_empty(2, n_positions, units) for _ in range(3))
        # (2, units, 4 · units)
        to_gates = of_state.transpose(1, 2)
        for step in _steps(packing.sizes):
            rows, before_c = step.rows, None
            gates = gates_of(z[:, rows])
            if step.before is not None:
                gates.whole.add_(torch.bmm(y[:, step.before].to(dtype), to_gates))
                before_c = cells[:, step.before]
            cell_forward(gates, before_c, cells[:, rows], tanh_cells[:, rows], y[:, rows], None)
        ctx.packing, ctx.shape = packing, x.shape
        ctx.save_for_backward(of_input, of_state, inputs, z, cells, tanh_cells, y)
        # (batch · time, 2, units)
        out = x.new_zeros(batch * time, 2, units)
        out[:, 0].index_copy_(0, packing.ahead, y[0])
        out[:, 1].index_copy_(0, packing.back, y[1])
        return out.view(batch, time, 2 * units)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first, as in :class:`Recurrence`. The gradients of the gates take
        the gates' place, so that torch refuses a second pass."""
        of_input, of_state, inputs, z, cells, tanh_cells, y = ctx.saved_tensors
        packing, dtype, units = ctx.packing, of_state.dtype, of_state.shape[2]
        # (batch · time, 2, units)
        d_out = d_out.reshape(-1, 2, units)
        # (2, positions, units)
        d_y = torch.stack([d_out[:, 0].index_select(0, packing.ahead), d_out[:, 1].index_select(0, packing.back)])
        # (2, positions, 4 · units)
        d_gates = z if z.dtype == dtype else torch.empty_like(z, dtype=dtype)
        # (2, rows of the first step, units)
        d_cells = y.new_zeros(2, packing.sizes[0], units)
        buffers = [y.new_empty(2, packing.sizes[0], units) for _ in range(2)]
        for step in reversed(_steps(packing.sizes)):
            rows, n_rows = step.rows, step.n_rows
            # (2, rows, units)
            d_hidden = d_y[:, rows]
            if step.n_going_on:
                d_hidden[:, : step.n_going_on] += torch.bmm(d_gates[:, step.following], of_state)
            before_c = None if step.before is None else cells[:, step.before]
            scratch = buffers[0][:, :n_rows], buffers[1][:, :n_rows]
            gates, d_cell = gates_of(z[:, rows]), d_cells[:, :n_rows]
            cell_backward(gates, cells[:, rows], tanh_cells[:, rows], before_c, d_hidden, d_cell, scratch, None)
            if d_gates is not z:
                d_gates[:, rows] = z[:, rows]
        # (positions, 2 · 4 · units): both directions side by side, as the forward one reads
        d_joined = torch.cat([d_gates[0], d_gates[1].index_select(0, packing.turn)], dim=1)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = y.new_zeros(ctx.shape)
            d_x.view(-1, d_x.shape[2]).index_copy_(0, packing.ahead, (d_joined @ of_input).to(y.dtype))
        # two of (4 · units, dim)
        d_of_input = (d_joined.T @ inputs).to(y.dtype).chunk(2)
        # (2, positions of all steps but the first, units): the outputs that each gate was computed from
        y_before = y.index_select(1, packing.previous()).to(dtype)
        # (2, 4 · units, units)
        d_of_state = torch.bmm(d_gates[:, packing.sizes[0] :].transpose(1, 2), y_before).to(y.dtype)
        # (2, 4 · units)
        d_bias = z.sum(dim=1)
        forward, backward = zip(d_of_input, d_of_state, d_bias, strict=True)
        return d_x, None, None, *forward, *backward


def _directions(joined: Tensor, packing: Packing, dtype: torch.dtype) -> Tensor:
    """Gates of both directions side by side ``(positions, 2 · 4 · units)``, as ``ahead`` stands, to
    ``(2, positions, 4 · units)``, each in its own order."""
    ahead, back = joined.chunk(2, dim=1)
    z = torch.empty(2, *ahead.shape, dtype=dtype, device=joined.device)
    z[0] = ahead
    z[1] = back.index_select(0, packing.turn)
    return z


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
