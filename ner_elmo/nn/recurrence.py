"""The recurrence of an LSTM with projection and clips on packed sequences, with a gradient: how a biLM is trained.

What :class:`torch.nn.LSTM` computes, and clips beside it (Sak et al. 2014; docs/elmo-format.md §5), arranged for a
processor: input, state and bias meet the weights in one product a step, rows that have ended leave the batch, and the
gradient of all weights is one product over all steps. :mod:`~ner_elmo.nn.inference` says what packed means.

In mixed precision the products, and the numbers that meet in them, are bfloat16 (sums within a product are float32);
gates, cells and the gradients of both stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.cell import Clips, Gates, Weights, gates_of
from ner_elmo.nn.precision import add_product, product


def last_outputs(y: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """Each row's output at its own last step ``(rows, width)``, from packed outputs."""
    last: list[int] = []
    end = y.shape[0]
    for n_rows in reversed(batch_sizes):  # from the last step: rows that have not been met end here
        end -= n_rows
        last += range(end + len(last), end + n_rows)
    return y[torch.tensor(last, device=y.device)]


class Recurrence(torch.autograd.Function):
    """The outputs with a gradient for the inputs and the weights; the state that they start from is taken as given.

    A value that was clipped passes no gradient. The state is ``None`` for zeros. Products are computed in ``dtype``.
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
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        """Outputs ``(positions, width)`` and each row's last cell ``(rows, dim)``, which has no gradient."""
        weights = Weights(kernel, projection)
        n_positions, dim, width = x.shape[0], weights.dim, weights.width
        kernel, projection = kernel.to(dtype), None if projection is None else projection.to(dtype)
        joined = x.new_empty(n_positions, 2 * width + 1, dtype=dtype)
        joined[:, :width] = x
        joined[:, -1] = 1.0
        z = x.new_empty(n_positions, 4 * dim)
        cells, shown = (x.new_empty(n_positions, dim) for _ in range(2))
        y = x.new_empty(n_positions, width)
        hidden = y if projection is None else x.new_empty(n_positions, dim, dtype=dtype)
        last_cells = x.new_empty(batch_sizes[0], dim)
        before_h, before_c = h, c
        start = 0
        for step, n_rows in enumerate(batch_sizes):
            rows = slice(start, start + n_rows)
            joined[rows, width:-1] = 0.0 if before_h is None else before_h[:n_rows]
            gates, cell = gates_of(product(joined[rows], kernel, z[rows])), cells[rows]
            gates.inner.sigmoid_()
            tanh_(gates.j)
            gates.o.sigmoid_()
            torch.mul(gates.i, gates.j, out=cell)
            if before_c is not None:
                cell.addcmul_(gates.f, before_c[:n_rows])
            if clips.cell is not None:
                cell.clamp_(-clips.cell, clips.cell)
            torch.mul(gates.o, tanh_(shown[rows].copy_(cell)), out=hidden[rows])
            if projection is not None:
                out = product(hidden[rows], projection, y[rows])
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
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
        dim, width, dtype = cells.shape[1], y.shape[1], kernel.dtype
        d_y = d_y.clone(memory_format=torch.contiguous_format)
        d_gates = z if dtype == z.dtype else torch.empty_like(z, dtype=dtype)
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
            add_product(d_out[: following.stop - following.start], d_gates[following], to_state)
            if to_hidden is None:
                d_hidden = d_out
            else:
                if clips.projection is not None:
                    d_out.masked_fill_(y[rows].abs() >= clips.projection, 0.0)
                product(d_out.to(dtype), to_hidden, d_hidden)
            before = cells[rows.start - batch_sizes[step - 1] :][:n_rows] if step else ctx.first_c
            scratch = buffers[1][:n_rows], buffers[2][:n_rows]
            cell_backward(gates_of(z[rows]), cells[rows], shown[rows], before, d_hidden, d_cell, scratch, clips.cell)
            if d_gates is not z:
                d_gates[rows] = z[rows]
            following = rows
            end -= n_rows
        d_x = (d_gates @ kernel[:width].t()).to(y.dtype) if ctx.needs_input_grad[0] else None
        d_projection = None if projection is None else (hidden.t() @ d_y.to(dtype)).to(y.dtype)
        return d_x, (joined.t() @ d_gates).to(y.dtype), d_projection, None, None, None, None, None


def tanh_(x: Tensor) -> Tensor:
    """tanh(x) = 2 σ(2x) − 1 in the place of ``x``: torch computes σ ten times faster than tanh on a CPU."""
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


def cell_backward(
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
