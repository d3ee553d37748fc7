"""The recurrence for single rows: a sentence by itself, or the longest of several once the others have ended.

Two things differ from many rows. Matrix products add up in another order where there is a single row, and a sentence's
vectors would depend on its company: here the rows of the matrices are added up as products of several rows add them.
And a step takes less time to compute than to ask for, one operation after the other: the loop is compiled.
"""

# No postponed annotations here: torch.jit reads them.

import logging
import warnings
from collections.abc import Callable
from functools import cache
from math import ceil

import torch
from torch import Tensor

from ner_elmo.bilm.cell import Clips, Weights, of_inputs, update_cell

# Products of float32 over no more terms add up in the same order however many rows they have (seen with MKL), but for
# those of a single row; longer ones are cut into such.
LONGEST_SUM = 512
# That order is from the first term to the last, in equal parts of no more than these.
LONGEST_RUN = 384
# Matrices of more numbers are multiplied with single rows as torch does: reading them from memory takes all of the
# time, and the order above takes more of it.
MOST_IN_ORDER = 1 << 20


def run_alone(x: Tensor, weights: Weights, clips: Clips, h: Tensor, c: Tensor) -> Tensor:
    """Steps of a single row in one or both directions, which come first in all shapes.

    Args:
        x: inputs ``(directions, steps, width)``.
        weights: of one layer, with a first dimension of ``directions``.
        h, c: where the row starts, ``(directions, width)`` and ``(directions, dim)``; ``c`` is overwritten with its
            last cell.

    Returns:
        ``(directions, steps, width)``.
    """
    n_steps, width = x.shape[1:]
    # A product with a single row adds up in an order of its own, so there are two.
    of_input = of_inputs(x if n_steps > 1 else x.repeat(1, 2, 1), weights)[:, :n_steps]
    of_state = _in_parts(weights.kernel, width, 2 * width)
    nothing = weights.kernel.new_empty(0)
    projection = _in_parts(weights.projection, 0, weights.dim) if weights.projection is not None else None
    cell = c.contiguous()
    y = _compiled_steps()(
        of_input, *of_state, *(projection or (nothing, nothing, nothing, [])), h, cell, clips.cell, clips.projection
    )
    c.copy_(cell)
    return y


# How single rows, one in each direction, meet the rows ``first`` to ``last`` of matrices ``(directions, height, n)``:
# all of the matrices' rows; the index of those that are met, one direction after the other; where the parts of the sums
# begin; and the matrices themselves, if they are too large for that.
_Parts = tuple[Tensor, Tensor, Tensor, list[Tensor]]


def _in_parts(matrices: Tensor, first: int, last: int) -> _Parts:
    n_directions, height, n = matrices.shape
    index, offsets = _places(n_directions, height, first, last, LONGEST_SUM, LONGEST_RUN)
    whole = list(matrices[:, first:last].unbind(0)) if (last - first) * n > MOST_IN_ORDER else []
    return matrices.reshape(-1, n), index, offsets, whole


@cache  # there are a few for each shape of a network
def _places(
    n_directions: int, height: int, first: int, last: int, longest_sum: int, longest_run: int
) -> tuple[Tensor, Tensor]:
    n_terms = last - first
    index = (torch.arange(n_directions).unsqueeze(1) * height + torch.arange(first, last)).flatten()
    edges = [
        edge
        for start in range(0, n_terms, longest_sum)
        for edge in _runs(start, min(start + longest_sum, n_terms), longest_run)
    ]
    offsets = torch.tensor([direction * n_terms + edge for direction in range(n_directions) for edge in edges])
    return index, offsets


def _runs(start: int, end: int, longest_run: int) -> range:
    """Where the equal runs begin that the terms from ``start`` to ``end`` are added up in."""
    n_terms = end - start
    return range(start, end, ceil(n_terms / ceil(n_terms / longest_run)))


def _products(rows: Tensor, index: Tensor, offsets: Tensor, matrices: list[Tensor], x: Tensor) -> Tensor:
    """What each part of the sums gives for ``x`` (directions, terms), ``(directions, parts, n)``."""
    if len(matrices) > 0:
        return torch.stack([torch.mm(x[d : d + 1], matrices[d]) for d in range(len(matrices))])
    # A bag of embeddings, each with its weight, is the sum of a matrix's rows from the first to the last.
    sums = torch.embedding_bag(rows, index, offsets, False, 0, False, x.reshape(-1))[0]
    return sums.view(x.shape[0], -1, rows.shape[1])


def _steps(
    of_input: Tensor,
    state_rows: Tensor,
    state_index: Tensor,
    state_offsets: Tensor,
    state_matrices: list[Tensor],
    projection_rows: Tensor,
    projection_index: Tensor,
    projection_offsets: Tensor,
    projection_matrices: list[Tensor],
    h: Tensor,
    c: Tensor,
    cell_clip: float | None,
    projection_clip: float | None,
) -> Tensor:
    """The loop over the steps, in the part of Python that torch compiles. ``projection_rows`` is empty for none."""
    dim = c.shape[1]
    z = of_input.new_empty(c.shape[0], 4 * dim)
    hidden = torch.empty_like(c)
    inner, i, f, j, o = z[:, : 2 * dim], z[:, :dim], z[:, dim : 2 * dim], z[:, 2 * dim : 3 * dim], z[:, 3 * dim :]
    outputs: list[Tensor] = []
    for added in of_input.unbind(1):
        sums = _products(state_rows, state_index, state_offsets, state_matrices, h)
        torch.add(added, sums[:, 0], out=z)
        for part in range(1, sums.shape[1]):
            z.add_(sums[:, part])
        update_cell(inner, i, f, j, o, c, hidden, cell_clip)
        if projection_rows.shape[0] == 0:
            h = hidden.clone()
        else:
            h = _products(projection_rows, projection_index, projection_offsets, projection_matrices, hidden).sum(1)
            if projection_clip is not None:
                h.clamp_(-projection_clip, projection_clip)
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@cache
def _compiled_steps() -> Callable[..., Tensor]:
    """:func:`_steps` compiled, a seventh faster; itself where this torch no longer does that."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch means to drop it one day
            return torch.jit.script(_steps)
    except Exception as error:  # whatever comes in its place
        logging.getLogger(__name__).debug("torch.jit: %s", error)
        return _steps
