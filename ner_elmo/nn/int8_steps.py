"""The steps of an LSTM with products in 8-bit integers (:mod:`~ner_elmo.nn.int8`), in the part of Python that torch
compiles: an operation takes less time to compute than to ask for where rows are few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ner_elmo.nn.cell import update_cell


def _packed_type() -> Any:
    try:
        return torch.classes.quantized.LinearPackedParamsBase
    except (AttributeError, RuntimeError):  # a build without quantised products, where nothing of this is called
        return Any


if TYPE_CHECKING:
    Packed = Any
else:
    Packed = _packed_type()  # a matrix of weights as torch has packed it


def scaled_product(rows: Tensor, packed: Packed, reduce_range: bool) -> tuple[Tensor, Tensor]:
    """The product ``(n, outputs)`` of rows ``(n, inputs + 2)`` of any size, which are overwritten, but for the factor
    of each row ``(n, 1)``."""
    inputs = rows[:, :-2]
    factors = inputs.abs().amax(1, keepdim=True).clamp_min_(1e-30)
    inputs.div_(factors)
    return torch.ops.quantized.linear_dynamic(rows, packed, reduce_range), factors


def run_steps(
    x: Tensor,
    sizes: list[int],
    h: Tensor,
    cells_twice: Tensor,
    y: Tensor,
    kernel: Packed,
    kernel_rows: Tensor,
    bias: Tensor,
    is_joined: bool,
    projection: Packed | None,
    projection_factors: Tensor,
    hidden: Tensor,
    block: int,
    reduce_range: bool,
    cell_clip: float | None,
    projection_clip: float | None,
) -> None:
    """Steps of ``sizes`` rows.

    Args:
        x: if ``is_joined``, inputs ``(positions, inputs)``, which with the state meet the kernel; otherwise what inputs
            and bias give the gates ``(positions, 4 dim)``, overwritten, and the state alone meets it.
        h: the state before the first step, ``(rows, width)``.
        cells_twice: likewise twice the cells ``(rows, dim)``; become those after the last step.
        y: receives the outputs ``(positions, width)``.
        kernel_rows, hidden: room for what kernel and projection meet; without a projection for half of the outputs.
        projection_factors: by which what the projection meets is multiplied first, ``(dim,)``.
    """
    dim, width = cells_twice.shape[1], y.shape[1]
    start = 0
    for n_rows in sizes:
        end = start + n_rows
        rows, outputs, part, out = kernel_rows[:n_rows], hidden[:n_rows], x[start:end], y[start:end]
        if is_joined:
            n_inputs = part.shape[1]
            rows[:, :n_inputs] = part
            rows[:, n_inputs:-2] = h[:n_rows]
            product, factors = scaled_product(rows, kernel, reduce_range)
            z = torch.addcmul(bias, product, factors, out=product)
        else:
            rows[:, :-2] = h[:n_rows]
            z = part.add_(torch.ops.quantized.linear_dynamic(rows, kernel, reduce_range))
        gates = z.sigmoid_().view(n_rows, -1, 4, block)
        cells, hidden_half = cells_twice[:n_rows].view(n_rows, -1, block), outputs[:, :dim].view(n_rows, -1, block)
        update_cell(gates[:, :, 0], gates[:, :, 1], gates[:, :, 2], gates[:, :, 3], cells, hidden_half, cell_clip)
        if projection is None:
            torch.mul(outputs[:, :width], 2, out=out)
        else:
            outputs[:, :-2].mul_(projection_factors)
            product, factors = scaled_product(outputs, projection, reduce_range)
            torch.mul(product, factors, out=out)
            if projection_clip is not None:
                out.clamp_(-projection_clip, projection_clip)
        h = out
        start = end
