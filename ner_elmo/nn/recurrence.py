"""The recurrence of an LSTM with a gradient, on packed sequences: how a biLM is trained.

It is what :class:`torch.nn.LSTM` computes, and clips beside it (Sak et al. 2014; docs/elmo-format.md §5). A step t
computes, from the input x_t, the output h and the cell c of the step before:

    z = [x_t h 1] W                           i, f, j, o = the four quarters of z
    c_t = clip(σ(f) c + σ(i) tanh(j))
    m_t = σ(o) tanh(c_t)                      hidden
    h_t = clip(m_t W_p)                       h_t = m_t where there is no projection

It is arranged for a processor: rows that have ended leave the batch, and the gradient of all weights is one product
over all steps. As in :mod:`~ner_elmo.nn.mixed_recurrence`, a step is computed with σ alone, as C_t, s_t and n_t
(:mod:`~ner_elmo.nn.passes`): the columns of the candidate are doubled, and what meets n has the other sign.
:mod:`~ner_elmo.nn.inference` says what packed means. It is float32; in mixed precision
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

from ner_elmo.nn.cell import Clips, Weights
from ner_elmo.nn.passes import DOUBLED, SCALES, passes_on


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
        are multiplied by, [x_t h_{t-1} 1]; of ``z`` the gates after activation; of ``cells`` C_t, of ``squashed`` s_t,
        of ``minus`` n_t and of ``y`` h_t.
        """
        weights = Weights(kernel, projection)
        to_gates, to_output = _scaled(kernel, DOUBLED), None if projection is None else -projection
        passes, clip = passes_on(x.device), _twice(clips.cell)
        n_positions, dim, width = x.shape[0], weights.dim, weights.width
        # (positions, 2 · width + 1); the columns of the state are filled step by step
        joined = x.new_empty(n_positions, 2 * width + 1)
        joined[:, :width] = x
        joined[:, -1] = 1.0
        # (positions, 4 · dim)
        z = x.new_empty(n_positions, 4 * dim)
        # (positions, dim)
        cells, squashed, minus = (x.new_empty(n_positions, dim) for _ in range(3))
        # (positions, width)
        y = x.new_empty(n_positions, width)
        # (rows, dim)
        first_c = None if c is None else 2 * c
        # (rows of the first step, dim)
        last_cells = x.new_empty(batch_sizes[0], dim)
        for step in steps_of(batch_sizes):
            rows, cell, n = step.rows, cells[step.rows], minus[step.rows]
            # (rows, width), (rows, dim): the state that these rows were left in
            before_h, before_c = (h, first_c) if step.before is None else (y[step.before], cells[step.before])
            joined[rows, width:-1] = 0.0 if before_h is None else before_h
            gates = torch.mm(joined[rows], to_gates, out=z[rows])
            passes.gates_forward(gates, before_c, cell, squashed[rows], n, clip)
            if to_output is None:
                torch.neg(n, out=y[rows])
            else:
                out = torch.mm(n, to_output, out=y[rows])
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            last_cells[step.n_going_on : step.n_rows] = cell[step.n_going_on :]
        ctx.first_c, ctx.batch_sizes, ctx.clips = first_c, list(batch_sizes), clips
        ctx.save_for_backward(kernel, projection, joined, z, cells, squashed, minus, y)
        ctx.mark_non_differentiable(last_cells)
        return y, last_cells.mul_(0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, _d_last_cells: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first. The gradients of the gates take the gates' place, so that
        torch refuses a second pass.

        Before step t is reached, its rows of ``d_y`` are the loss's gradient for h_t but for what goes through step
        t + 1; ``d_gates`` holds, in the rows of ``following``, the gradients of the gates of that step before
        activation, without ``SCALES``, by which h_t gets the rest; and ``d_cells`` has what step t + 1 left for C_t (0
        for a row that ends here).
        """
        kernel, projection, joined, z, cells, squashed, minus, y = ctx.saved_tensors
        batch_sizes, clips = ctx.batch_sizes, ctx.clips
        passes, clip = passes_on(y.device), _twice(clips.cell)
        dim, width = cells.shape[1], y.shape[1]
        # (positions, width)
        d_y = d_y.clone(memory_format=torch.contiguous_format)
        # (positions, 4 · dim)
        d_gates = z
        # (2 · width + 1, 4 · dim): what the gradients of the gates meet
        scaled = _scaled(kernel, SCALES)
        # (4 · dim, width): from the gates back to the output of the step before
        to_state = scaled[width:-1].t().contiguous()
        # (width, dim)
        to_minus = None if projection is None else projection.t().neg()
        # (rows of the first step, dim)
        d_cells, buffer = y.new_zeros(batch_sizes[0], dim), y.new_empty(batch_sizes[0], dim)
        for step in reversed(steps_of(batch_sizes)):
            rows, n_rows = step.rows, step.n_rows
            # (rows, width), (rows, dim), (rows, dim)
            d_out, d_minus, d_cell = d_y[rows], buffer[:n_rows], d_cells[:n_rows]
            d_out[: step.n_going_on].addmm_(d_gates[step.following], to_state)
            if to_minus is None:
                torch.neg(d_out, out=d_minus)
            else:
                if clips.projection is not None:
                    d_out.masked_fill_(y[rows].abs() >= clips.projection, 0.0)
                torch.mm(d_out, to_minus, out=d_minus)
            # (rows, dim)
            before_c = ctx.first_c if step.before is None else cells[step.before]
            passes.gates_backward(z[rows], before_c, cells[rows], squashed[rows], d_minus, d_cell, clip)
        # Sums over all steps at once: (positions, width), (dim, width), (2 · width + 1, 4 · dim)
        d_x = d_gates @ scaled[:width].t() if ctx.needs_input_grad[0] else None
        d_projection = None if projection is None else (minus.t() @ d_y).neg_()
        d_kernel = joined.t() @ d_gates
        _scale_(d_kernel, SCALES)
        return d_x, d_kernel, d_projection, None, None, None, None


def _twice(clip: float | None) -> float | None:
    """The bound on twice the cell."""
    return None if clip is None else 2.0 * clip


def _scaled(kernel: Tensor, factors: Sequence[float]) -> Tensor:
    """A copy of the kernel ``(…, 4 · dim)``, its quarters times their factors."""
    copied = kernel.clone(memory_format=torch.contiguous_format)
    _scale_(copied, factors)
    return copied


def _scale_(kernel: Tensor, factors: Sequence[float]) -> None:
    for quarter, factor in zip(kernel.chunk(4, 1), factors, strict=True):
        if factor != 1.0:
            quarter.mul_(factor)
