"""Both directions of an LSTM layer with a gradient, on packed sentences: how a tagger is trained.

It is what torch's LSTM computes (Hochreiter & Schmidhuber 1997; Gers et al. 2000), arranged for a processor: the inputs
of both directions meet their weights in one product before the first step, the gradients of inputs and weights are each
one product after the last, and within a step both directions are one. As in
:mod:`~ner_elmo.nn.mixed_recurrence`, a step is written with σ alone:

    z = [x_t h 1] W                   σ of all of z at once, then i, f, j, o = its quarters; 2 j − 1 is the candidate
    C_t = f C + 4 i j − 2 i           C is twice the cell
    s_t = σ(C_t)                      2 s − 1 is the cell's tanh
    n_t = o − 2 o s_t                 minus the output

In W the rows of the candidate are doubled, and what meets n is negative. Of the gradient G for z each quarter lacks a
factor (``SCALES``).

Code for a product in bfloat16 is made anew for each number of rows, which takes longer than the product itself. So rows
of a step, and positions in all, are filled up to one of a few numbers (``enough_rows``). What is filled up comes after
what is real in each step: nothing real reads it, and its gradients are 0.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``units`` of the cell in each direction; ``positions`` of all
sentences together, those that are filled up among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ner_elmo.nn.bfloat16 import enough_rows
from ner_elmo.nn.packing import Packing
from ner_elmo.nn.passes import DOUBLED, SCALES, passes_on
from ner_elmo.nn.recurrence import steps_of


class BiRecurrence(torch.autograd.Function):
    """Both directions of a layer ``(batch, time, 2 · units)``, 0 at padding, with a gradient for everything learned.

    The products, and the numbers that meet in them, are of ``dtype``; gates, cells and their gradients are of the type
    of ``x``.

    Weights are, of the forward direction and then of the backward one: to the gates from the input
    ``(4 · units, dim)`` and from the state ``(4 · units, units)``, and the bias ``(4 · units,)``, the gates in torch's
    order.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, packing: Packing, dtype: torch.dtype, given: slice | None, *weights: Tensor
    ) -> Tensor:
        """``x`` is ``(batch, time, dim)``; ``packing`` says where its real elements are.

        Tensors ``(2, positions, …)`` have a direction each in the order in which it reads, the backward one from each
        sentence's end. After step t the rows of ``z``, there from the beginning as what inputs and bias give, are the
        gates; ``cells``, ``squashed`` and ``minus`` hold C_t, s_t and n_t.

        Args:
            given: columns of ``x`` before which nothing is learned: their gradient is left at 0. Rows in which they are
                all 0 are spared their products.
        """
        batch, time, dim = x.shape
        filled = _filled(packing, batch * time, dtype == torch.bfloat16)
        units = weights[1].shape[1]
        of_input = [weight.to(dtype) for weight in weights[0::3]]
        # (2, units, 4 · units)
        of_state = _times(weights[1::3], [-factor for factor in DOUBLED], dtype).transpose(1, 2)
        order = _in_order(x.view(-1, dim), filled, given if dtype == x.dtype else None)
        # (positions, dim)
        inputs = x.view(-1, dim).index_select(0, order.places.clamp(max=batch * time - 1)).to(dtype)
        inputs[filled.added] = 0.0
        # (2, positions, 4 · units)
        z = _directions([_product(inputs, of_one, order) for of_one in of_input], order, filled.turn, x.dtype)
        z += torch.stack(weights[2::3]).unsqueeze(1)
        _scale(z, DOUBLED, 2)
        # (2, positions, units); the last is n as the weights meet it
        minus, cells, squashed = (x.new_empty(2, len(inputs), units) for _ in range(3))
        meeting = minus if minus.dtype == dtype else torch.zeros_like(minus, dtype=dtype)
        passes, before_c = passes_on(x.device), None
        for step in steps_of(filled.sizes):
            rows = step.rows
            if step.before is not None:
                z[:, rows] += torch.bmm(meeting[:, step.before], of_state)
                before_c = cells[:, step.before]
            passes.gates_forward(z[:, rows], before_c, cells[:, rows], squashed[:, rows], minus[:, rows], None)
            if meeting is not minus:
                meeting[:, rows] = minus[:, rows]
        ctx.filled, ctx.order, ctx.shape, ctx.given, ctx.dtype = filled, order, x.shape, given, x.dtype
        ctx.save_for_backward(inputs, z, cells, squashed, meeting, *weights[0::3], *weights[1::3])
        # (batch · time + 1, 2, units): what was filled up goes to the last row
        out = x.new_zeros(batch * time + 1, 2, units)
        out[:, 0].index_copy_(0, filled.ahead, minus[0])
        out[:, 1].index_copy_(0, filled.back, minus[1])
        return out[:-1].neg_().view(batch, time, 2 * units)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first. ``d_gates`` holds G; in float32 it takes the gates' place, so
        that torch refuses a second pass."""
        inputs, z, cells, squashed, meeting, *weights = ctx.saved_tensors
        filled, dtype, units = ctx.filled, inputs.dtype, cells.shape[2]
        of_input = [weight.to(dtype) for weight in weights[:2]]
        # (2, 4 · units, units): what G meets on its way back
        of_state = _times(weights[2:], [-factor for factor in SCALES], dtype)
        # (2, positions, units): of n
        d_out = d_out.reshape(-1, 2, units)
        last = len(d_out) - 1
        ahead, back = (order.clamp(max=last) for order in (filled.ahead, filled.back))
        d_minus = torch.stack([d_out[:, 0].index_select(0, ahead), d_out[:, 1].index_select(0, back)]).neg_()
        d_minus[:, filled.added] = 0.0
        # (2, positions, 4 · units)
        d_gates = z if z.dtype == dtype else torch.empty_like(z, dtype=dtype)
        d_gates[:, sum(filled.sizes) :] = 0.0
        # (2, rows of the first step, units): of C
        d_cells = cells.new_zeros(2, filled.sizes[0], units)
        passes = passes_on(z.device)
        for step in reversed(steps_of(filled.sizes)):
            rows, d_n, d_cell = step.rows, d_minus[:, step.rows], d_cells[:, : step.n_rows]
            if step.n_going_on:
                d_n[:, : step.n_going_on] += torch.bmm(d_gates[:, step.following], of_state)
            before_c = None if step.before is None else cells[:, step.before]
            passes.gates_backward(z[:, rows], before_c, cells[:, rows], squashed[:, rows], d_n, d_cell, None)
            if d_gates is not z:
                d_gates[:, rows] = z[:, rows]
        # (positions, 2 · 4 · units): both directions side by side, in the order of the products
        d_joined = d_gates.new_empty(d_gates.shape[1], 8 * units)
        d_joined[:, : 4 * units] = d_gates[0].index_select(0, ctx.order.positions)
        d_joined[:, 4 * units :] = d_gates[1].index_select(0, filled.turn[ctx.order.positions])
        _scale(d_joined.view(-1, 2, 4 * units), SCALES, 2)
        d_x = _d_x(ctx, d_joined, of_input) if ctx.needs_input_grad[0] else None
        # (2, 4 · units, dim), (2, 4 · units, units), and (2, 4 · units)
        d_of_input = _d_of_input(d_joined, inputs, ctx.order).to(z.dtype).view(2, 4 * units, -1)
        n_before = meeting.index_select(1, filled.previous)
        d_of_state = torch.bmm(d_gates[:, filled.sizes[0] :].transpose(1, 2), n_before).to(z.dtype)
        d_bias = torch.mm(d_joined.new_ones(1, len(d_joined)), d_joined)[0].to(z.dtype).view(2, -1)  # faster than a sum
        _scale(d_of_state, [-factor for factor in SCALES])
        parts = zip(d_of_input, d_of_state, d_bias, strict=True)
        return d_x, None, None, None, *(one for of_direction in parts for one in of_direction)


class _Order(NamedTuple):
    """In which order positions meet the weights of the inputs: first those that have something in the given columns.

    Attributes:
        positions: which of ``ahead`` stands there.
        turned_back: where each of ``ahead`` stands.
        places: where it stands in the batch; of what was filled up, the place after the last.
        n_given: so many have something in the given columns.
        given: these columns; empty where there are none, or all positions count as having something there.
    """

    positions: Tensor
    turned_back: Tensor
    places: Tensor
    n_given: int
    given: slice

    def others(self, dim: int) -> list[slice]:
        """The other columns of ``dim``."""
        return [slice(0, self.given.start), slice(self.given.stop, dim)]


def _in_order(rows: Tensor, filled: _Filled, given: slice | None) -> _Order:
    places = filled.ahead
    as_they_are = torch.arange(len(places))
    if given is None:
        return _Order(as_they_are, as_they_are, places, len(places), slice(0, 0))
    has_any = rows[:, given].any(dim=1)[places]
    positions = torch.cat([has_any.nonzero()[:, 0], (~has_any).nonzero()[:, 0]])
    turned_back = torch.empty_like(positions).index_copy_(0, positions, as_they_are)
    return _Order(positions, turned_back, places[positions], int(has_any.sum()), given)


def _product(inputs: Tensor, of_input: Tensor, order: _Order) -> Tensor:
    """``inputs @ of_input.T``, without what is 0."""
    n = order.n_given
    if n == len(inputs):
        return inputs @ of_input.T
    out = inputs.new_empty(len(inputs), len(of_input))
    torch.mm(inputs[:n], of_input.T, out=out[:n])
    first, second = order.others(inputs.shape[1])
    torch.mm(inputs[n:, first], of_input[:, first].T, out=out[n:])
    out[n:].addmm_(inputs[n:, second], of_input[:, second].T)
    return out


def _d_of_input(d_joined: Tensor, inputs: Tensor, order: _Order) -> Tensor:
    """``d_joined.T @ inputs``, without what is 0."""
    n = order.n_given
    if n == len(inputs):
        return d_joined.T @ inputs
    out = inputs.new_empty(d_joined.shape[1], inputs.shape[1])
    for some in order.others(inputs.shape[1]):
        torch.mm(d_joined.T, inputs[:, some], out=out[:, some])
    torch.mm(d_joined[:n].T, inputs[:n, order.given], out=out[:, order.given])
    return out


def _d_x(ctx: Any, d_joined: Tensor, of_input: Sequence[Tensor]) -> Tensor:
    """The gradient of the inputs, but for the columns that are given."""
    places, given, dim = ctx.order.places, ctx.given, ctx.shape[2]
    (of_one, of_other), (d_one, d_other) = of_input, d_joined.chunk(2, dim=1)
    # (batch · time + 1, dim)
    d_x = torch.zeros(ctx.shape[0] * ctx.shape[1] + 1, dim, dtype=ctx.dtype)
    columns = [slice(0, dim)] if given is None else [slice(0, given.start), slice(given.stop, dim)]
    for some in columns:
        if d_joined.dtype == d_x.dtype:
            d_some = torch.addmm(d_one @ of_one[:, some], d_other, of_other[:, some])
        else:  # a sum in bfloat16 is to be rounded once
            d_some = (d_joined @ torch.cat([of_one[:, some], of_other[:, some]])).to(d_x.dtype)
        d_x[:, some].index_copy_(0, places, d_some)
    return d_x[:-1].view(ctx.shape)


class _Filled(NamedTuple):
    """How a packing stands when filled up.

    Attributes:
        sizes: rows of each step.
        ahead, back: as the packing has them; of what was filled up, the place after the last of the batch.
        turn: where among ``ahead`` each of ``back`` stands; what was filled up stands in the same place.
        previous: where the position of the step before stands, for all after the first step; of those after the last
            step, the first position.
        added: the positions that were filled up.
    """

    sizes: list[int]
    ahead: Tensor
    back: Tensor
    turn: Tensor
    previous: Tensor
    added: Tensor


def _filled(packing: Packing, n_places: int, fills_up: bool) -> _Filled:
    """Rows of each step, no more than the first step has, and positions, filled up to numbers that are enough; or left
    as they are."""
    real = packing.sizes
    sizes = [min(real[0], enough_rows(size)) for size in real] if fills_up else real
    n_steps = sum(sizes)
    n_positions = enough_rows(n_steps) if fills_up else n_steps
    added_before = list(accumulate((size - n for size, n in zip(sizes, real, strict=True)), initial=0))[:-1]
    # Where each real position stands now
    now = torch.arange(len(packing.ahead)) + torch.tensor(added_before).repeat_interleave(torch.tensor(real))
    is_added = torch.ones(n_positions, dtype=torch.bool)
    is_added[now] = False
    ahead, back = (torch.full((n_positions,), n_places).index_copy_(0, now, of) for of in (packing.ahead, packing.back))
    turn = torch.arange(n_positions).index_copy_(0, now, now[packing.turn])
    rows = torch.tensor(sizes)
    starts = rows.cumsum(0) - rows
    of_step = torch.arange(len(sizes) - 1).repeat_interleave(rows[1:])
    within = torch.arange(sizes[0], n_steps) - starts[1:][of_step]
    previous = torch.cat([starts[:-1][of_step] + within, torch.zeros(n_positions - n_steps, dtype=torch.long)])
    return _Filled(sizes, ahead, back, turn, previous, is_added.nonzero()[:, 0])


def _directions(halves: Sequence[Tensor], order: _Order, turn: Tensor, dtype: torch.dtype) -> Tensor:
    """Gates of each direction ``(positions, 4 · units)``, in the order of the products, to
    ``(2, positions, 4 · units)``, each in its own order."""
    z = halves[0].new_empty(2, *halves[0].shape, dtype=dtype)
    rows = order.turned_back, order.turned_back[turn]
    for out, half, of_direction in zip(z, halves, rows, strict=True):
        if half.dtype == dtype:
            torch.index_select(half, 0, of_direction, out=out)
        else:
            out.copy_(half.index_select(0, of_direction))
    return z


def _times(weights: Sequence[Tensor], factors: Sequence[float], dtype: torch.dtype) -> Tensor:
    """A copy of both directions' weights ``(2, 4 · units, …)``, their quarters times their factors."""
    both = torch.stack([weight.to(dtype) for weight in weights])
    _scale(both, factors)
    return both


def _scale(both: Tensor, factors: Sequence[float], dim: int = 1) -> None:
    """Multiply the four quarters of ``both`` along ``dim``, by default (2, 4 · units, …), by their factors: powers of
    two or their negatives, so that it does not matter when."""
    for quarter, factor in zip(both.unflatten(dim, (4, -1)).unbind(dim), factors, strict=True):
        if factor != 1.0:
            quarter.mul_(factor)
