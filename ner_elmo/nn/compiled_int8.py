"""``int8_steps.c``, compiled for this processor where that is asked for: products in 8-bit integers as those of
:mod:`~ner_elmo.nn.int8`, with cells computed while their gates are in the core's own cache.

What is known to differ: input, state and units are rounded to 255 steps between ±1 times their greatest magnitude, not
to 256; σ has an error of some 1e-6 of its value; and the products of a character CNN are in 8 bits, too. A row is the
same to the bit alone and in company.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ner_elmo.errors import UsageError
from ner_elmo.nn.cell import Arranged, Clips, State, Types, doubled
from ner_elmo.nn.compiler import FLOAT, NUMBER, POINTER, Arguments, CompilerError, address, bound, compiled_library
from ner_elmo.nn.forking import Lock
from ner_elmo.nn.inference import GATE_BYTES
from ner_elmo.nn.int8 import evened, together

SOURCE = Path(__file__).with_name("int8_steps.c")
TILE = 64  # outputs of a tile
UNITS = TILE // 4  # of a tile of gates
_AT_ONCE = 4  # inputs that an instruction multiplies and adds up
_ZERO = 128  # the byte for 0

_ARGUMENTS: Arguments = {
    "int8_lanes": (),
    "int8_product": (NUMBER, NUMBER, POINTER, NUMBER, *[POINTER] * 2, NUMBER, *[POINTER] * 7),
    "int8_steps": (
        NUMBER, POINTER, NUMBER, POINTER, NUMBER, POINTER, NUMBER, *[POINTER] * 10, FLOAT, FLOAT, *[POINTER] * 3,
    ),
}  # fmt: skip
_compiling = Lock()


def int8_library() -> ctypes.CDLL:
    """The compiled functions, made once in a process.

    Raises:
        UsageError: they cannot be made here, or this processor would be slow with them.
    """
    with _compiling:
        return _library()


@cache
def _library() -> ctypes.CDLL:
    asked = "--precision int8-compiled"
    try:
        library = compiled_library(SOURCE, _ARGUMENTS)
    except CompilerError as why_not:
        raise UsageError(f"{asked}: {why_not}; try --precision int8") from None
    if not library.int8_lanes():
        raise UsageError(f"{asked}: needs a processor that adds up 8-bit products (VNNI); try --precision int8")
    return library


class Tiles:
    """A matrix ``(inputs, outputs)`` of float32 in 8 bits, in tiles of ``TILE`` outputs; each output has a scale.

    Attributes:
        weights: ``(tiles, inputs / 4, TILE, 4)`` int8, inputs and outputs filled up with zeros.
        starts: where the sum of each output begins, int32: what the bytes have too much, since that for 0 is not 0.
        scales: by which the sums are multiplied, float32.
    """

    def __init__(self, matrix: Tensor) -> None:
        n_inputs, n_outputs = matrix.shape
        scales = (matrix.abs().amax(0) / 127).clamp_min(1e-12)
        numbers = torch.zeros(_up_to(n_outputs, TILE), _up_to(n_inputs, _AT_ONCE), dtype=torch.int8)
        numbers[:n_outputs, :n_inputs] = (matrix / scales).round_().t().to(torch.int8)
        self.weights = numbers.view(-1, TILE, numbers.shape[1] // _AT_ONCE, _AT_ONCE).transpose(1, 2).contiguous()
        self.n_outputs = n_outputs
        self.starts = (-_ZERO * numbers.sum(1)).to(torch.int32)
        self.scales = torch.zeros(len(numbers))
        self.scales[:n_outputs] = scales
        self.n_bytes = numbers.shape[1]  # of a row that meets it

    @property
    def addresses(self) -> tuple[int | None, int | None, int | None]:
        return address(self.weights), address(self.starts), address(self.scales)


def _up_to(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


class CompiledInt8Linear:
    """A matrix ``(inputs, outputs)`` in 8 bits and a bias, for products with rows of float32.

    Raises:
        UsageError: see :func:`int8_library`.
    """

    def __init__(self, matrix: Tensor, bias: Tensor | None = None) -> None:
        int8_library()
        self._tiles = Tiles(matrix)
        self._bias = torch.zeros(len(self._tiles.scales))
        if bias is not None:
            self._bias[: len(bias)] = bias

    def __call__(self, rows: Tensor) -> Tensor:
        """``rows`` (n, inputs) to ``(n, outputs)``; a row is the same to the bit alone and in company."""
        rows, tiles = rows.contiguous(), self._tiles
        out, room = rows.new_empty(len(rows), len(tiles.scales)), _Room(len(rows), tiles.n_bytes)
        int8_library().int8_product(
            len(rows), rows.shape[1], address(rows), 0, None, None, len(tiles.scales) // TILE, *tiles.addresses,
            address(self._bias), address(out), address(room.bytes), address(room.scales),
        )  # fmt: skip
        return out[:, : tiles.n_outputs]


class CompiledInt8Weights:
    """The weights of one layer in 8 bits, from :class:`~ner_elmo.nn.cell.Arranged`. With a projection input and state
    meet the kernel together, otherwise apart, as in :mod:`~ner_elmo.nn.int8`.

    Raises:
        UsageError: see :func:`int8_library`.
    """

    def __init__(self, weights: Arranged) -> None:
        int8_library()
        self.n_inputs, self.width, self.dim = weights.n_inputs, weights.width, weights.dim
        # Columns from blocks, gate by gate, to tiles, gate by gate
        kernel = weights.kernel.view(-1, weights.dim // weights.block, 4, weights.block // UNITS, UNITS)
        kernel = kernel.transpose(2, 3).reshape(len(weights.kernel), -1)
        self.bias = kernel[-1].clone()
        self.of_input: Tiles | None = None
        self.projection: Tiles | None = None
        if weights.projection is not None:
            self.kernel = Tiles(kernel[:-1])
            self.factors, projection = evened(weights.projection)
            self.projection = Tiles(projection)
        else:
            self.of_input, self.kernel = Tiles(kernel[: self.n_inputs]), Tiles(kernel[self.n_inputs : -1])
            self.factors = torch.ones(weights.dim)


class _Room:
    """What a row needs while it is computed."""

    def __init__(self, n_rows: int, n_bytes: int) -> None:
        self.bytes = torch.full((n_rows * n_bytes,), _ZERO, dtype=torch.uint8)
        self.scales = torch.empty(n_rows)

    @property
    def addresses(self) -> tuple[int | None, int | None]:
        return address(self.bytes), address(self.scales)


def _gates(
    x: Tensor, batch_sizes: Sequence[int], weights: CompiledInt8Weights, types: Types | None
) -> Iterator[tuple[Tensor, list[int]]]:
    """What inputs and bias give the gates ``(positions, 4 dim)``, some steps at a time, and their sizes."""
    of_input, dim = weights.of_input, weights.dim
    assert of_input is not None
    n_typed = weights.n_inputs - x.shape[1]
    vectors, which = (None, None) if types is None or not n_typed else (types.vectors.contiguous(), types.which)
    most = max(batch_sizes[0], min(len(x), GATE_BYTES // (16 * dim)))
    room, gates = _Room(most, of_input.n_bytes), x.new_empty(most, 4 * dim)
    start = 0
    for sizes in together(batch_sizes, most):
        end = start + sum(sizes)
        int8_library().int8_product(
            end - start, x.shape[1], address(x[start:end]), n_typed, address(vectors),
            None if which is None else address(which[start:end]), 4 * dim // TILE, *of_input.addresses,
            address(weights.bias), address(gates), address(room.bytes), address(room.scales),
        )  # fmt: skip
        yield gates, sizes
        start = end


def run_compiled_int8(
    x: Tensor,
    batch_sizes: Sequence[int],
    weights: CompiledInt8Weights,
    clips: Clips,
    state: State | None = None,
    types: Types | None = None,
) -> Tensor:
    """:func:`ner_elmo.nn.inference.run_one` with 8-bit products, compiled. What types give may be left out of ``x``."""
    width, dim, most = weights.width, weights.dim, batch_sizes[0]
    h, c = state if state is not None else (x.new_zeros(most, width), x.new_zeros(most, dim))
    cells_twice = doubled(c, dim)
    y = x.new_empty(len(x), width)
    room, hidden = _Room(most, max(weights.kernel.n_bytes, _up_to(dim, _AT_ONCE))), x.new_empty(most, dim)
    projection = (None, None, None) if weights.projection is None else weights.projection.addresses
    x, h = x.contiguous(), h.contiguous()
    parts: Iterable[tuple[Tensor, list[int]]]
    if weights.of_input is None:
        whole = x if types is None or x.shape[1] == weights.n_inputs else types.behind(x)
        parts = [(whole, list(batch_sizes))]
    else:
        parts = _gates(x, batch_sizes, weights, types)
    start = 0
    for part, sizes in parts:
        end, rows = start + sum(sizes), torch.tensor(sizes)
        int8_library().int8_steps(
            len(rows), address(rows), part.shape[1], address(part), width, address(h), dim,
            address(cells_twice), address(y[start:end]), *weights.kernel.addresses,
            address(weights.bias) if weights.of_input is None else None, *projection, address(weights.factors),
            2 * bound(clips.cell), bound(clips.projection), address(room.bytes), address(hidden), address(room.scales),
        )  # fmt: skip
        h = y[end - sizes[-1] : end]
        start = end
    torch.mul(cells_twice[:, : c.shape[1]], 0.5, out=c)
    return y
