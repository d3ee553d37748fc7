"""The recurrence of :mod:`~ner_elmo.nn.recurrence` in mixed precision, arranged so that little memory moves.

Products, and the numbers that meet in them, are bfloat16; gates, cells and their gradients are float32. A step is
written with σ alone, since tanh(x) = 2 σ(2x) − 1. The factors are powers of two and signs, which change no digit, so
that they stand in the weights, and a step has one pass each for:

    z = [x_t h 1 1] K                 σ of all of z at once, then i, f, j, o = its quarters; 2 j − 1 is the candidate
    C_t = f C + 4 i j − 2 i           C is twice the cell, clipped
    s_t = σ(C_t)                      2 s − 1 is the cell's tanh
    n_t = o − 2 o s_t                 minus the hidden vector
    h_t = n_t (−W_p)                  clipped

In K the columns of the candidate are doubled, and the bias is two rows, which together have 16 binary digits. Of its
gradient G for z each quarter lacks a factor, too (``SCALES``).

Code for a product is made anew for each number of rows, which can take longer than the product. So rows of a step, and
positions in all, are filled up with zeros to one of a few numbers (``enough``): what is said to be ``filled`` below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.bfloat16 import enough_rows
from ner_elmo.nn.cell import Clips
from ner_elmo.nn.ordered_matrix import TERMS, OrderedMatrix

# By what G is to be multiplied for the gradient before activation: of i, f, j (before it was doubled) and o.
SCALES = (-2.0, 1.0, 8.0, 1.0)
POSITIONS = 256  # all positions are filled up to a multiple of so many


class Room:
    """Memory of a layer on a processor that is used again in the next step of training: the system takes a tenth of the
    time to give so much anew, page by page. A copy begins without any."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []  # each of float32, in one dimension

    def take(self, like: Tensor, n_rows: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Unset numbers ``(n_rows, width)``, on the device of ``like``."""
        if like.device.type != "cpu":
            return like.new_empty(n_rows, width, dtype=dtype)
        n_numbers = -(-n_rows * width * dtype.itemsize // 4)
        try:
            whole = self._free.pop()
        except IndexError:
            whole = like.new_empty(0, dtype=torch.float32)
        if not n_numbers <= len(whole) <= 2 * n_numbers:
            whole = like.new_empty(n_numbers + n_numbers // 8, dtype=torch.float32)
        return whole[:n_numbers].view(dtype)[: n_rows * width].view(n_rows, width)

    def give_back(self, *taken: Tensor) -> None:
        """Tensors that nobody reads any more, the last that was taken first."""
        for tensor in taken:
            if tensor.device.type == "cpu":
                whole = torch.empty(0, dtype=torch.float32)
                self._free.append(whole.set_(tensor.untyped_storage()))

    def __reduce__(self) -> tuple[type[Room], tuple[()]]:
        return Room, ()


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

    def without(self, filled: Tensor) -> Tensor:
        """The rows of ``filled`` that are real, ``(positions, …)``."""
        return torch.cat(self.steps(filled)[1])


def _quarters(z: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, ...]]:
    """Views of the four gates ``(rows, dim)`` of each step of ``z`` (positions, 4 dim)."""
    return list(zip(*(gate.split(sizes) for gate in z.chunk(4, dim=1)), strict=True))


def _scaled(kernel: Tensor) -> Tensor:
    """The kernel's rows ``(…, 4 dim)`` as G meets them."""
    return kernel * kernel.new_tensor(SCALES).repeat_interleave(kernel.shape[1] // 4)


def _laid_out(kernel: Tensor) -> Tensor:
    """K ``(filled terms, 4 dim)`` in bfloat16 from ``(2 · width + 1, 4 dim)``."""
    n_rows, dim, bias = len(kernel), kernel.shape[1] // 4, kernel[-1]
    rows = kernel.new_zeros(-(-(n_rows + 1) // TERMS) * TERMS, 4 * dim, dtype=torch.bfloat16)
    rows[:n_rows] = kernel
    rows[n_rows] = bias - rows[n_rows - 1]
    rows[:, 2 * dim : 3 * dim].mul_(2.0)
    return rows


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
        to_gates = OrderedMatrix(laid_out.t(), filled.filled[0])
        to_output = None if projection is None else OrderedMatrix(-projection.bfloat16().t(), filled.filled[0])
        # What the weights meet, (filled positions, filled terms): x h 1 1 and zeros
        joined = filled.take(x, len(laid_out))
        joined[:, 2 * width :] = 0.0
        joined[:, 2 * width : 2 * width + 2] = 1.0
        rows, real_rows = filled.steps(joined)
        # (positions, 4 dim), (positions, dim), (positions, width)
        z, y = room.take(x, len(x), 4 * dim), x.new_empty(len(x), width)
        cells, squashed = room.take(x, len(x), dim), room.take(x, len(x), dim)
        # (filled positions, dim): minus the hidden vectors, if they are projected
        hidden = None if projection is None else filled.take(x, dim)
        meet_projection, real_hidden = ([], []) if hidden is None else filled.steps(hidden)
        steps = [of.split(sizes) for of in (x, z, cells, squashed, y)]
        gates = _quarters(z, sizes)
        # (rows, width), (rows, dim): the state before
        state = x.new_zeros(most, width) if h is None else h
        cell = x.new_zeros(most, dim) if c is None else 2 * c
        first_cell, last_cells = cell, x.new_empty(most, dim)
        for t, (x_t, z_t, cell_t, squashed_t, y_t) in enumerate(zip(*steps, strict=True)):
            n_rows, (i, f, j, o) = sizes[t], gates[t]
            real_rows[t][:, :width] = x_t
            real_rows[t][:, width : 2 * width] = state[:n_rows]
            z_t.copy_(to_gates.meet(rows[t])[:n_rows]).sigmoid_()
            torch.mul(f, cell[:n_rows], out=cell_t)
            cell_t.addcmul_(i, j, value=4.0).sub_(i, alpha=2.0)
            if clips.cell is not None:
                cell_t.clamp_(-2.0 * clips.cell, 2.0 * clips.cell)
            torch.sigmoid(cell_t, out=squashed_t)
            if to_output is None:
                state = torch.addcmul(o, o, squashed_t, value=-2.0, out=y_t).neg_()
            else:
                real_hidden[t].copy_(torch.addcmul(o, o, squashed_t, value=-2.0))
                state = to_output.meet(meet_projection[t])[:n_rows]
                if clips.projection is not None:
                    state.clamp_(-clips.projection, clips.projection)
                y_t.copy_(state)
            cell = cell_t
            ends = n_rows if t + 1 == len(sizes) else n_rows - sizes[t + 1]
            last_cells[n_rows - ends : n_rows] = cell_t[n_rows - ends :]
        ctx.filled, ctx.clips, ctx.taken = filled, clips, (joined, z, cells, squashed, hidden)
        ctx.save_for_backward(kernel, projection, y, first_cell)
        ctx.mark_non_differentiable(last_cells)
        return y, last_cells.mul_(0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_last_cells: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first.

        Raises:
            RuntimeError: it is the second pass, whose memory has been given back.
        """
        if ctx.taken is None:
            raise RuntimeError("a second backward pass: what the first one needed is not there any more")
        kernel, projection, y, first_cell = ctx.saved_tensors
        (joined, z, cells, squashed, hidden), ctx.taken = ctx.taken, None
        filled, clips = ctx.filled, ctx.clips
        sizes, most = filled.sizes, filled.sizes[0]
        dim, width = cells.shape[1], y.shape[1]
        # (2 · width, 4 dim): what G meets on its way back
        scaled = _scaled(kernel[:-1]).bfloat16()
        to_state = OrderedMatrix(scaled[width:], filled.filled[0])
        to_hidden = None if projection is None else OrderedMatrix(-projection.bfloat16(), filled.filled[0])
        # (filled positions, 4 dim): G; (filled positions, width): the gradient of the outputs
        d_gates, d_out = filled.take(y, 4 * dim), filled.take(y, width)
        d_rows, d_real = filled.steps(d_gates)
        out_rows, out_real = filled.steps(d_out)
        of_steps = [of.split(sizes) for of in (d_y, cells, squashed, y)]
        gates = _quarters(z, sizes)
        # (rows of the first step, dim): of twice the cell
        d_cells = y.new_zeros(most, dim)
        buffers = [y.new_empty(most, dim) for _ in range(2)]
        from_next: Tensor | None = None
        for t in reversed(range(len(sizes))):
            n_rows = sizes[t]
            d_y_t, cell, s, y_t = (of[t] for of in of_steps)
            if from_next is not None:
                d_y_t = d_y_t.clone()
                d_y_t[: len(from_next)] += from_next
            if clips.projection is not None and to_hidden is not None:
                d_y_t = d_y_t.masked_fill(y_t.abs() >= clips.projection, 0.0)
            out_real[t].copy_(d_y_t)
            # of n
            d_n = -d_y_t if to_hidden is None else to_hidden.meet(out_rows[t])[:n_rows].float()
            before = first_cell if t == 0 else of_steps[1][t - 1]
            scratch = buffers[0][:n_rows], buffers[1][:n_rows]
            cell_backward(
                gates[t], d_real[t].chunk(4, 1), cell, s, before[:n_rows], d_n, d_cells[:n_rows], scratch, clips.cell
            )
            if t > 0:
                from_next = to_state.meet(d_rows[t])[:n_rows]
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = filled.without(torch.mm(d_gates, scaled[:width].t())).to(y.dtype)
        # Sums over all positions at once: (2 · width, 4 dim) and (1, 4 dim), (dim, width)
        of_rows = torch.mm(joined[:, : 2 * width].t(), d_gates).to(y.dtype)
        of_bias = torch.mm(d_gates.new_ones(TERMS, len(d_gates)), d_gates)[:1].to(y.dtype)  # far faster than a sum
        d_kernel = _scaled(torch.cat([of_rows, of_bias]))
        d_projection = None if hidden is None else torch.mm(hidden.t(), d_out).to(y.dtype).neg_()
        filled.room.give_back(*(of for of in (d_out, d_gates, hidden, squashed, cells, z, joined) if of is not None))
        return d_x, d_kernel, d_projection, None, None, None, None, None


def cell_backward(
    gates: tuple[Tensor, ...],
    d_gates: tuple[Tensor, ...],
    cell: Tensor,
    squashed: Tensor,
    before: Tensor,
    d_n: Tensor,
    d_cell: Tensor,
    scratch: tuple[Tensor, Tensor],
    cell_clip: float | None,
) -> None:
    """One step's chain rule.

    Args:
        gates: i, f, j, o after activation.
        d_gates: receive the quarters of G, in bfloat16.
        cell, before: twice the cell, and twice that of the step before.
        d_n: gradient of minus the hidden vector.
        d_cell: of twice the cell: on entry what the step after has left, then that of ``before``.
        scratch: two tensors of the shape of the cell, overwritten.
    """
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    i, f, j, o = gates
    of_i, of_f, of_j, of_o = d_gates
    t, u = scratch
    # d C += −2 d n · o · σ'(C)
    d_cell.sub_(sigmoid_backward(torch.mul(d_n, o, out=t), squashed, grad_input=t), alpha=2.0)
    if cell_clip is not None:
        d_cell.masked_fill_(cell.abs() >= 2.0 * cell_clip, 0.0)
    # d o = d n · (1 − 2 s) · σ'(o)
    torch.addcmul(d_n, d_n, squashed, value=-2.0, out=t)
    of_o.copy_(sigmoid_backward(t, o, grad_input=t))
    # d j = 4 d C · i · σ'(j), without the 4; d i = d C · (4 j − 2) · σ'(i), without the −2
    torch.mul(d_cell, i, out=t)
    of_j.copy_(sigmoid_backward(t, j, grad_input=t))
    torch.addcmul(d_cell, d_cell, j, value=-2.0, out=u)
    of_i.copy_(sigmoid_backward(u, i, grad_input=u))
    # d f = d C · C before · σ'(f), d C before = d C · f
    torch.mul(d_cell, before, out=t)
    of_f.copy_(sigmoid_backward(t, f, grad_input=t))
    d_cell.mul_(f)
