"""The recurrence of an LSTM with projection and clips on packed sequences, with and without a gradient.

What :class:`torch.nn.LSTM` computes, and clips beside it (Sak et al. 2014; docs/elmo-format.md §5), arranged for a
processor: input, state and bias meet the weights in one product a step, states are updated in place, rows that have
ended leave the batch, and the gradient of all weights is one product over all steps.

**Packed** sequences of falling lengths lie step by step: first the first step of all of them, then the second step of
those that have one, and so on. ``batch_sizes`` holds the number of rows of each step; their sum is the ``positions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.bilm import lone_row
from ner_elmo.bilm.cell import Clips, Gates, State, Weights, gates_of, of_inputs, update_cell
from ner_elmo.bilm.lone_row import run_alone

# Fewer rows than these are run in both directions at once.
FEW_ROWS = 8
# Gates of so many bytes are computed at once: what does not fit a processor's cache is written and read for nothing.
GATE_BYTES = 4 << 20


class Stretch(NamedTuple):
    """Successive steps with the same number of rows, and the position at which they begin."""

    n_steps: int
    n_rows: int
    start: int

    @property
    def end(self) -> int:
        return self.start + self.n_steps * self.n_rows


def stretches(batch_sizes: Sequence[int], most_rows: int | None = None) -> Iterator[Stretch]:
    """Cut the steps where the number of rows changes, and before ``most_rows`` positions are together."""
    step = start = 0
    while step < len(batch_sizes):
        n_rows = batch_sizes[step]
        n_steps = 1
        while step + n_steps < len(batch_sizes) and batch_sizes[step + n_steps] == n_rows:
            if most_rows is not None and (n_steps + 1) * n_rows > most_rows:
                break
            n_steps += 1
        yield Stretch(n_steps, n_rows, start)
        step += n_steps
        start += n_steps * n_rows


def run(x: Tensor, batch_sizes: Sequence[int], weights: Weights, clips: Clips, state: State | None = None) -> Tensor:
    """Outputs of one layer, without a gradient, by the same additions in the same order for a row alone or in company.

    Products of input and state are not joined as in :class:`Recurrence`: longer sums are split where a matrix product
    sees fit, and that depends on the number of rows.

    Args:
        x: packed inputs ``(positions, width)``.
        state: where each row starts; zeros by default. Its ``c`` is overwritten with each row's last cell.

    Returns:
        ``(positions, width)``.
    """
    width, dim, most = weights.width, weights.dim, batch_sizes[0]
    y = x.new_empty(x.shape[0], width)
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, dim))
    most_rows = max(most, GATE_BYTES // (16 * dim))
    scratch = x.new_empty(min(most_rows, x.shape[0]), 4 * dim), x.new_empty(most, dim)
    for stretch in stretches(batch_sizes, most_rows):
        part = slice(stretch.start, stretch.end)
        if stretch.n_rows == 1:
            one = Weights(weights.kernel[None], None if weights.projection is None else weights.projection[None])
            y[part] = run_alone(x[None, part], one, clips, h[None, 0], c[None, 0])[0]
        else:
            _run_stretch(x[part], y[part], stretch.n_rows, weights, clips, h, c, scratch)
        h = y[stretch.end - stretch.n_rows : stretch.end]
    return y


def _run_stretch(
    x: Tensor,
    y: Tensor,
    n_rows: int,
    weights: Weights,
    clips: Clips,
    h: Tensor,
    c: Tensor,
    scratch: tuple[Tensor, Tensor],
) -> None:
    """Steps of ``n_rows`` rows from ``h`` and ``c`` (its rows are overwritten); ``scratch`` is for gates and hidden
    values."""
    width, dim = weights.width, weights.dim
    n_steps = len(x) // n_rows
    of_input, of_state, bias = weights.kernel[:width], weights.kernel[width:-1], weights.kernel[-1]
    products = torch.mm(x, of_input, out=scratch[0][: len(x)]).add_(bias)
    z = products.view(n_steps, n_rows, 4 * dim)
    views = z.unbind(0), z[..., : 2 * dim].unbind(0), *(gate.unbind(0) for gate in z.split(dim, 2))
    cell, hidden, h = c[:n_rows], scratch[1][:n_rows], h[:n_rows]
    for parts, out in zip(zip(*views, strict=True), y.view(n_steps, n_rows, width).unbind(0), strict=True):
        gates = Gates(*parts)
        gates.whole.addmm_(h, of_state)
        _project(update_cell(*gates[1:], cell, hidden, clips.cell), weights, clips, out)
        h = out


def run_both(
    x: Tensor, batch_sizes: Sequence[int], weights: Weights, clips: Clips, state: State | None = None
) -> Tensor:
    """:func:`run` for the same layer of both directions at once: for a few rows, whose steps take less time to compute
    than to ask for.

    Args:
        x: packed inputs ``(2, positions, width)``, of each direction in its own order.
        weights: as of one layer, with a first dimension of 2.
        state: where each row starts, with a first dimension of 2; zeros by default. Its ``c`` is overwritten.

    Returns:
        ``(2, positions, width)``, to the bit what :func:`run` gives for each (seen with MKL).
    """
    width, dim, most = weights.width, weights.dim, batch_sizes[0]
    y = x.new_empty(x.shape)
    h, c = state if state is not None else (x.new_zeros(2, most, width), x.new_zeros(2, most, dim))
    for stretch in stretches(batch_sizes, max(most, GATE_BYTES // (32 * dim))):
        inputs, n_rows = x[:, stretch.start : stretch.end], stretch.n_rows
        outputs = y[:, stretch.start : stretch.end]
        if n_rows == 1:
            outputs.copy_(run_alone(inputs, weights, clips, h[:, 0], c[:, 0]))
        else:
            c = c[:, :n_rows].contiguous()
            _run_both_stretch(inputs, outputs.view(2, -1, n_rows, width), weights, clips, h[:, :n_rows], c)
        h = outputs[:, -n_rows:]
    return y


def _run_both_stretch(x: Tensor, y: Tensor, weights: Weights, clips: Clips, h: Tensor, c: Tensor) -> None:
    """Steps of the same rows in both directions: ``x`` (2, positions, width) to ``y`` (2, steps, rows, width). Few
    views are made for each step: making one takes as long as a gate's product with a row."""
    _, _, n_rows, width = y.shape
    dim = weights.dim
    of_state = weights.kernel[:, width:-1].unbind(0)
    of_input = of_inputs(x, weights).view(2, -1, n_rows, 4 * dim)
    z, hidden = x.new_empty(2, n_rows, 4 * dim), torch.empty_like(c)
    gates, each = gates_of(z), z.unbind(0)
    products = None
    if weights.projection is not None:
        products = [_parts(*pair) for pair in zip(hidden, weights.projection, strict=True)]
    before = h.unbind(0)
    steps = (zip(*(one.unbind(0) for one in of), strict=True) for of in (of_input, y))
    for added, out, both in zip(*steps, y.unbind(1), strict=True):
        for one, shown, matrix, to in zip(added, before, of_state, each, strict=True):
            torch.addmm(one, shown, matrix, out=to)
        update_cell(*gates[1:], c, hidden, clips.cell)
        if products is None:
            both.copy_(hidden)
        else:
            for pairs, to in zip(products, out, strict=True):
                _add_up(pairs, to)
            if clips.projection is not None:
                both.clamp_(-clips.projection, clips.projection)
        before = out


def _project(hidden: Tensor, weights: Weights, clips: Clips, out: Tensor) -> None:
    if weights.projection is None:
        out.copy_(hidden)
        return
    _add_up(_parts(hidden, weights.projection), out)
    if clips.projection is not None:
        out.clamp_(-clips.projection, clips.projection)


def _parts(rows: Tensor, matrix: Tensor) -> list[tuple[Tensor, Tensor]]:
    """``rows @ matrix`` as products of few enough terms each."""
    return list(zip(rows.split(lone_row.LONGEST_SUM, dim=1), matrix.split(lone_row.LONGEST_SUM), strict=True))


def _add_up(products: list[tuple[Tensor, Tensor]], out: Tensor) -> None:
    torch.mm(*products[0], out=out)
    for rows, matrix in products[1:]:
        out.addmm_(rows, matrix)


def last_outputs(y: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """Each row's output at its own last step ``(rows, width)``, from packed outputs."""
    last: list[int] = []
    end = y.shape[0]
    for n_rows in reversed(batch_sizes):  # from the last step: rows that have not been met end here
        end -= n_rows
        last += range(end + len(last), end + n_rows)
    return y[torch.tensor(last, device=y.device)]


class Recurrence(torch.autograd.Function):
    """:func:`run` with a gradient for the inputs and the weights; the state that it starts from is taken as given.

    A value that was clipped passes no gradient. The state is ``None`` for zeros.
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
        """Outputs ``(positions, width)`` and each row's last cell ``(rows, dim)``, which has no gradient."""
        weights = Weights(kernel, projection)
        n_positions, dim, width = x.shape[0], weights.dim, weights.width
        joined = x.new_empty(n_positions, 2 * width + 1)
        joined[:, :width] = x
        joined[:, -1] = 1.0
        z = x.new_empty(n_positions, 4 * dim)
        cells, shown, hidden = (x.new_empty(n_positions, dim) for _ in range(3))
        y = hidden if projection is None else x.new_empty(n_positions, width)
        last_cells = x.new_empty(batch_sizes[0], dim)
        before_h, before_c = h, c
        start = 0
        for step, n_rows in enumerate(batch_sizes):
            rows = slice(start, start + n_rows)
            joined[rows, width:-1] = 0.0 if before_h is None else before_h[:n_rows]
            gates, cell = gates_of(torch.mm(joined[rows], kernel, out=z[rows])), cells[rows]
            gates.inner.sigmoid_()
            gates.j.tanh_()
            gates.o.sigmoid_()
            torch.mul(gates.i, gates.j, out=cell)
            if before_c is not None:
                cell.addcmul_(gates.f, before_c[:n_rows])
            if clips.cell is not None:
                cell.clamp_(-clips.cell, clips.cell)
            torch.mul(gates.o, torch.tanh(cell, out=shown[rows]), out=hidden[rows])
            if projection is not None:
                _project(hidden[rows], weights, clips, y[rows])
            n_going_on = batch_sizes[step + 1] if step + 1 < len(batch_sizes) else 0
            last_cells[n_going_on:n_rows] = cell[n_going_on:]
            before_h, before_c = y[rows], cell
            start += n_rows
        ctx.first_c, ctx.batch_sizes, ctx.clips = c, list(batch_sizes), clips
        ctx.save_for_backward(kernel, projection, joined, z, cells, shown, hidden, y)
        ctx.mark_non_differentiable(last_cells)
        return y, last_cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_last_cells: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first. The gradients of the gates take the gates' place, so that
        torch refuses a second pass."""
        kernel, projection, joined, z, cells, shown, hidden, y = ctx.saved_tensors
        batch_sizes, clips = ctx.batch_sizes, ctx.clips
        dim, width = cells.shape[1], y.shape[1]
        d_y = d_y.clone(memory_format=torch.contiguous_format)
        to_state = kernel[width:-1].t().contiguous()
        to_hidden = None if projection is None else projection.t().contiguous()
        d_cells = y.new_zeros(batch_sizes[0], dim)
        buffers = [y.new_empty(batch_sizes[0], dim) for _ in range(3)]
        end = y.shape[0]
        following = slice(end, end)
        for step in range(len(batch_sizes) - 1, -1, -1):
            n_rows = batch_sizes[step]
            rows = slice(end - n_rows, end)
            d_out, d_hidden, d_cell = d_y[rows], buffers[0][:n_rows], d_cells[:n_rows]
            d_out[: following.stop - following.start].addmm_(z[following], to_state)
            if to_hidden is None:
                d_hidden = d_out
            else:
                if clips.projection is not None:
                    d_out.masked_fill_(y[rows].abs() >= clips.projection, 0.0)
                torch.mm(d_out, to_hidden, out=d_hidden)
            before = cells[rows.start - batch_sizes[step - 1] :][:n_rows] if step else ctx.first_c
            scratch = buffers[1][:n_rows], buffers[2][:n_rows]
            _cell_backward(gates_of(z[rows]), cells[rows], shown[rows], before, d_hidden, d_cell, scratch, clips.cell)
            following = rows
            end -= n_rows
        d_x = z @ kernel[:width].t() if ctx.needs_input_grad[0] else None
        d_projection = None if projection is None else hidden.t() @ d_y
        return d_x, joined.t() @ z, d_projection, None, None, None, None


def _cell_backward(
    gates: Gates,
    cell: Tensor,
    shown: Tensor,
    before: Tensor | None,
    d_hidden: Tensor,
    d_cell: Tensor,
    scratch: tuple[Tensor, Tensor],
    cell_clip: float | None,
) -> None:
    """One step's chain rule: the gates become their gradients before activation, ``d_cell`` that of the cell before.

    Args:
        shown: tanh of the cell.
        before: the cell of the step before; ``None`` for zeros.
        d_hidden: gradient of σ(o) tanh(cell).
        d_cell: on entry the gradient that the step after has left.
    """
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    tanh_backward = torch.ops.aten.tanh_backward.grad_input
    _, _, i, f, j, o = gates
    t, u = scratch
    d_cell.add_(tanh_backward(torch.mul(d_hidden, o, out=t), shown, grad_input=t))
    if cell_clip is not None:
        d_cell.masked_fill_(cell.abs() >= cell_clip, 0.0)
    sigmoid_backward(torch.mul(d_hidden, shown, out=t), o, grad_input=o)
    torch.mul(d_cell, i, out=t)
    torch.mul(d_cell, j, out=u)
    tanh_backward(t, j, grad_input=j)
    sigmoid_backward(u, i, grad_input=i)
    if before is None:
        f.zero_()
    else:
        torch.mul(d_cell, before, out=t)
        d_cell.mul_(f)
        sigmoid_backward(t, f, grad_input=f)
