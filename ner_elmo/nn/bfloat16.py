"""The LSTMs' products in bfloat16, for inference on a processor that multiplies it: several times faster than float32.

Numbers that meet in a product have 8 binary digits, as has what comes of it; the sums within a product are float32.
Gates, cells and their sums from step to step stay float32, and so does the bias, which is two numbers in a product.

Input, state and bias meet the weights together in each step, and where torch lets oneDNN keep the weights in its own
order, the product gives out the gates already activated. Products of so few terms as ``LONGEST_SUM`` add them up in one
order, whatever the number of rows (seen with oneDNN on a processor with AMX; of 512 terms, they do not). So a longer
sum is made of several products, and a row alone is the same to the bit as in company.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.nn.cell import Arranged, Clips, State, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference import stretches
from ner_elmo.nn.ordered_matrix import TERMS, OrderedMatrix

LONGEST_SUM = 416
# For each number of rows a product's code is made anew, which takes far longer than the product: so there are few such
# numbers, and rows are added that nobody reads. They are multiples of so many, and of an eighth of their power of two.
ROWS = 16
# Gates of so many units are computed at once, if they are of one block at least.
UNITS = 512


class Bf16Matrix:
    """A matrix ``(terms, outputs)`` in bfloat16, cut where the sums are.

    Attributes:
        n_terms: its terms, and zeros up to a multiple of ``TERMS``.
        parts: each ``(outputs, terms)``.
    """

    def __init__(self, matrix: Tensor) -> None:
        missing = -len(matrix) % TERMS
        self.n_terms = len(matrix) + missing
        n_parts = -(-self.n_terms // LONGEST_SUM)
        self.length = -(-self.n_terms // (n_parts * TERMS)) * TERMS
        whole = functional.pad(matrix, (0, 0, 0, missing)).bfloat16().t()
        self.parts = [OrderedMatrix(part) for part in whole.split(self.length, dim=1)]

    def meet(self, rows: Tensor) -> Tensor:
        """The product of ``rows`` (n, n_terms) and it, ``(n, outputs)``, both bfloat16: between its parts the sum is
        rounded."""
        first, *others = rows.split(self.length, dim=1)
        total = self.parts[0].meet(first)
        for piece, part in zip(others, self.parts[1:], strict=True):
            total = part.meet_and_add(piece, total)
        return total

    def activate(self, rows: Tensor, out: Tensor) -> None:
        """σ of the product with the first rows in ``out``, float32."""
        if len(self.parts) == 1 and self.parts[0].is_ordered:
            out.copy_(self.parts[0].meet(rows, "sigmoid")[: len(out)])
        else:
            out.copy_(self.meet(rows)[: len(out)]).sigmoid_()


class Bf16Weights:
    """The weights of one layer in bfloat16, from :class:`~ner_elmo.nn.cell.Arranged`.

    Attributes:
        units: the units that are computed at once, from and to.
        kernels: for each of them, what meets inputs, state, and twice 1.
        projection: ``(dim, width)``, or ``None``.
    """

    def __init__(self, weights: Arranged) -> None:
        self.n_inputs, self.width, self.dim = weights.n_inputs, weights.width, weights.dim
        self.block = weights.block
        bias = weights.kernel[-1:]
        kernel = torch.cat([weights.kernel, bias - bias.bfloat16().float()])
        n_units = max(1, UNITS // self.block) * self.block
        self.units = [(start, min(start + n_units, self.dim)) for start in range(0, self.dim, n_units)]
        self.kernels = [Bf16Matrix(kernel[:, 4 * start : 4 * end]) for start, end in self.units]
        self.projection = None if weights.projection is None else Bf16Matrix(weights.projection)

    def rows(self, n_rows: int) -> Tensor:
        """Room for ``n_rows`` rows that meet the kernel; what follows inputs and state is not to be changed."""
        room = torch.zeros(n_rows, self.kernels[0].n_terms, dtype=torch.bfloat16)
        begin = self.n_inputs + self.width
        room[:, begin : begin + 2] = 1.0
        return room


def enough_rows(n_rows: int) -> int:
    """The number of rows that ``n_rows`` are computed as: no less, and an eighth more at most, or ``ROWS``."""
    step = max(ROWS, 1 << max(0, n_rows.bit_length() - 4))
    return -(-n_rows // step) * step


class _Part(NamedTuple):
    """Some blocks of units during the steps of one stretch: weights and views."""

    kernel: Bf16Matrix
    z: Tensor  # (rows, 4 units)
    gates: tuple[Tensor, Tensor, Tensor, Tensor]  # each (rows, blocks, block)
    cells_twice: Tensor  # (rows, blocks, block)
    hidden_half: Tensor


def _parts(weights: Bf16Weights, z: Tensor, cells_twice: Tensor, hidden_half: Tensor) -> list[_Part]:
    """All units of ``cells_twice`` (rows, dim); ``z`` is room for the gates of those that are computed at once."""
    n_rows, block = len(cells_twice), weights.block
    parts = []
    for (start, end), kernel in zip(weights.units, weights.kernels, strict=True):
        of_units = z[: n_rows * 4 * (end - start)].view(n_rows, -1)
        cells, hidden = (in_blocks(of[:, start:end], block) for of in (cells_twice, hidden_half))
        parts.append(_Part(kernel, of_units, gates_in_blocks(of_units, block), cells, hidden))
    return parts


def run_bf16(
    x: Tensor, batch_sizes: Sequence[int], weights: Bf16Weights, clips: Clips, state: State | None = None
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run_one` with products in bfloat16."""
    width, most, n_inputs = weights.width, batch_sizes[0], weights.n_inputs
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, weights.dim))
    cells_twice = doubled(c, weights.dim)
    y = h.new_empty(x.shape[0], width)
    joined = weights.rows(enough_rows(most))
    z = torch.empty(most * 4 * max(end - start for start, end in weights.units))
    hidden_half = torch.empty(most, weights.dim)
    n_terms = 0 if weights.projection is None else weights.projection.n_terms
    rounded = torch.zeros(enough_rows(most), n_terms, dtype=torch.bfloat16)
    for stretch in stretches(batch_sizes):
        n_rows, n_computed = stretch.n_rows, enough_rows(stretch.n_rows)
        shape = stretch.n_steps, n_rows, -1
        inputs, outputs = (of[stretch.start : stretch.end].view(shape).unbind(0) for of in (x, y))
        both, hidden, projected = joined[:n_computed], hidden_half[:n_rows], rounded[:n_computed]
        of_input, of_state = both[:n_rows, :n_inputs], both[:n_rows, n_inputs : n_inputs + width]
        of_hidden = projected[:n_rows, : weights.dim]
        parts = _parts(weights, z, cells_twice[:n_rows], hidden)
        h = h[:n_rows]
        for step, out in zip(inputs, outputs, strict=True):
            of_input.copy_(step)
            of_state.copy_(h)
            for part in parts:
                part.kernel.activate(both, part.z)
                update_cell(*part.gates, part.cells_twice, part.hidden_half, clips.cell)
            if weights.projection is None:
                torch.mul(hidden[:, :width], 2, out=out)
            else:
                of_hidden.copy_(hidden)
                out.copy_(weights.projection.meet(projected)[:n_rows])
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            h = out
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y
