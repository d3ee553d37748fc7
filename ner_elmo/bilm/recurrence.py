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

from ner_elmo.bilm.cell import (
    LONGEST_SUM,
    MANY_ROWS,
    Arranged,
    Clips,
    Gates,
    State,
    Types,
    Weights,
    add_up,
    gates_in_blocks,
    gates_of,
    in_blocks,
    in_order,
    in_parts,
    twice_cells,
    update_cell,
)
from ner_elmo.bilm.few_rows import run_few

# Gates of so many bytes are computed at once, if they are of one block at least (``cell.BLOCK``): what does not fit a
# core's own cache is written and read for nothing.
GATE_BYTES = 2 << 20
# For a few rows, which are no matter of cache, the products of the inputs of so many steps are computed at once.
FEW_GATE_BYTES = 4 << 20
# What inputs give the gates is computed once for all that are the same, if it takes no more bytes, and if no more than
# such a share of them are distinct: it must be written and read again.
TYPE_BYTES = 64 << 20
MOST_TYPES = 0.7


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


def run(
    x: Tensor,
    batch_sizes: Sequence[int],
    weights: Arranged,
    clips: Clips,
    state: State | None = None,
    types: Types | None = None,
) -> Tensor:
    """Outputs of one layer, without a gradient, by the same additions in the same order for a row alone or in company.

    Products of input and state are not joined as in :class:`Recurrence`: longer sums are split where a matrix product
    sees fit, and that depends on the number of rows.

    Args:
        x: packed inputs ``(positions, width)``.
        state: where each row starts; zeros by default. Its ``c`` is overwritten with each row's last cell.
        types: which inputs are the same, if that is known.

    Returns:
        ``(positions, width)``.
    """
    width, most = weights.width, batch_sizes[0]
    y = x.new_empty(x.shape[0], width)
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, weights.dim))
    twice = twice_cells(c, weights.dim)
    scratch = _Scratch(weights, most, x)
    if types is not None:
        scratch.add_types(types, weights)
    alone, many_rows = None, MANY_ROWS if x.device.type == "cpu" else 1
    for stretch in stretches(batch_sizes):
        part = slice(stretch.start, stretch.end)
        steps, rows = (stretch.n_steps, stretch.n_rows, width), slice(stretch.n_rows)
        inputs, outputs = x[part].view(steps), y[part].view(steps)
        if stretch.n_rows < many_rows:
            alone = alone or Arranged(weights.kernel[None], _first(weights.projection), weights.block)
            outputs.copy_(run_few(inputs[None], alone, clips, h[None, rows], twice[None, rows])[0])
        else:
            with in_order(stretch.n_rows):
                _run_stretch(inputs, outputs, part, weights, clips, h[rows], twice[rows], scratch)
        h = y[stretch.end - stretch.n_rows : stretch.end]
    torch.mul(twice[:, : c.shape[1]], 0.5, out=c)
    return y


def _first(projection: Tensor | None) -> Tensor | None:
    return None if projection is None else projection[None]


class _Scratch:
    """What the steps of a layer share: room for the gates of some blocks of units, and for half of what all units show,
    of ``most`` rows; and what bias and types of input give the gates."""

    def __init__(self, weights: Arranged, most: int, like: Tensor) -> None:
        n_blocks = min(weights.dim // weights.block, GATE_BYTES // (16 * weights.block * most))
        self.n_units = max(1, n_blocks) * weights.block
        self.z = like.new_empty(most * 4 * self.n_units)
        self.half = like.new_empty(most, weights.dim)
        self.of_types: list[Tensor] = []  # for each of the parts of :func:`_parts_of`, (types, 4 units)
        self.which = like.new_empty(0)

    def add_types(self, types: Types, weights: Arranged) -> None:
        """Compute what the types give the gates, unless that takes more room than it is worth."""
        n_types = len(types.vectors)
        if n_types * 16 * weights.dim > TYPE_BYTES or n_types > MOST_TYPES * len(types.which):
            return
        self.which = types.which
        for start in range(0, weights.dim, self.n_units):
            kernel = weights.kernel[:, 4 * start : 4 * (start + self.n_units)]
            of_type = kernel.new_empty(n_types, kernel.shape[1])
            add_up(kernel[-1], in_parts(types.vectors, kernel[: weights.width]), of_type)
            self.of_types.append(of_type)


class _Part(NamedTuple):
    """Some blocks of units during the steps of one stretch: weights and views."""

    of_input: tuple[Tensor, ...]  # (width, 4 units), cut where the sums are
    of_state: tuple[Tensor, ...]
    bias: Tensor  # (4 units,)
    z: Tensor  # (rows, 4 units)
    gates: tuple[Tensor, Tensor, Tensor, Tensor]  # each (rows, blocks, block)
    twice: Tensor  # (rows, blocks, block)
    half: Tensor
    of_types: Tensor | None  # (types, 4 units)


def _run_stretch(
    x: Tensor,
    y: Tensor,
    place: slice,
    weights: Arranged,
    clips: Clips,
    h: Tensor,
    twice: Tensor,
    scratch: _Scratch,
) -> None:
    """Steps of the same rows, ``x`` (steps, rows, width) to ``y``, which have this place among all positions."""
    n_steps, n_rows, _ = x.shape
    half = scratch.half[:n_rows]
    parts = list(_parts_of(weights, scratch, twice, half))
    types = scratch.which[place].view(n_steps, n_rows).unbind(0) if scratch.of_types else [scratch.which] * n_steps
    for inputs, index, out in zip(x.unbind(0), types, y.unbind(0), strict=True):
        shown, before = inputs.split(LONGEST_SUM, dim=1), h.split(LONGEST_SUM, dim=1)
        for part in parts:
            if part.of_types is None:
                add_up(part.bias, list(zip(shown, part.of_input, strict=True)), part.z)
            else:
                torch.index_select(part.of_types, 0, index, out=part.z)
            for rows, matrix in zip(before, part.of_state, strict=True):
                part.z.addmm_(rows, matrix)
            update_cell(part.z, *part.gates, part.twice, part.half, clips.cell)
        _show(half, weights, clips, out)
        h = out


def _parts_of(weights: Arranged, scratch: _Scratch, twice: Tensor, half: Tensor) -> Iterator[_Part]:
    width, block = weights.width, weights.block
    for number, start in enumerate(range(0, weights.dim, scratch.n_units)):
        end = min(start + scratch.n_units, weights.dim)
        kernel = weights.kernel[:, 4 * start : 4 * end]
        of_input, of_state = (of.split(LONGEST_SUM) for of in (kernel[:width], kernel[width:-1]))
        z = scratch.z[: len(half) * kernel.shape[1]].view(len(half), -1)
        cells, shown = (in_blocks(of[:, start:end], block) for of in (twice, half))
        of_types = scratch.of_types[number] if scratch.of_types else None
        yield _Part(of_input, of_state, kernel[-1], z, gates_in_blocks(z, block), cells, shown, of_types)


def run_both(
    x: Tensor, batch_sizes: Sequence[int], weights: Arranged, clips: Clips, state: State | None = None
) -> Tensor:
    """:func:`run` for the same layer of both directions at once, for a few rows (:mod:`~ner_elmo.bilm.few_rows`).

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
    twice = twice_cells(c, dim)
    for stretch in stretches(batch_sizes, max(most, FEW_GATE_BYTES // (32 * dim))):
        steps, rows = (2, stretch.n_steps, stretch.n_rows, width), slice(stretch.n_rows)
        inputs, outputs = (part[:, stretch.start : stretch.end].view(steps) for part in (x, y))
        outputs.copy_(run_few(inputs, weights, clips, h[:, rows], twice[:, rows]))
        h = outputs[:, -1]
    torch.mul(twice[..., : c.shape[2]], 0.5, out=c)
    return y


def _show(half: Tensor, weights: Arranged, clips: Clips, out: Tensor) -> None:
    if weights.projection is None:
        torch.mul(half[:, : weights.width], 2, out=out)
    else:
        _project(half, weights.projection, clips, out)


def _project(hidden: Tensor, projection: Tensor, clips: Clips, out: Tensor) -> None:
    add_up(None, in_parts(hidden, projection), out)
    if clips.projection is not None:
        out.clamp_(-clips.projection, clips.projection)


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
                _project(hidden[rows], projection, clips, y[rows])
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
