"""The recurrence of an LSTM with projection and clips on packed sequences, without a gradient: how an encoder computes.

A step is computed for a block of units at a time, whose gates fit a core's own cache; rows that have ended leave the
batch; and additions have the same order for a row alone and in company.

**Packed** sequences of falling lengths lie step by step: first the first step of all of them, then the second step of
those that have one, and so on. ``batch_sizes`` holds the number of rows of each step; their sum is the ``positions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ner_elmo.nn.cell import Arranged, Clips, State, Types, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference_few_rows import run_few
from ner_elmo.nn.ordered_sums import LONGEST_SUM, MANY_ROWS, add_up, cuts_of, in_order, in_parts

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


def run_one(
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
        x: packed inputs ``(positions, inputs)``, without those numbers that ``types`` have.
        state: where each row starts; zeros by default. Its ``c`` is overwritten with each row's last cell.
        types: the last numbers of the inputs, if it is known which of them are the same.

    Returns:
        ``(positions, width)``.
    """
    width, most = weights.width, batch_sizes[0]
    y = x.new_empty(x.shape[0], width)
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, weights.dim))
    cells_twice = doubled(c, weights.dim)
    scratch = _Scratch(weights, most, x)
    many_rows = MANY_ROWS if x.device.type == "cpu" else 1
    added = types if types is not None and most >= many_rows and scratch.add_types(types, weights) else None
    if types is not None and added is None:
        x = types.behind(x)
    scratch.cuts = [cut for cut in cuts_of(weights.n_inputs, weights.n_typed) if cut.start < x.shape[1]]
    most_rows = max(most, FEW_GATE_BYTES // (16 * weights.dim)) if most < many_rows else None
    for stretch in stretches(batch_sizes, most_rows):
        part = slice(stretch.start, stretch.end)
        inputs, rows = x[part], slice(stretch.n_rows)
        outputs = y[part].view(stretch.n_steps, stretch.n_rows, -1)
        if stretch.n_rows < many_rows:
            whole = inputs if added is None else added.behind(inputs, part)
            outputs.copy_(run_alone(whole.view(*outputs.shape[:2], -1), weights, clips, h[rows], cells_twice[rows]))
        else:
            with in_order(stretch.n_rows):
                _run_stretch(inputs, outputs, part, weights, clips, h[rows], cells_twice[rows], scratch)
        h = y[stretch.end - stretch.n_rows : stretch.end]
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y


def run_alone(x: Tensor, weights: Arranged, clips: Clips, h: Tensor, cells_twice: Tensor) -> Tensor:
    """Steps of a few rows of one direction (:func:`~ner_elmo.nn.inference_few_rows.run_few`).

    Args:
        x: ``(steps, rows, inputs)``.
        h: where the rows start, ``(rows, width)``.
        cells_twice: likewise twice the cells ``(rows, dim)``; overwritten.

    Returns:
        ``(steps, rows, width)``.
    """
    projection = None if weights.projection is None else weights.projection[None]
    alone = Arranged(weights.kernel[None], projection, weights.block, weights.width, weights.n_typed)
    return run_few(x[None], alone, clips, h[None], cells_twice[None])[0]


class _Scratch:
    """What the steps of a layer share: room for ``most`` rows, of the gates of some blocks of units, and of half of
    σ(o) tanh(cell) of all units; and what bias and types of input give the gates."""

    def __init__(self, weights: Arranged, most: int, like: Tensor) -> None:
        n_blocks = min(weights.dim // weights.block, GATE_BYTES // (16 * weights.block * most))
        self.n_units = max(1, n_blocks) * weights.block
        self.z = like.new_empty(most * 4 * self.n_units)
        self.hidden_half = like.new_empty(most, weights.dim)
        self.of_types: list[Tensor] = []  # for each of the parts of :func:`_parts_of`, (types, 4 units)
        self.which = like.new_empty(0)
        self.cuts: list[slice] = []  # which inputs meet the weights step by step, run by run

    def add_types(self, types: Types, weights: Arranged) -> bool:
        """Compute what the types give the gates, unless that takes more room than it is worth."""
        n_types = len(types.vectors)
        if n_types * 16 * weights.dim > TYPE_BYTES or n_types > MOST_TYPES * len(types.which):
            return False
        self.which = types.which
        of_input = weights.kernel[weights.n_inputs - types.vectors.shape[1] : weights.n_inputs]
        for start in range(0, weights.dim, self.n_units):
            columns = slice(4 * start, 4 * (start + self.n_units))
            kernel = of_input[:, columns]
            of_type = kernel.new_empty(n_types, kernel.shape[1])
            add_up(weights.kernel[-1, columns], in_parts(types.vectors, kernel), of_type)
            self.of_types.append(of_type)
        return True


class _Part(NamedTuple):
    """Some blocks of units during the steps of one stretch: weights and views."""

    of_input: list[Tensor]  # (inputs, 4 units), cut where the sums are
    of_state: tuple[Tensor, ...]
    bias: Tensor  # (4 units,)
    z: Tensor  # (rows, 4 units)
    gates: tuple[Tensor, Tensor, Tensor, Tensor]  # each (rows, blocks, block)
    cells_twice: Tensor  # (rows, blocks, block)
    hidden_half: Tensor
    of_types: Tensor | None  # (types, 4 units)


def _run_stretch(
    x: Tensor,
    y: Tensor,
    place: slice,
    weights: Arranged,
    clips: Clips,
    h: Tensor,
    cells_twice: Tensor,
    scratch: _Scratch,
) -> None:
    """Steps of the same rows, ``x`` (positions, inputs) to ``y`` (steps, rows, width), which have this place among all
    positions."""
    n_steps, n_rows, _ = y.shape
    hidden_half = scratch.hidden_half[:n_rows]
    parts = list(_parts_of(weights, scratch, cells_twice, hidden_half))
    types = scratch.which[place].view(n_steps, n_rows).unbind(0) if scratch.of_types else [scratch.which] * n_steps
    for inputs, index, out in zip(x.split(n_rows), types, y.unbind(0), strict=True):
        input_parts, state_parts = [inputs[:, cut] for cut in scratch.cuts], h.split(LONGEST_SUM, dim=1)
        for part in parts:
            of_input = list(zip(input_parts, part.of_input, strict=True))
            if part.of_types is None:
                add_up(part.bias, of_input, part.z)
                of_input = []
            else:
                torch.index_select(part.of_types, 0, index, out=part.z)
            for rows, matrix in (*of_input, *zip(state_parts, part.of_state, strict=True)):
                part.z.addmm_(rows, matrix)
            part.z.sigmoid_()
            update_cell(*part.gates, part.cells_twice, part.hidden_half, clips.cell)
        _to_outputs(hidden_half, weights, clips, out)
        h = out


def _parts_of(weights: Arranged, scratch: _Scratch, cells_twice: Tensor, hidden_half: Tensor) -> Iterator[_Part]:
    n_inputs, block = weights.n_inputs, weights.block
    for number, start in enumerate(range(0, weights.dim, scratch.n_units)):
        end = min(start + scratch.n_units, weights.dim)
        kernel = weights.kernel[:, 4 * start : 4 * end]
        of_input, of_state = [kernel[cut] for cut in scratch.cuts], kernel[n_inputs:-1].split(LONGEST_SUM)
        z = scratch.z[: len(hidden_half) * kernel.shape[1]].view(len(hidden_half), -1)
        cells, hidden = (in_blocks(of[:, start:end], block) for of in (cells_twice, hidden_half))
        of_types = scratch.of_types[number] if scratch.of_types else None
        yield _Part(of_input, of_state, kernel[-1], z, gates_in_blocks(z, block), cells, hidden, of_types)


def _to_outputs(hidden_half: Tensor, weights: Arranged, clips: Clips, out: Tensor) -> None:
    if weights.projection is None:
        torch.mul(hidden_half[:, : weights.width], 2, out=out)
        return
    add_up(None, in_parts(hidden_half, weights.projection), out)
    if clips.projection is not None:
        out.clamp_(-clips.projection, clips.projection)
