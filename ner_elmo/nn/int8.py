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
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ner_elmo.errors import UsageError
from ner_elmo.nn.cell import Arranged, Clips, State, Types, doubled
from ner_elmo.nn.inference import GATE_BYTES
from ner_elmo.nn.int8_steps import run_steps, scaled_product
from ner_elmo.nn.precision import processor_has
from ner_elmo.nn.scripted import scripted

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
            self.packed = torch.ops.quantized.linear_prepack(quantised, None)
        # Without VNNI a processor pairs products in 16 bits, where only 7-bit inputs fit.
        self.reduce_range = not processor_has("vnni")

    def __getstate__(self) -> dict[str, Any]:
        """Plain tensors: torch's own way to copy what is packed uses what it warns of."""
        quantised, _ = torch.ops.quantized.linear_unpack(self.packed)
        numbers, scales = quantised.int_repr(), quantised.q_per_channel_scales()
        return self.__dict__ | {"packed": (numbers, scales)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        numbers, scales = state["packed"]
        zeros = torch.zeros(len(scales), dtype=torch.long)
        _choose_engine()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
            quantised = torch._make_per_channel_quantized_tensor(numbers, scales, zeros, 0)
            packed = torch.ops.quantized.linear_prepack(quantised, None)
        self.__dict__.update(state | {"packed": packed})

    def rows(self, n_rows: int) -> Tensor:
        """Room for ``n_rows`` rows of inputs ``(n_rows, n_inputs + 2)``; the last two columns are not to be changed."""
        room = torch.empty(n_rows, self.n_inputs + 2)
        bound = 1.0 if self.bound is None else self.bound
        room[:, -2], room[:, -1] = bound, -bound
        return room

    def product(self, rows: Tensor) -> Tensor:
        """The product ``(n, outputs)`` of :meth:`rows` within the bound."""
        product: Tensor = torch.ops.quantized.linear_dynamic(rows, self.packed, self.reduce_range)
        return product

    def scaled_product(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The product ``(n, outputs)`` of :meth:`rows` of any size, which are overwritten, but for the factor of each
        row ``(n, 1)``."""
        return scaled_product(rows, self.packed, self.reduce_range)

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


def evened(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix ``(units, outputs)``, whose rows of large weights are divided, and by what ``(units,)``; what meets them
    is to be multiplied by it. It is the root of their size: units that count for much are small ones, and rounding has
    least to take when neither side has outliers (SmoothQuant, Xiao et al. 2023, equation 4, with the weights' side
    alone)."""
    sizes = matrix.square().mean(1, keepdim=True).sqrt()
    factors = sizes.clamp_min(1e-6 * float(sizes.max()) + 1e-30).sqrt()
    return factors[:, 0].clone(), matrix / factors


class _Evened:
    """A matrix ``(units, outputs)`` that is :func:`evened`."""

    def __init__(self, matrix: Tensor) -> None:
        self.factors, divided = evened(matrix)
        self.matrix = Int8Matrix(divided)

    def rows(self, n_rows: int) -> Tensor:
        return self.matrix.rows(n_rows)

    def product(self, rows: Tensor, out: Tensor) -> None:
        """The product of :meth:`rows`, which are overwritten, into ``out``."""
        rows[:, :-2].mul_(self.factors)
        torch.mul(*self.matrix.scaled_product(rows), out=out)


class _Joined:
    """Input and state meet one matrix, with one scale for both: the fastest where inputs are few."""

    is_joined = True

    def __init__(self, weights: Arranged) -> None:
        self.n_inputs = weights.n_inputs
        self.kernel = Int8Matrix(weights.kernel[:-1])
        self.bias = weights.kernel[-1].clone()

    def parts(self, x: Tensor, batch_sizes: Sequence[int], types: Types | None) -> Iterator[tuple[Tensor, list[int]]]:
        """What :func:`~ner_elmo.nn.int8_steps.run_steps` reads as ``x``, some steps at a time, and their sizes."""
        yield x if types is None or x.shape[1] == self.n_inputs else types.behind(x), list(batch_sizes)


class _Apart:
    """Inputs meet a matrix of their own, those of many steps at a time. So a state, which is σ(o) tanh(cell) and at
    most 1, has a scale of its own: beside inputs that are larger it would lose digits."""

    is_joined = False

    def __init__(self, weights: Arranged) -> None:
        self.most_rows = GATE_BYTES // (16 * weights.dim)
        self.of_input, self.kernel = (
            Int8Matrix(weights.kernel[: weights.n_inputs]),
            Int8Matrix(weights.kernel[weights.n_inputs : -1], 1.0),
        )
        self.bias = weights.kernel[-1].clone()

    def parts(self, x: Tensor, batch_sizes: Sequence[int], types: Types | None) -> Iterator[tuple[Tensor, list[int]]]:
        """As those of :class:`_Joined`."""
        start = 0
        for sizes in together(batch_sizes, self.most_rows):
            end = start + sum(sizes)
            yield self._of_inputs(x, slice(start, end), types), sizes
            start = end

    def _of_inputs(self, x: Tensor, part: slice, types: Types | None) -> Tensor:
        x, n = x[part], x.shape[1]
        rows = self.of_input.rows(len(x))
        rows[:, :n] = x
        if types is not None and n < self.of_input.n_inputs:
            torch.index_select(types.vectors, 0, types.which[part], out=rows[:, n:-2])
        return self.of_input.product_and(self.bias, rows)


def together(batch_sizes: Sequence[int], most: int) -> Iterator[list[int]]:
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
    gates, projection = weights.gates, weights.projection
    kernel_rows = gates.kernel.rows(most)
    if projection is None:
        meets_output = (None, y.new_empty(0), x.new_empty(most, dim))
    else:
        meets_output = (projection.matrix.packed, projection.factors, projection.rows(most))
    start = 0
    for part, sizes in gates.parts(x, batch_sizes, types):
        end = start + sum(sizes)
        scripted(run_steps)(
            part, sizes, h, cells_twice, y[start:end], gates.kernel.packed, kernel_rows, gates.bias, gates.is_joined,
            *meets_output, weights.block, gates.kernel.reduce_range, clips.cell, clips.projection,
        )  # fmt: skip
        h = y[end - sizes[-1] : end]
        start = end
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
