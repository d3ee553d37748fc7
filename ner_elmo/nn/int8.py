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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ner_elmo.errors import UsageError
from ner_elmo.nn.cell import Arranged, Clips, State, Types, doubled, gates_in_blocks, in_blocks, update_cell
from ner_elmo.nn.inference import GATE_BYTES
from ner_elmo.nn.precision import processor_has

_ENGINES = ("x86", "fbgemm", "onednn", "qnnpack")  # torch's implementations, the preferred first


Step = Callable[[Tensor], Tensor]  # the state before a step (rows, width) to its gates (rows, 4 dim)


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

    def product_and(self, bias: Tensor, rows: Tensor) -> Tensor:
        """The whole product ``(n, outputs)`` of :meth:`rows` of any size, which are overwritten, and a bias
        ``(outputs,)``."""
        product, factors = self.scaled_product(rows)
        return torch.addcmul(bias, product, factors, out=product)


class Int8Weights:
    """The weights of one layer in 8 bits, from :class:`~ner_elmo.nn.cell.Arranged`.

    Raises:
        UsageError: this build of torch has no quantised products for this processor.
    """

    def __init__(self, weights: Arranged) -> None:
        _choose_engine()
        self.width, self.dim, self.block = weights.width, weights.dim, weights.block
        self.gates = _Joined(weights) if weights.projection is not None else _Apart(weights)
        self.projection = None if weights.projection is None else _Evened(weights.projection)


class _Evened:
    """A matrix ``(units, outputs)``, whose rows of large weights are divided, and what meets them multiplied, by the
    root of their size: units that count for much are small ones, and rounding has least to take when neither side has
    outliers (SmoothQuant, Xiao et al. 2023, equation 4, with the weights' side alone)."""

    def __init__(self, matrix: Tensor) -> None:
        sizes = matrix.square().mean(1, keepdim=True).sqrt()
        factors = sizes.clamp_min(1e-6 * float(sizes.max()) + 1e-30).sqrt()
        self.factors = factors[:, 0].clone()
        self.matrix = Int8Matrix(matrix / factors)

    def rows(self, n_rows: int) -> Tensor:
        return self.matrix.rows(n_rows)

    def product(self, rows: Tensor, out: Tensor) -> None:
        """The product of :meth:`rows`, which are overwritten, into ``out``."""
        rows[:, :-2].mul_(self.factors)
        torch.mul(*self.matrix.scaled_product(rows), out=out)


class _Joined:
    """Input and state meet one matrix, with one scale for both: the fastest where inputs are few."""

    def __init__(self, weights: Arranged) -> None:
        self.n_inputs = weights.n_inputs
        self.kernel = Int8Matrix(weights.kernel[:-1])
        self.bias = weights.kernel[-1].clone()

    def steps(self, x: Tensor, batch_sizes: Sequence[int], types: Types | None) -> Iterator[Step]:
        """For each step what gives its gates ``(rows, 4 dim)``, of the state before it."""
        room = self.kernel.rows(batch_sizes[0])
        x = x if types is None or x.shape[1] == self.n_inputs else types.behind(x)
        for inputs in x.split(list(batch_sizes)):
            yield partial(self._gates, inputs, room[: len(inputs)])

    def _gates(self, inputs: Tensor, rows: Tensor, h: Tensor) -> Tensor:
        rows[:, : self.n_inputs] = inputs
        rows[:, self.n_inputs : -2] = h
        return self.kernel.product_and(self.bias, rows)


class _Apart:
    """Inputs meet a matrix of their own, those of many steps at a time. So a state, which is σ(o) tanh(cell) and at
    most 1, has a scale of its own: beside inputs that are larger it would lose digits."""

    def __init__(self, weights: Arranged) -> None:
        self.most_rows = GATE_BYTES // (16 * weights.dim)
        self.of_input, self.of_state = (
            Int8Matrix(weights.kernel[: weights.n_inputs]),
            Int8Matrix(weights.kernel[weights.n_inputs : -1], 1.0),
        )
        self.bias = weights.kernel[-1].clone()

    def steps(self, x: Tensor, batch_sizes: Sequence[int], types: Types | None) -> Iterator[Step]:
        """As those of :class:`_Joined`."""
        room = self.of_state.rows(batch_sizes[0])
        start = 0
        for sizes in _together(batch_sizes, self.most_rows):
            end = start + sum(sizes)
            for z in self._of_inputs(x, slice(start, end), types).split(sizes):
                yield partial(self._gates, z, room[: len(z)])
            start = end

    def _of_inputs(self, x: Tensor, part: slice, types: Types | None) -> Tensor:
        x, n = x[part], x.shape[1]
        rows = self.of_input.rows(len(x))
        rows[:, :n] = x
        if types is not None and n < self.of_input.n_inputs:
            torch.index_select(types.vectors, 0, types.which[part], out=rows[:, n:-2])
        return self.of_input.product_and(self.bias, rows)

    def _gates(self, z: Tensor, rows: Tensor, h: Tensor) -> Tensor:
        rows[:, :-2] = h
        return z.add_(self.of_state.product(rows))


def _together(batch_sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Successive steps whose positions are together no more than ``most``, or one step."""
    sizes: list[int] = []
    for n_rows in batch_sizes:
        if sizes and sum(sizes) + n_rows > most:
            yield sizes
            sizes = []
        sizes.append(n_rows)
    yield sizes


def run_int8(
    x: Tensor,
    batch_sizes: Sequence[int],
    weights: Int8Weights,
    clips: Clips,
    state: State | None = None,
    types: Types | None = None,
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run_one` with 8-bit products. What types give may be left out of ``x``."""
    width, dim, most = weights.width, weights.dim, batch_sizes[0]
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, dim))
    cells_twice = doubled(c, weights.dim)
    y = x.new_empty(x.shape[0], width)
    hidden = x.new_empty(most, dim) if weights.projection is None else weights.projection.rows(most)
    for gates, out in zip(weights.gates.steps(x, batch_sizes, types), y.split(list(batch_sizes)), strict=True):
        n_rows = len(out)
        rows = hidden[:n_rows]
        cell, hidden_half = (in_blocks(of, weights.block) for of in (cells_twice[:n_rows], rows[:, :dim]))
        z = gates(h[:n_rows]).sigmoid_()
        update_cell(*gates_in_blocks(z, weights.block), cell, hidden_half, clips.cell)
        if weights.projection is None:
            torch.mul(rows[:, :width], 2, out=out)
        else:
            weights.projection.product(rows, out)
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
