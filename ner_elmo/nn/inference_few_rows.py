"""The recurrence for a few rows: a sentence by itself, or the longest of several once the others have ended.

Two things differ from many rows. Matrix products add up in another order where there are few rows, and a sentence's
vectors would depend on its company: here the rows of the matrices are added up as products of many rows add them. And
a step takes less time to compute than to ask for, one operation after the other: the loop is compiled.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.nn.cell import Arranged, Clips, update_cell
from ner_elmo.nn.ordered_sums import LONGEST_SUM, MANY_ROWS, add_up, in_order, in_parts, widened
from ner_elmo.nn.scripted import scripted


def run_few(x: Tensor, weights: Arranged, clips: Clips, h: Tensor, cells_twice: Tensor) -> Tensor:
    """Steps of the same few rows in one or both directions, which come first in all shapes.

    Args:
        x: inputs ``(directions, steps, rows, inputs)``.
        weights: of one layer, with a first dimension of ``directions``.
        h: where the rows start, ``(directions, rows, width)``.
        cells_twice: likewise twice the cells ``(directions, rows, dim)``; overwritten with twice the last cells.

    Returns:
        ``(directions, steps, rows, width)``.
    """
    n_rows, n_inputs = x.shape[2:]
    of_input = _of_inputs(x.flatten(1, 2), weights).view(*x.shape[:3], -1)
    of_state = _parts_of(weights.kernel, n_inputs, n_inputs + weights.width, n_rows)
    nothing = weights.kernel.new_empty(0)
    projection = (nothing,) * 3 if weights.projection is None else _parts_of(weights.projection, 0, weights.dim, n_rows)
    all_parts, first_parts = _places_of_parts(len(x) * n_rows, projection[2].shape[0])
    cell = cells_twice.contiguous()
    y = scripted(_steps)(
        of_input, *of_state, *projection, all_parts, first_parts, h, cell, weights.block, clips.cell, clips.projection
    )
    cells_twice.copy_(cell)
    return y


def _of_inputs(x: Tensor, weights: Arranged) -> Tensor:
    """What bias and inputs ``(directions, positions, inputs)`` give the gates, ``(directions, positions, 4 dim)``."""
    n_positions = x.shape[1]
    if n_positions < MANY_ROWS:
        x = functional.pad(x, (0, 0, 0, MANY_ROWS - n_positions))
    of_input = x.new_empty(*x.shape[:2], 4 * weights.dim)
    with in_order(n_positions):
        for inputs, kernel, out in zip(x, weights.kernel, of_input, strict=True):
            add_up(kernel[-1], in_parts(inputs, kernel[: weights.n_inputs], weights.n_typed), out)
    return of_input[:, :n_positions]


# How rows meet the rows ``first`` to ``last`` of matrices ``(directions, height, n)``: all of the matrices' rows; the
# index of those that are met, for each row of each direction; where the parts of the sums begin.
_Parts = tuple[Tensor, Tensor, Tensor]


def _parts_of(matrices: Tensor, first: int, last: int, n_rows: int) -> _Parts:
    n_directions, height, _ = matrices.shape
    return widened(matrices).flatten(0, 1), *_places(n_directions, height, first, last, n_rows)


@cache  # there are a few for each shape of a network
def _places(n_directions: int, height: int, first: int, last: int, n_rows: int) -> tuple[Tensor, Tensor]:
    n_terms = last - first
    of_direction = torch.arange(n_directions).view(-1, 1, 1) * height + torch.arange(first, last)
    begins = torch.arange(n_directions * n_rows).unsqueeze(1) * n_terms + torch.arange(0, n_terms, LONGEST_SUM)
    return of_direction.expand(-1, n_rows, -1).flatten(), begins.flatten()


@cache
def _places_of_parts(n: int, n_parts: int) -> tuple[Tensor, Tensor]:
    """``n_parts`` rows as ``n`` equal bags, so that they can be added up: all of them, and where each bag begins."""
    return torch.arange(n_parts), torch.arange(n) * (n_parts // n)


def _products(rows: Tensor, index: Tensor, offsets: Tensor, x: Tensor) -> Tensor:
    """What each part of the sums gives for ``x`` (directions, rows, terms), ``(directions, rows, parts, n)``."""
    # A bag of embeddings, each with its weight, is the sum of a matrix's rows from the first to the last.
    sums = torch.embedding_bag(rows, index, offsets, False, 0, False, x.reshape(-1))[0]
    return sums.view(x.shape[0], x.shape[1], -1, rows.shape[1])


def _steps(
    of_input: Tensor,
    state_rows: Tensor,
    state_index: Tensor,
    state_offsets: Tensor,
    projection_rows: Tensor,
    projection_index: Tensor,
    projection_offsets: Tensor,
    all_parts: Tensor,
    first_parts: Tensor,
    h: Tensor,
    cells_twice: Tensor,
    block: int,
    cell_clip: float | None,
    projection_clip: float | None,
) -> Tensor:
    """The loop over the steps, in the part of Python that torch compiles. ``projection_rows`` is empty for none."""
    n, n_rows, dim = cells_twice.shape
    z = of_input.new_empty(n, n_rows, 4 * dim)
    hidden_half = torch.empty_like(cells_twice)
    gates = z.view(n, n_rows, -1, 4, block)
    i, f, j, o = gates[:, :, :, 0], gates[:, :, :, 1], gates[:, :, :, 2], gates[:, :, :, 3]
    cells, hidden = cells_twice.view(n, n_rows, -1, block), hidden_half.view(n, n_rows, -1, block)
    outputs: list[Tensor] = []
    for added in of_input.unbind(1):
        sums = _products(state_rows, state_index, state_offsets, h)
        torch.add(added, sums[:, :, 0], out=z)
        for part in range(1, sums.shape[2]):
            z.add_(sums[:, :, part])
        z.sigmoid_()
        update_cell(i, f, j, o, cells, hidden, cell_clip)
        if projection_rows.shape[0] == 0:
            h = hidden_half[:, :, : h.shape[2]] * 2
        else:
            sums = _products(projection_rows, projection_index, projection_offsets, hidden_half)
            wide = torch.embedding_bag(sums.flatten(0, 2), all_parts, first_parts, False, 0, False)[0]
            h = wide.view(n, n_rows, -1)[:, :, : h.shape[2]]
            if projection_clip is not None:
                h = h.clamp(-projection_clip, projection_clip)
        outputs.append(h)
    return torch.stack(outputs, dim=1)
