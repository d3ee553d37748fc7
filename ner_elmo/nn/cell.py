"""What one step of an LSTM with projection and clips needs: weights, gates, and the cell behind them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

State = tuple[Tensor, Tensor]  # h (rows, width), c (rows, dim)
# A state for each layer, forward and backward; ``None`` is the zero state.
States = tuple[list[State] | None, list[State] | None]

# Most units whose gates stand together: the gates of so many and some hundred rows fit a core's own cache.
BLOCK = 256
# torch computes so many numbers at once, and what is left at the end in another way, whose last digit may be another.
LANES = 32


class Types(NamedTuple):
    """What rows of inputs are the same, so that their products with the weights need to be computed once.

    Attributes:
        vectors: the distinct rows ``(types, n)``, which are the last ``n`` numbers of an input.
        which: for each position, which of them it is, ``(positions,)`` int64.
    """

    vectors: Tensor
    which: Tensor

    def behind(self, x: Tensor, part: slice = slice(None)) -> Tensor:
        """Whole inputs of some positions, whose other numbers are ``x`` (positions, others)."""
        return torch.cat([x, self.vectors.index_select(0, self.which[part])], dim=1)


class Weights(NamedTuple):
    """The weights of one layer; ``width`` is that of its outputs: the projection's, or ``dim`` where there is none.

    Attributes:
        kernel: ``(inputs + width + 1, 4 dim)``: the rows that meet the input, those that meet the state, and the bias
            (the forget bias included). Columns stand in torch's order: input gate, forget gate, candidate, output gate.
        projection: ``(dim, width)``, or ``None``.
    """

    kernel: Tensor
    projection: Tensor | None

    @property
    def width(self) -> int:
        return self.dim if self.projection is None else self.projection.shape[-1]

    @property
    def dim(self) -> int:
        return self.kernel.shape[-1] // 4


class Arranged(NamedTuple):
    """The same values as inference reads them: for one layer, or with a first dimension of 2 for both directions.

    tanh(x) = 2 σ(2x) − 1, and torch computes σ ten times faster than tanh. So a step is written with σ alone, and its
    factors of 2, which change no digit, stand in the weights: columns of the candidate and the projection are
    doubled, and the cell that goes from step to step is twice the cell (:func:`update_cell`).

    Attributes:
        kernel: ``(inputs + width + 1, 4 dim)``: its columns stand in blocks of units, and in each block gate by gate.
            ``dim`` is a multiple of ``LANES``: units that are added for that have weights of 0, and stay 0.
        projection: ``(dim, width)``, or ``None``.
        block: units of a block.
        width: numbers of an output.
        n_typed: the last so many numbers of an input may be those of a type (:class:`Types`); 0 if all may, or none.
    """

    kernel: Tensor
    projection: Tensor | None
    block: int
    width: int
    n_typed: int = 0

    @property
    def n_inputs(self) -> int:
        return self.kernel.shape[-2] - self.width - 1

    @property
    def dim(self) -> int:
        return self.kernel.shape[-1] // 4

    def of(self, direction: int) -> Arranged:
        """One direction of both."""
        projection = None if self.projection is None else self.projection[direction]
        return Arranged(self.kernel[direction], projection, self.block, self.width, self.n_typed)


def arrange(weights: Weights, n_typed: int = 0) -> Arranged:
    """A copy of the weights as inference reads them."""
    n_blocks = -(-weights.dim // BLOCK)
    block = -(-weights.dim // (n_blocks * LANES)) * LANES
    added = n_blocks * block - weights.dim
    gates = functional.pad(weights.kernel.unflatten(-1, (4, -1)), (0, added))  # (..., gates, units)
    blocks = gates.unflatten(-1, (n_blocks, block)).transpose(-3, -2)
    kernel = blocks.clone(memory_format=torch.contiguous_format)
    kernel[..., 2, :] *= 2
    projection = None if weights.projection is None else functional.pad(2 * weights.projection, (0, 0, 0, added))
    return Arranged(kernel.flatten(-3), projection, block, weights.width, n_typed)


def doubled(c: Tensor, dim: int) -> Tensor:
    """Twice the cells ``(..., units)``, as a tensor of its own, with zeros for the added units up to ``dim``."""
    return functional.pad(2 * c, (0, dim - c.shape[-1]))


class Clips(NamedTuple):
    """Bounds on the absolute values of the cell and of the projected output; ``None`` for none."""

    cell: float | None
    projection: float | None


def gates_in_blocks(z: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views of arranged gates ``(..., 4 dim)``: input, forget, candidate, output, each ``(..., blocks, block)``."""
    i, f, j, o = z.view(*z.shape[:-1], -1, 4, block).unbind(-2)
    return i, f, j, o


def in_blocks(units: Tensor, block: int) -> Tensor:
    """A view of ``units`` (..., dim) as ``(..., blocks, block)``."""
    return units.view(*units.shape[:-1], -1, block)


def update_cell(
    i: Tensor,
    f: Tensor,
    j: Tensor,
    o: Tensor,
    cells_twice: Tensor,
    hidden_half: Tensor,
    cell_clip: float | None,
) -> None:
    """One step after its products and their σ, for arranged weights.

    Args:
        i, f, j, o: σ of the gates, in blocks (:func:`gates_in_blocks`); the third is overwritten.
        cells_twice: twice the cell; becomes twice the next cell, of the shape of a gate.
        hidden_half: receives half of σ(o) tanh(cell).
    """
    j.sub_(0.5)  # (1 + tanh) / 2 before, now tanh / 2
    cells_twice.mul_(f).addcmul_(i, j, value=4.0)
    if cell_clip is not None:
        cells_twice.clamp_(-2.0 * cell_clip, 2.0 * cell_clip)
    torch.sigmoid(cells_twice, out=hidden_half)
    hidden_half.sub_(0.5).mul_(o)
