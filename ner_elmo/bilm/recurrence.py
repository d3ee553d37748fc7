"""The recurrence of an LSTM with projection and clips on packed sequences, with and without a gradient.

What :class:`torch.nn.LSTM` computes, and clips beside it (Sak et al. 2014; docs/elmo-format.md §5), arranged for a
processor: the products with the inputs are made for many steps at once, states are updated in place, rows that have
ended leave the batch, and the gradient of each weight is one product over all steps.

**Packed** sequences of falling lengths lie step by step: first the first step of all of them, then the second step of
those that have one, and so on. ``batch_sizes`` holds the number of rows of each step; their sum is the ``positions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Gates of so many bytes are computed at once: what does not fit a processor's cache is written and read for nothing.
GATE_BYTES = 8 << 20

State = tuple[Tensor, Tensor]  # h (rows, projection_dim), c (rows, dim)


class Weights(NamedTuple):
    """The weights of one layer. Columns of gates stand in torch's order: input, forget, candidate, output."""

    inputs: Tensor  # (projection_dim, 4 dim)
    state: Tensor  # (projection_dim, 4 dim)
    bias: Tensor  # (4 dim,), the forget bias included
    projection: Tensor | None  # (dim, projection_dim)


class Clips(NamedTuple):
    """Bounds on the absolute values of the cell and of the projected output; ``None`` for none."""

    cell: float | None
    projection: float | None


class _Stretch(NamedTuple):
    """Successive steps with the same number of rows: the first step, how many, their rows, and where they begin."""

    first: int
    n_steps: int
    n_rows: int
    start: int


def _stretches(batch_sizes: Sequence[int], most_rows: int) -> Iterator[_Stretch]:
    """Cut the steps where the number of rows changes, and before ``most_rows`` rows are together."""
    first = start = 0
    while first < len(batch_sizes):
        n_rows = batch_sizes[first]
        end = first + 1
        while end < len(batch_sizes) and batch_sizes[end] == n_rows and (end - first) * n_rows < most_rows:
            end += 1
        yield _Stretch(first, end - first, n_rows, start)
        start += (end - first) * n_rows
        first = end


def _input_chunks(batch_sizes: Sequence[int], dim: int) -> Iterator[list[_Stretch]]:
    """Stretches whose products with the inputs are made together."""
    most_rows = max(1, GATE_BYTES // (16 * dim))
    chunk: list[_Stretch] = []
    held = 0
    for stretch in _stretches(batch_sizes, most_rows):
        rows = stretch.n_steps * stretch.n_rows
        if chunk and held + rows > most_rows:
            yield chunk
            chunk, held = [], 0
        chunk.append(stretch)
        held += rows
    if chunk:
        yield chunk


def run(x: Tensor, batch_sizes: Sequence[int], weights: Weights, clips: Clips, state: State | None = None) -> Tensor:
    """Outputs of one layer, without a gradient.

    Args:
        x: packed inputs ``(positions, projection_dim)``.
        state: where each row starts; zeros by default. Its ``c`` is overwritten with each row's last cell.

    Returns:
        ``(positions, projection_dim)``.
    """
    dim = weights.state.shape[1] // 4
    h_dim = weights.state.shape[0]
    y = x.new_empty(x.shape[0], h_dim)
    most = batch_sizes[0]
    h, c = state if state is not None else (None, x.new_zeros(most, dim))
    buffer = x.new_empty(most, dim)
    for chunk in _input_chunks(batch_sizes, dim):
        start = chunk[0].start
        end = chunk[-1].start + chunk[-1].n_steps * chunk[-1].n_rows
        gates = torch.addmm(weights.bias, x[start:end], weights.inputs)
        for stretch in chunk:
            at, n_rows, n_steps = stretch.start - start, stretch.n_rows, stretch.n_steps
            z = gates[at : at + n_steps * n_rows].view(n_steps, n_rows, 4, dim)
            cell, shown = c[:n_rows], buffer[:n_rows]
            outputs = y[stretch.start : stretch.start + n_steps * n_rows].view(n_steps, n_rows, h_dim).unbind(0)
            for whole, inner, i, f, j, o, out in zip(
                z.flatten(2).unbind(0),
                z[:, :, :2].flatten(2).unbind(0),
                *(gate.unbind(0) for gate in z.unbind(2)),
                outputs,
                strict=True,
            ):
                if h is not None:
                    whole.addmm_(h[:n_rows] if h.shape[0] != n_rows else h, weights.state)
                inner.sigmoid_()
                j.tanh_()
                o.sigmoid_()
                cell.mul_(f).addcmul_(i, j)
                if clips.cell is not None:
                    cell.clamp_(-clips.cell, clips.cell)
                if weights.projection is None:
                    torch.mul(torch.tanh(cell, out=shown), o, out=out)
                else:
                    torch.mm(torch.tanh(cell, out=shown).mul_(o), weights.projection, out=out)
                    if clips.projection is not None:
                        out.clamp_(-clips.projection, clips.projection)
                h = out
    return y


def last_outputs(y: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """Each row's output at its own last step ``(rows, dim)``, from packed outputs."""
    last = [0] * batch_sizes[0]
    start = 0
    previous = 0
    for n_rows in reversed(batch_sizes):  # from the last step: rows that have not been met end here
        start += n_rows
        for row in range(previous, n_rows):
            last[row] = y.shape[0] - start + row
        previous = max(previous, n_rows)
    return y[torch.tensor(last, device=y.device)]


class Recurrence(torch.autograd.Function):
    """:func:`run` with a gradient for the inputs and the weights; the state that it starts from is taken as given.

    A value that was clipped passes no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_inputs: Tensor,
        w_state: Tensor,
        bias: Tensor,
        w_projection: Tensor | None,
        h: Tensor | None,
        c: Tensor | None,
        batch_sizes: Sequence[int],
        clips: Clips,
    ) -> tuple[Tensor, Tensor]:
        dim, h_dim = w_state.shape[1] // 4, w_state.shape[0]
        gates = torch.addmm(bias, x, w_inputs)
        cells, shown = x.new_empty(x.shape[0], dim), x.new_empty(x.shape[0], dim)
        y = x.new_empty(x.shape[0], h_dim)
        hidden = y if w_projection is None else x.new_empty(x.shape[0], dim)
        ctx.initial = (h, c)
        before_h, before_c = h, c
        last_c = x.new_empty(batch_sizes[0], dim)
        start = 0
        for step, n_rows in enumerate(batch_sizes):
            rows = slice(start, start + n_rows)
            z, cell = gates[rows], cells[rows]
            if before_h is not None:
                z.addmm_(before_h[:n_rows], w_state)
            z[:, : 2 * dim].sigmoid_()
            z[:, 2 * dim : 3 * dim].tanh_()
            z[:, 3 * dim :].sigmoid_()
            i, f, j, o = z.split(dim, 1)
            torch.mul(i, j, out=cell)
            if before_c is not None:
                cell.addcmul_(f, before_c[:n_rows])
            if clips.cell is not None:
                cell.clamp_(-clips.cell, clips.cell)
            torch.tanh(cell, out=shown[rows])
            torch.mul(o, shown[rows], out=hidden[rows])
            if w_projection is not None:
                torch.mm(hidden[rows], w_projection, out=y[rows])
                if clips.projection is not None:
                    y[rows].clamp_(-clips.projection, clips.projection)
            ended = batch_sizes[step + 1] if step + 1 < len(batch_sizes) else 0
            last_c[ended:n_rows] = cell[ended:]
            before_h, before_c = y[rows], cell
            start += n_rows
        ctx.batch_sizes, ctx.clips = list(batch_sizes), clips
        ctx.save_for_backward(x, w_inputs, w_state, w_projection, gates, cells, shown, hidden, y)
        ctx.mark_non_differentiable(last_c)
        return y, last_c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_c: Tensor) -> tuple[Tensor | None, ...]:
        x, w_inputs, w_state, w_projection, gates, cells, shown, hidden, y = ctx.saved_tensors
        batch_sizes, clips = ctx.batch_sizes, ctx.clips
        first_h, first_c = ctx.initial
        dim, n_positions = cells.shape[1], x.shape[0]
        # The gradients of the gates take the gates' place, and torch refuses a second backward pass.
        d_y = d_y.clone(memory_format=torch.contiguous_format)
        to_state = w_state.t().contiguous()
        to_hidden = w_projection.t().contiguous() if w_projection is not None else None
        d_cell = x.new_zeros(batch_sizes[0], dim)
        d_hidden_buffer, scratch, other = (x.new_empty(batch_sizes[0], dim) for _ in range(3))
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        tanh_backward = torch.ops.aten.tanh_backward.grad_input
        end = n_positions
        after = slice(0, 0)  # the step after this one
        for step in range(len(batch_sizes) - 1, -1, -1):
            n_rows = batch_sizes[step]
            rows = slice(end - n_rows, end)
            d_out = d_y[rows]
            if after.stop:
                d_out[: after.stop - after.start].addmm_(gates[after], to_state)
            if clips.projection is not None and w_projection is not None:
                d_out.masked_fill_(y[rows].abs() >= clips.projection, 0.0)
            d_hidden = d_out if to_hidden is None else torch.mm(d_out, to_hidden, out=d_hidden_buffer[:n_rows])
            i, f, j, o = gates[rows].split(dim, 1)
            d_c, t, u = d_cell[:n_rows], scratch[:n_rows], other[:n_rows]
            torch.mul(d_hidden, o, out=t)
            d_c.add_(tanh_backward(t, shown[rows], grad_input=t))
            if clips.cell is not None:
                d_c.masked_fill_(cells[rows].abs() >= clips.cell, 0.0)
            sigmoid_backward(torch.mul(d_hidden, shown[rows], out=t), o, grad_input=o)
            torch.mul(d_c, i, out=t)
            torch.mul(d_c, j, out=u)
            tanh_backward(t, j, grad_input=j)
            sigmoid_backward(u, i, grad_input=i)
            before = cells[rows.start - batch_sizes[step - 1] : rows.start][:n_rows] if step else first_c
            if before is None:
                f.zero_()
            else:
                torch.mul(d_c, before, out=t)
                d_c.mul_(f)
                sigmoid_backward(t, f, grad_input=f)
            after = rows
            end -= n_rows
        d_gates = gates
        d_state = _previous_outputs(y, batch_sizes, first_h).t() @ d_gates
        d_x = d_gates @ w_inputs.t() if ctx.needs_input_grad[0] else None
        d_projection = hidden.t() @ d_y if w_projection is not None else None
        return d_x, x.t() @ d_gates, d_state, d_gates.sum(0), d_projection, None, None, None, None


def _previous_outputs(y: Tensor, batch_sizes: Sequence[int], first: Tensor | None) -> Tensor:
    """What each position received as h ``(positions, h_dim)``: the output of the step before, or the first state."""
    n_first = batch_sizes[0]
    start = first[:n_first] if first is not None else y.new_zeros(n_first, y.shape[1])
    if all(n == n_first for n in batch_sizes):
        return torch.cat([start, y[: y.shape[0] - n_first]])
    parts, at = [start], 0
    for here, following in pairwise(batch_sizes):
        parts.append(y[at : at + following])
        at += here
    return torch.cat(parts)
