"""The LSTMs' products in 8-bit integers, for inference on a CPU: several times faster, and not exact.

Torch's dynamically quantised product: each row of a weight matrix has a scale of its own, fixed once; each row of what
it meets has one too, taken anew in every product. Cells, gates and the token encoder stay float32.

torch scales a whole batch at once, by its least and greatest number, and a sentence's vectors would depend on the
sentences beside it. So two columns of opposite numbers, which meet weights of zero, make torch's scale the same in
every call: each row is divided by its greatest magnitude first, or all its numbers are known to lie between two bounds.
What comes of it is the same to the bit for a row alone and in company: whole numbers have one sum in any order.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ner_elmo.errors import UsageError
from ner_elmo.nn.cell import Arranged, Clips, State, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference import stretches
from ner_elmo.nn.precision import processor_has

HALF = 0.5  # of σ(o) tanh(cell), which is at most 1
_ENGINES = ("x86", "fbgemm", "onednn", "qnnpack")  # torch's implementations, the preferred first


class Int8Matrix:
    """A matrix ``(inputs, outputs)`` of float32, packed in 8 bits, for products with rows of float32.

    Args:
        bound: the greatest magnitude that is met, if that is known.
    """

    def __init__(self, matrix: Tensor, bound: float | None = None) -> None:
        self.n_inputs = matrix.shape[0]
        self.bound = bound
        padded = torch.cat([matrix.t(), matrix.new_zeros(matrix.shape[1], 2)], dim=1)
        scales = (padded.abs().amax(1) / 127).clamp_min(1e-12).double()
        with warnings.catch_warnings():
            # torch means to drop quantised tensors one day; the versions that this package accepts have them.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
            zeros = torch.zeros(len(scales), dtype=torch.long)
            quantised = torch.quantize_per_channel(padded, scales, zeros, 0, torch.qint8)
            self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        # Without VNNI a processor pairs products in 16 bits, where only 7-bit inputs fit.
        self._reduce_range = not processor_has("vnni")

    def __getstate__(self) -> dict[str, Any]:
        """Plain tensors: torch's own way to copy what is packed uses what it warns of."""
        quantised, _ = torch.ops.quantized.linear_unpack(self._packed)
        numbers, scales = quantised.int_repr(), quantised.q_per_channel_scales()
        return self.__dict__ | {"_packed": (numbers, scales)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        numbers, scales = state["_packed"]
        zeros = torch.zeros(len(scales), dtype=torch.long)
        _choose_engine()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
            quantised = torch._make_per_channel_quantized_tensor(numbers, scales, zeros, 0)
            packed = torch.ops.quantized.linear_prepack(quantised, None)
        self.__dict__.update(state | {"_packed": packed})

    def rows(self, n_rows: int) -> Tensor:
        """Room for ``n_rows`` rows of inputs ``(n_rows, n_inputs + 2)``; the last two columns are not to be changed."""
        room = torch.empty(n_rows, self.n_inputs + 2)
        bound = 1.0 if self.bound is None else self.bound
        room[:, -2], room[:, -1] = bound, -bound
        return room

    def product(self, rows: Tensor) -> Tensor:
        """The product ``(n, outputs)`` of :meth:`rows` within the bound."""
        product: Tensor = torch.ops.quantized.linear_dynamic(rows, self._packed, self._reduce_range)
        return product

    def scaled_product(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The product ``(n, outputs)`` of :meth:`rows` of any size, which are overwritten, but for the factor of each
        row ``(n, 1)``."""
        inputs = rows[:, :-2]
        factors = inputs.abs().amax(1, keepdim=True).clamp_min_(1e-30)
        inputs.div_(factors)
        return self.product(rows), factors


class Int8Weights:
    """The weights of one layer in 8 bits, from :class:`~ner_elmo.nn.cell.Arranged`.

    Raises:
        UsageError: this build of torch has no quantised products for this processor.
    """

    def __init__(self, weights: Arranged) -> None:
        _choose_engine()
        self.n_inputs, self.width, self.dim = weights.n_inputs, weights.width, weights.dim
        self.block = weights.block
        self.kernel = Int8Matrix(weights.kernel[:-1])
        self.bias = weights.kernel[-1].clone()
        self.projection = None if weights.projection is None else Int8Matrix(weights.projection, HALF)


def run_int8(
    x: Tensor, batch_sizes: Sequence[int], weights: Int8Weights, clips: Clips, state: State | None = None
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run` with 8-bit products."""
    width, dim, most = weights.width, weights.dim, batch_sizes[0]
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, dim))
    cells_twice = doubled(c, weights.dim)
    n_inputs = weights.n_inputs
    y = x.new_empty(x.shape[0], width)
    joined = weights.kernel.rows(most)
    hidden = x.new_empty(most, dim) if weights.projection is None else weights.projection.rows(most)
    for stretch in stretches(batch_sizes):
        n_rows = stretch.n_rows
        shape = stretch.n_steps, n_rows, -1
        inputs, outputs = (part[stretch.start : stretch.end].view(shape).unbind(0) for part in (x, y))
        both, rows, h = joined[:n_rows], hidden[:n_rows], h[:n_rows]
        cell = in_blocks(cells_twice[:n_rows], weights.block)
        for step, out in zip(inputs, outputs, strict=True):
            both[:, :n_inputs] = step
            both[:, n_inputs:-2] = h
            product, factors = weights.kernel.scaled_product(both)
            torch.addcmul(weights.bias, product, factors, out=product)
            gates = gates_in_blocks(product, weights.block)
            product.sigmoid_()
            update_cell(*gates, cell, in_blocks(rows[:, :dim], weights.block), clips.cell)
            if weights.projection is None:
                torch.mul(rows[:, :width], 2, out=out)
            else:
                out.copy_(weights.projection.product(rows))
                if clips.projection is not None:
                    out.clamp_(-clips.projection, clips.projection)
            h = out
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y


def _choose_engine() -> None:
    supported = torch.backends.quantized.supported_engines
    if torch.backends.quantized.engine in _ENGINES:
        return
    for engine in _ENGINES:
        if engine in supported:
            torch.backends.quantized.engine = engine
            return
    raise UsageError(
        f"--precision int8: this build of torch has no quantised products here (engines: {', '.join(supported)}); "
        "use --precision fp32"
    )
