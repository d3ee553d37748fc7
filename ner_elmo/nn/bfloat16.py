"""The LSTMs' products in bfloat16, for inference on a processor that multiplies it: several times faster than float32.

Numbers that meet in a product have 8 binary digits, as has what comes of it; the sums within a product are float32.
Gates, cells and their sums from step to step stay float32, and so does the bias, which is two numbers in a product.

Input, state and bias meet the weights together in each step, for some blocks of units at a time whose gates fit a
core's own cache (:mod:`ner_elmo.nn.inference`). Products of so few terms as ``LONGEST_SUM`` add them up in one order,
whatever the number of rows (seen with oneDNN on a processor with AMX; of 512 terms, they do not). So a longer sum is
made of several products, and a row alone is the same to the bit as in company.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.nn.cell import Arranged, Clips, State, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference import stretches

# Products of so many terms, or a multiple, are made without a remainder.
TERMS = 32
LONGEST_SUM = 320
# For each number of rows a product's code is made anew, which takes far longer than the product: so there are few such
# numbers, and rows are added that nobody reads. They are multiples of so many, and of an eighth of their power of two.
ROWS = 16
# Gates of so many bytes, in both types of number, are computed at once, if they are of one block at least.
GATE_BYTES = 3 << 19


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
        length = -(-self.n_terms // (n_parts * TERMS)) * TERMS
        whole = functional.pad(matrix, (0, 0, 0, missing)).bfloat16().t()
        self.parts = [part.contiguous() for part in whole.split(length, dim=1)]
        self.length = length

    def meets(self, rows: Tensor) -> list[Tensor]:
        """The parts of ``rows`` (n, terms) that its parts meet."""
        return list(rows.split(self.length, dim=1))


def add_up(products: Sequence[tuple[Tensor, Tensor]], out: Tensor, product: Tensor, term: Tensor) -> None:
    """The sum of products, one after the other, of the first rows.

    Args:
        products: of rows ``(enough rows, terms)`` and what they meet ``(n, terms)``.
        out: float32 ``(rows, n)``.
        product: bfloat16 ``(enough rows, n)``, overwritten.
        term: as ``out``, overwritten if there are several products.
    """
    for number, (rows, matrix) in enumerate(products):
        torch.mm(rows, matrix.t(), out=product)
        if number == 0:
            out.copy_(product[: len(out)])
        else:
            out.add_(term.copy_(product[: len(out)]))


class Bf16Weights:
    """The weights of one layer in bfloat16, from :class:`~ner_elmo.nn.cell.Arranged`.

    Attributes:
        kernel: what meets inputs, state, and twice 1.
        projection: ``(dim, width)``, or ``None``.
    """

    def __init__(self, weights: Arranged) -> None:
        self.n_inputs, self.width, self.dim = weights.n_inputs, weights.width, weights.dim
        self.block = weights.block
        bias = weights.kernel[-1:]
        self.kernel = Bf16Matrix(torch.cat([weights.kernel, bias - bias.bfloat16().float()]))
        self.projection = None if weights.projection is None else Bf16Matrix(weights.projection)

    def rows(self, n_rows: int) -> Tensor:
        """Room for ``n_rows`` rows that meet the kernel; what follows inputs and state is not to be changed."""
        room = torch.zeros(n_rows, self.kernel.n_terms, dtype=torch.bfloat16)
        begin = self.n_inputs + self.width
        room[:, begin : begin + 2] = 1.0
        return room


def enough_rows(n_rows: int) -> int:
    """The number of rows that ``n_rows`` are computed as: no less, and an eighth more at most, or ``ROWS``."""
    step = max(ROWS, 1 << max(0, n_rows.bit_length() - 4))
    return -(-n_rows // step) * step


class _Part(NamedTuple):
    """Some blocks of units during the steps of one stretch: weights and views."""

    kernel: list[Tensor]  # each (4 units, terms)
    product: Tensor  # (enough rows, 4 units) bfloat16
    z: Tensor  # (rows, 4 units)
    term: Tensor
    gates: tuple[Tensor, Tensor, Tensor, Tensor]  # each (rows, blocks, block)
    cells_twice: Tensor  # (rows, blocks, block)
    hidden_half: Tensor


class _Scratch:
    """What the steps of a layer share: room for ``most`` rows."""

    def __init__(self, weights: Bf16Weights, most: int) -> None:
        n_blocks = min(weights.dim // weights.block, GATE_BYTES // (24 * weights.block * most))
        self.n_units = max(1, n_blocks) * weights.block
        n_gates = 4 * self.n_units
        self.z, self.term = torch.empty(most * n_gates), torch.empty(most * n_gates)
        self.product = torch.empty(enough_rows(most) * n_gates, dtype=torch.bfloat16)
        self.hidden_half = torch.empty(most, weights.dim)

    def parts(self, weights: Bf16Weights, cells_twice: Tensor) -> Iterator[_Part]:
        """All units of ``cells_twice`` (rows, dim)."""
        n_rows, block = len(cells_twice), weights.block
        n_computed = enough_rows(n_rows)
        for start in range(0, weights.dim, self.n_units):
            end = min(start + self.n_units, weights.dim)
            n_gates = 4 * (end - start)
            kernel = [part[4 * start : 4 * end] for part in weights.kernel.parts]
            product = self.product[: n_computed * n_gates].view(n_computed, -1)
            z, term = (of[: n_rows * n_gates].view(n_rows, -1) for of in (self.z, self.term))
            cells, hidden = (in_blocks(of[:n_rows, start:end], block) for of in (cells_twice, self.hidden_half))
            yield _Part(kernel, product, z, term, gates_in_blocks(z, block), cells, hidden)


class _Projected:
    """The projection of some rows, and room for what it needs."""

    def __init__(self, matrix: Bf16Matrix, most: int, width: int) -> None:
        self.matrix = matrix
        self.hidden = torch.zeros(enough_rows(most), matrix.n_terms, dtype=torch.bfloat16)
        self.product = torch.empty(enough_rows(most), width, dtype=torch.bfloat16)
        self.term = torch.empty(most, width)

    def project(self, hidden_half: Tensor, out: Tensor) -> None:
        n_rows, n_computed = len(out), enough_rows(len(out))
        self.hidden[:n_rows, : hidden_half.shape[1]].copy_(hidden_half)
        products = zip(self.matrix.meets(self.hidden[:n_computed]), self.matrix.parts, strict=True)
        add_up(list(products), out, self.product[:n_computed], self.term[:n_rows])


def run_bf16(
    x: Tensor, batch_sizes: Sequence[int], weights: Bf16Weights, clips: Clips, state: State | None = None
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run_one` with products in bfloat16."""
    width, most, n_inputs = weights.width, batch_sizes[0], weights.n_inputs
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, weights.dim))
    cells_twice = doubled(c, weights.dim)
    x = x.bfloat16()
    y = h.new_empty(x.shape[0], width)
    joined = weights.rows(enough_rows(most))
    scratch = _Scratch(weights, most)
    projected = None if weights.projection is None else _Projected(weights.projection, most, width)
    for stretch in stretches(batch_sizes):
        n_rows = stretch.n_rows
        shape = stretch.n_steps, n_rows, -1
        inputs, outputs = (of[stretch.start : stretch.end].view(shape).unbind(0) for of in (x, y))
        both, hidden_half = joined[: enough_rows(n_rows)], scratch.hidden_half[:n_rows]
        of_input, of_state = both[:n_rows, :n_inputs], both[:n_rows, n_inputs : n_inputs + width]
        parts, pieces = list(scratch.parts(weights, cells_twice[:n_rows])), weights.kernel.meets(both)
        h = h[:n_rows]
        for step, out in zip(inputs, outputs, strict=True):
            of_input.copy_(step)
            of_state.copy_(h)
            for part in parts:
                add_up(list(zip(pieces, part.kernel, strict=True)), part.z, part.product, part.term)
                update_cell(part.z, *part.gates, part.cells_twice, part.hidden_half, clips.cell)
            if projected is None:
                torch.mul(hidden_half[:, :width], 2, out=out)
            else:
                projected.project(hidden_half, out)
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            h = out
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y
