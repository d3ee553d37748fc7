"""What one step of an LSTM with projection and clips needs: weights, gates, and the cell behind them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, Tensor]  # h (rows, width), c (rows, dim)


class Weights(NamedTuple):
    """The weights of one layer; ``width`` is the projection's dimension, or ``dim`` where there is none.

    Attributes:
        kernel: ``(2 · width + 1, 4 dim)``: the rows that meet the input, those that meet the state, and the bias (the
            forget bias included). Columns stand in torch's order: input gate, forget gate, candidate, output gate.
        projection: ``(dim, width)``, or ``None``.
    """

    kernel: Tensor
    projection: Tensor | None

    @property
    def width(self) -> int:
        return self.kernel.shape[-2] // 2

    @property
    def dim(self) -> int:
        return self.kernel.shape[-1] // 4


class Clips(NamedTuple):
    """Bounds on the absolute values of the cell and of the projected output; ``None`` for none."""

    cell: float | None
    projection: float | None


class Gates(NamedTuple):
    """Views of one step's gates ``(rows, 4 dim)``: all of them, input and forget together, and each ``(rows, dim)``."""

    whole: Tensor
    inner: Tensor
    i: Tensor
    f: Tensor
    j: Tensor
    o: Tensor


def gates_of(z: Tensor) -> Gates:
    """The views of ``z`` (rows, 4 dim), or of several such."""
    dim = z.shape[-1] // 4
    return Gates(z, z[..., : 2 * dim], *z.split(dim, -1))


def update_cell(
    inner: Tensor, i: Tensor, f: Tensor, j: Tensor, o: Tensor, cell: Tensor, hidden: Tensor, cell_clip: float | None
) -> Tensor:
    """One step after its products: ``cell`` becomes the next cell, and ``hidden`` σ(o) tanh(cell), both
    ``(rows, dim)``; the gates (:class:`Gates`) are overwritten with their activations."""
    inner.sigmoid_()
    j.tanh_()
    o.sigmoid_()
    cell.mul_(f).addcmul_(i, j)
    if cell_clip is not None:
        cell.clamp_(-cell_clip, cell_clip)
    return torch.tanh(cell, out=hidden).mul_(o)


def of_inputs(x: Tensor, weights: Weights) -> Tensor:
    """What inputs ``(directions, positions, width)`` and bias give the gates, ``(directions, positions, 4 dim)``."""
    of_input = x.new_empty(*x.shape[:2], 4 * weights.dim)
    for inputs, matrix, out in zip(x, weights.kernel[:, : weights.width], of_input, strict=True):
        torch.mm(inputs, matrix, out=out)
    return of_input.add_(weights.kernel[:, -1:])
