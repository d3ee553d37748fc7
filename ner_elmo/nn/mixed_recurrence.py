"""The recurrence of :mod:`~ner_elmo.nn.recurrence` in mixed precision, arranged so that little memory moves.

Products, and the numbers that meet in them, are bfloat16; gates, cells and their gradients are float32. A step is
written with σ alone, since tanh(x) = 2 σ(2x) − 1. The factors are powers of two and signs, which change no digit, so
that they stand in the weights, and a step has one pass each for:

    z = [x_t h 1 1] K                 σ of all of z at once, then i, f, j, o = its quarters; 2 j − 1 is the candidate
    C_t = f C + 4 i j − 2 i           C is twice the cell, clipped
    s_t = σ(C_t)                      2 s − 1 is the cell's tanh
    n_t = o − 2 o s_t                 minus the hidden vector
    h_t = n_t (−W_p)                  clipped

In K the columns of the candidate are doubled, and the bias is two rows, which together have 16 binary digits. Its
gradient G for z lacks a factor, too, in the quarter of the candidate (``OF_CANDIDATE``). What is computed between the
products, forward and back, is :mod:`~ner_elmo.nn.passes`.

Code for a product is made anew for each number of rows, which can take longer than the product. So rows of a step, and
positions in all, are filled up with zeros to one of a few numbers (``enough``): what is said to be ``filled`` below.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.bfloat16 import enough_rows
from ner_elmo.nn.cell import Clips
from ner_elmo.nn.ordered_matrix import TERMS, OrderedMatrix
from ner_elmo.nn.passes import FACTORS, passes_on
from ner_elmo.nn.room import Room

OF_CANDIDATE = 8.0  # by what a gradient is to be multiplied to be that of j's columns before they were doubled
POSITIONS = 256  # all positions are filled up to a multiple of so many


class _Filled:
    """How steps of ``batch_sizes`` rows stand in memory when filled."""

    def __init__(self, batch_sizes: Sequence[int], room: Room) -> None:
        self.sizes, self.room = list(batch_sizes), room
        self.filled = [enough_rows(size) for size in self.sizes]
        n_rows = sum(self.filled)
        self.n_positions = -(-n_rows // POSITIONS) * POSITIONS

    def take(self, like: Tensor, width: int) -> Tensor:
        """Numbers of bfloat16 ``(n_positions, width)``, 0 in what is filled up and unset elsewhere."""
        whole = self.room.take(like, self.n_positions, width, torch.bfloat16)
        start = 0
        for size, n_rows in zip(self.sizes, self.filled, strict=True):
            if n_rows > size:
                whole[start + size : start + n_rows] = 0.0
            start += n_rows
        whole[start:] = 0.0
        return whole

    def steps(self, filled: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Views of each step of ``filled`` (n_positions, …): with what it was filled up by, and without."""
        whole = list(filled[: sum(self.filled)].split(self.filled))
        return whole, [part[:size] for part, size in zip(whole, self.sizes, strict=True)]

    def put(self, rows: Tensor, filled: Tensor) -> None:
        """Write ``rows`` (positions, …) to where they stand in ``filled``, steps of one size together."""
        start = of_filled = 0
        for size, same in groupby(self.sizes):
            n_steps, n_rows = len(list(same)), enough_rows(size)
            end, end_of_filled = start + n_steps * size, of_filled + n_steps * n_rows
            real = filled[of_filled:end_of_filled].unflatten(0, (n_steps, n_rows))[:, :size]
            real.copy_(rows[start:end].unflatten(0, (n_steps, size)))
            start, of_filled = end, end_of_filled

    def without(self, filled: Tensor) -> Tensor:
        """The rows of ``filled`` that are real, ``(positions, …)``."""
        return torch.cat(self.steps(filled)[1])


def _scale_candidate_(kernel: Tensor) -> Tensor:
    """The kernel's rows ``(…, 4 dim)`` as G meets them, or those that G gives; in their place."""
    kernel.chunk(4, dim=1)[2].mul_(OF_CANDIDATE)
    return kernel


def _laid_out(kernel: Tensor) -> Tensor:
    """K in bfloat16, transposed: ``(4 dim, filled terms)`` from ``(2 · width + 1, 4 dim)``."""
    n_terms, n_columns = kernel.shape
    columns = kernel.new_zeros(n_columns, -(-(n_terms + 1) // TERMS) * TERMS, dtype=torch.bfloat16)
    columns[:, :n_terms] = kernel.t()
    columns[:, n_terms] = kernel[-1] - columns[:, n_terms - 1]
    columns.chunk(4)[2].mul_(2.0)
    return columns


class MixedRecurrence(torch.autograd.Function):
    """:class:`~ner_elmo.nn.recurrence.Recurrence` with products in bfloat16."""

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
        room: Room,
    ) -> tuple[Tensor, Tensor]:
        """Outputs ``(positions, width)`` and each row's last cell ``(rows, dim)``, which has no gradient."""
        filled = _Filled(batch_sizes, room)
        sizes, most = filled.sizes, batch_sizes[0]
        dim, width = kernel.shape[1] // 4, x.shape[1]
        laid_out = _laid_out(kernel)
        to_gates = OrderedMatrix(laid_out, filled.filled[0])
        to_output = None if projection is None else OrderedMatrix(-projection.bfloat16().t(), filled.filled[0])
        # What the weights meet, (filled positions, filled terms): x h 1 1 and zeros
        joined = filled.take(x, laid_out.shape[1])
        joined[:, 2 * width :] = 0.0
        joined[:, 2 * width : 2 * width + 2] = 1.0
        filled.put(x, joined[:, :width])
        rows, real_rows = filled.steps(joined)
        passes, cell_clip = passes_on(x.device), None if clips.cell is None else 2.0 * clips.cell
        # (positions, FACTORS · dim): what the way back needs
        factors = room.take(x, len(x), FACTORS * dim, torch.bfloat16)
        # (filled positions, dim): minus the hidden vectors, if they are projected
        hidden = None if projection is None else filled.take(x, dim)
        meet_projection, real_hidden = ([], []) if hidden is None else filled.steps(hidden)
        # (rows, width), (rows, dim): the state before; a row that has ended leaves its cell as it is
        state = x.new_zeros(most, width) if h is None else h
        cells = x.new_zeros(most, dim) if c is None else 2 * c
        states = []
        for t, factors_t in enumerate(factors.split(sizes)):
            n_rows = sizes[t]
            real_rows[t][:, width : 2 * width] = state[:n_rows]
            z = to_gates.meet(rows[t])[:n_rows]
            if to_output is None:
                state = x.new_empty(n_rows, dim)
                passes.cell_forward(z, cells[:n_rows], cell_clip, factors_t, None, state)
            else:
                passes.cell_forward(z, cells[:n_rows], cell_clip, factors_t, real_hidden[t], None)
                state = to_output.meet(meet_projection[t])[:n_rows]
                if clips.projection is not None:
                    state.clamp_(-clips.projection, clips.projection)
            states.append(state)
        y = torch.cat(states).float()  # (positions, width)
        ctx.filled, ctx.clips, ctx.taken = filled, clips, (joined, factors, hidden)
        ctx.save_for_backward(kernel, projection, y)
        last_cells = cells.mul_(0.5)
        ctx.mark_non_differentiable(last_cells)
        return y, last_cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_last_cells: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first.

        Raises:
            RuntimeError: it is the second pass, whose memory has been given back.
        """
        if ctx.taken is None:
            raise RuntimeError("a second backward pass: what the first one needed is not there any more")
        kernel, projection, y = ctx.saved_tensors
        (joined, factors, hidden), ctx.taken = ctx.taken, None
        filled, clips = ctx.filled, ctx.clips
        sizes, most = filled.sizes, filled.sizes[0]
        dim, width = kernel.shape[1] // 4, y.shape[1]
        # (2 · width, 4 dim): what G meets on its way back
        scaled = _scale_candidate_(kernel[:-1].bfloat16())
        to_state = OrderedMatrix(scaled[width:], filled.filled[0])
        to_hidden = None if projection is None else OrderedMatrix(-projection.bfloat16(), filled.filled[0])
        # (filled positions, 4 dim): G; (filled positions, width): the gradient of the outputs
        d_gates, d_out = filled.take(y, 4 * dim), filled.take(y, width)
        d_rows, d_real = filled.steps(d_gates)
        out_rows, out_real = filled.steps(d_out)
        of_steps = [of.split(sizes) for of in (d_y, factors, y)]
        passes = passes_on(y.device)
        # (rows of the first step, dim): of twice the cell
        d_cells, d_bias = y.new_zeros(most, dim), y.new_zeros(4 * dim)
        from_next: Tensor | None = None
        for t in reversed(range(len(sizes))):
            n_rows = sizes[t]
            d_y_t, factors_t, y_t = (of[t] for of in of_steps)
            if to_hidden is None:
                passes.cell_backward(factors_t, None, _added(d_y_t, from_next), d_cells[:n_rows], d_real[t])
            else:
                n_going_on = 0 if from_next is None else len(from_next)
                out_real[t][n_going_on:] = d_y_t[n_going_on:]
                if from_next is not None:
                    torch.add(d_y_t[:n_going_on], from_next, out=out_real[t][:n_going_on])
                if clips.projection is not None:
                    out_real[t].masked_fill_(y_t.abs() >= clips.projection, 0.0)
                d_hidden = to_hidden.meet(out_rows[t])[:n_rows]
                passes.cell_backward(factors_t, d_hidden, None, d_cells[:n_rows], d_real[t])
            passes.add_rows(d_bias, d_rows[t])
            if t > 0:
                from_next = to_state.meet(d_rows[t])[:n_rows]
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = filled.without(torch.mm(d_gates, scaled[:width].t())).to(y.dtype)
        # Sums over all positions at once: (2 · width + 1, 4 dim), (dim, width)
        d_kernel = torch.empty_like(kernel, memory_format=torch.contiguous_format)
        d_kernel[:-1] = torch.mm(joined[:, : 2 * width].t(), d_gates)
        d_kernel[-1] = d_bias
        _scale_candidate_(d_kernel)
        d_projection = None if hidden is None else torch.mm(hidden.t(), d_out).to(y.dtype).neg_()
        filled.room.give_back(*(of for of in (d_out, d_gates, hidden, factors, joined) if of is not None))
        return d_x, d_kernel, d_projection, None, None, None, None, None


def _added(x: Tensor, to_first: Tensor | None) -> Tensor:
    """A contiguous copy of ``x`` (rows, …) whose first rows have had ``to_first`` added."""
    total = x.clone(memory_format=torch.contiguous_format)
    if to_first is not None:
        total[: len(to_first)] += to_first
    return total
