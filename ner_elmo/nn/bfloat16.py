"""The LSTMs' products in bfloat16, for inference on a processor that multiplies it: several times faster than float32.

Numbers that meet in a product have 8 binary digits, as has what comes of it; the sums within a product are float32.
Gates, cells and their sums from step to step stay float32, and so does the bias, which is two numbers in a product.

Input, state and bias meet the weights in one product a step, of some blocks of units at a time whose gates fit a core's
own cache (:mod:`ner_elmo.nn.inference`). Steps of a few rows are computed in float32: they take no longer so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ner_elmo.nn.cell import Arranged, Clips, State, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference import run_alone, stretches
from ner_elmo.nn.ordered_sums import MANY_ROWS

# Products of so many terms, or a multiple, are made without a remainder.
TERMS = 32
# For each number of rows a product's code is made anew, which takes far longer than the product: so there are few such
# numbers, and rows are added that nobody reads. They are multiples of so many, and of an eighth of their power of two.
ROWS = 16
# Gates of so many bytes, in both types of number, are computed at once, if they are of one block at least.
GATE_BYTES = 3 << 19


class Bf16Weights:
    """The weights of one layer in bfloat16, from :class:`~ner_elmo.nn.cell.Arranged`.

    Attributes:
        kernel: ``(4 dim, terms)``: what meets inputs, state, and twice 1; the rest are zeros.
        projection: ``(width, dim)``, or ``None``.
    """

    def __init__(self, weights: Arranged) -> None:
        self.n_inputs, self.width, self.dim = weights.n_inputs, weights.width, weights.dim
        self.block = weights.block
        bias = weights.kernel[-1:]
        rest = bias - bias.bfloat16().float()
        n_terms = -(-(self.n_inputs + self.width + 2) // TERMS) * TERMS
        terms = [weights.kernel, rest]
        missing = n_terms - self.n_inputs - self.width - 2
        if missing:
            terms.append(bias.new_zeros(missing, bias.shape[1]))
        self.kernel = torch.cat(terms).bfloat16().t().contiguous()
        projection = weights.projection
        self.projection = None if projection is None else projection.bfloat16().t().contiguous()

    def rows(self, n_rows: int) -> Tensor:
        """Room for ``n_rows`` rows that meet the kernel; what follows inputs and state is not to be changed."""
        room = torch.zeros(n_rows, self.kernel.shape[1], dtype=torch.bfloat16)
        begin = self.n_inputs + self.width
        room[:, begin : begin + 2] = 1.0
        return room


def enough_rows(n_rows: int) -> int:
    """The number of rows that ``n_rows`` are computed as: no less, and an eighth more at most, or ``ROWS``."""
    step = max(ROWS, 1 << max(0, n_rows.bit_length() - 4))
    return -(-n_rows // step) * step


class _Part(NamedTuple):
    """Some blocks of units during the steps of one stretch: weights and views."""

    kernel: Tensor  # (terms, 4 units)
    product: Tensor  # (enough rows, 4 units) bfloat16
    gates_before: Tensor  # its rows
    z: Tensor  # (rows, 4 units)
    gates: tuple[Tensor, Tensor, Tensor, Tensor]  # each (rows, blocks, block)
    cells_twice: Tensor  # (rows, blocks, block)
    hidden_half: Tensor


class _Scratch:
    """What the steps of a layer share: room for ``most`` rows."""

    def __init__(self, weights: Bf16Weights, most: int) -> None:
        n_blocks = min(weights.dim // weights.block, GATE_BYTES // (24 * weights.block * most))
        self.n_units = max(1, n_blocks) * weights.block
        self.z = torch.empty(most * 4 * self.n_units)
        self.product = torch.empty(enough_rows(most) * 4 * self.n_units, dtype=torch.bfloat16)
        self.hidden_half = torch.empty(most, weights.dim)

    def parts(self, weights: Bf16Weights, cells_twice: Tensor) -> Iterator[_Part]:
        """All units of ``cells_twice`` (rows, dim)."""
        n_rows, block = len(cells_twice), weights.block
        n_computed = enough_rows(n_rows)
        for start in range(0, weights.dim, self.n_units):
            end = min(start + self.n_units, weights.dim)
            kernel = weights.kernel[4 * start : 4 * end].t()
            product = self.product[: n_computed * kernel.shape[1]].view(n_computed, -1)
            z = self.z[: n_rows * kernel.shape[1]].view(n_rows, -1)
            cells, hidden = (in_blocks(of[:n_rows, start:end], block) for of in (cells_twice, self.hidden_half))
            yield _Part(kernel, product, product[:n_rows], z, gates_in_blocks(z, block), cells, hidden)


def run_bf16(
    x: Tensor,
    batch_sizes: Sequence[int],
    weights: Bf16Weights,
    exact: Arranged,
    clips: Clips,
    state: State | None = None,
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run_one` with products in bfloat16, but for a few rows, which meet the ``exact``
    weights."""
    width, most, n_inputs = weights.width, batch_sizes[0], weights.n_inputs
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, weights.dim))
    cells_twice = doubled(c, weights.dim)
    rounded = x.bfloat16()
    y = h.new_empty(x.shape[0], width)
    joined = weights.rows(enough_rows(most))
    scratch = _Scratch(weights, most)
    hidden = None if weights.projection is None else rounded.new_zeros(enough_rows(most), weights.dim)
    for stretch in stretches(batch_sizes):
        n_rows = stretch.n_rows
        place, shape = slice(stretch.start, stretch.end), (stretch.n_steps, n_rows, -1)
        if n_rows < MANY_ROWS:
            y[place] = run_alone(x[place].view(shape), exact, clips, h[:n_rows], cells_twice[:n_rows]).flatten(0, 1)
            h = y[stretch.end - n_rows : stretch.end]
            continue
        inputs, outputs = (of[place].view(shape).unbind(0) for of in (rounded, y))
        n_computed, hidden_half = enough_rows(n_rows), scratch.hidden_half[:n_rows]
        both = joined[:n_computed]
        of_input, of_state = both[:n_rows, :n_inputs], both[:n_rows, n_inputs : n_inputs + width]
        parts = list(scratch.parts(weights, cells_twice[:n_rows]))
        h = h[:n_rows]
        for step, out in zip(inputs, outputs, strict=True):
            of_input.copy_(step)
            of_state.copy_(h)
            for part in parts:
                torch.mm(both, part.kernel, out=part.product)
                part.z.copy_(part.gates_before)
                update_cell(part.z, *part.gates, part.cells_twice, part.hidden_half, clips.cell)
            if hidden is None or weights.projection is None:
                torch.mul(hidden_half[:, :width], 2, out=out)
            else:
                hidden[:n_rows].copy_(hidden_half)
                out.copy_(torch.mm(hidden[:n_computed], weights.projection.t())[:n_rows])
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            h = out
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y
