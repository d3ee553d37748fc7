"""``passes.c``, compiled for this processor where that is asked for: torch's operations need several passes over
memory, and several times the time.

An option of training. As with the number of threads, results differ from those without it in the last digits, and with
it they are the same to the bit.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ner_elmo.nn.compiler import FLOAT, INT, NUMBER, POINTER, Arguments, CompilerError, address, bound, compiled_library

SOURCE = Path(__file__).with_name("passes.c")

_ARGUMENTS: Arguments = {
    "cell_forward": (NUMBER, NUMBER, POINTER, POINTER, FLOAT, POINTER, POINTER, POINTER, INT),
    "cell_backward": (NUMBER, NUMBER, POINTER, POINTER, POINTER, POINTER, POINTER, INT),
    "add_rows": (NUMBER, NUMBER, POINTER, POINTER, INT),
    "exponentials": (NUMBER, NUMBER, POINTER, POINTER, INT),
    "gates_forward": (NUMBER, NUMBER, POINTER, POINTER, POINTER, POINTER, POINTER, FLOAT, INT),
    "gates_backward": (NUMBER, NUMBER, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, FLOAT, INT),
    "shifted_exponentials": (NUMBER, NUMBER, POINTER, POINTER, POINTER, INT),
}


class CompiledPasses:
    """:class:`~ner_elmo.nn.passes.Passes` by the functions of ``library``, for contiguous tensors on a processor."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
        self._library = library

    def cell_forward(
        self, z: Tensor, cell: Tensor, clip: float | None, factors: Tensor, hidden: Tensor | None, out: Tensor | None
    ) -> None:
        n_rows, dim = cell.shape
        self._library.cell_forward(
            n_rows, dim, *map(address, (z, cell)), bound(clip), *map(address, (factors, hidden, out)),
            torch.get_num_threads(),
        )  # fmt: skip

    def cell_backward(
        self, factors: Tensor, d_hidden: Tensor | None, d_out: Tensor | None, d_cell: Tensor, d_gates: Tensor
    ) -> None:
        tensors = factors, d_hidden, d_out, d_cell, d_gates
        self._library.cell_backward(*d_cell.shape, *map(address, tensors), torch.get_num_threads())

    def add_rows(self, total: Tensor, x: Tensor) -> None:
        self._library.add_rows(*x.shape, address(x), address(total), torch.get_num_threads())

    def exponentials(self, x: Tensor) -> Tensor:
        total = x.new_empty(len(x), dtype=torch.float32)
        self._library.exponentials(*x.shape, address(x), address(total), torch.get_num_threads())
        return total

    def gates_forward(
        self, z: Tensor, before: Tensor | None, cell: Tensor, squashed: Tensor, minus: Tensor, clip: float | None
    ) -> None:
        for of_direction in _directions(z, before, cell, squashed, minus):
            self._library.gates_forward(
                *cell.shape[-2:], *map(address, of_direction), bound(clip), torch.get_num_threads()
            )

    def gates_backward(
        self,
        z: Tensor,
        before: Tensor | None,
        cell: Tensor,
        squashed: Tensor,
        d_minus: Tensor,
        d_cell: Tensor,
        clip: float | None,
    ) -> None:
        for of_direction in _directions(z, before, cell, squashed, d_minus, d_cell):
            self._library.gates_backward(
                *cell.shape[-2:], *map(address, of_direction), bound(clip), torch.get_num_threads()
            )

    def shifted_exponentials(self, x: Tensor, shift: Tensor) -> Tensor:
        total = torch.empty_like(shift)
        self._library.shifted_exponentials(
            *x.shape, address(x), address(shift), address(total), torch.get_num_threads()
        )
        return total


def _directions(*tensors: Tensor | None) -> Iterator[tuple[Tensor | None, ...]]:
    """The same tensors of each direction, if they have one, as ``(rows, …)``."""
    first = tensors[0]
    if first is None or first.dim() == 2:
        yield tensors
        return
    for direction in range(len(first)):
        yield tuple(None if tensor is None else tensor[direction] for tensor in tensors)


class _InUse:
    """What the whole process computes with."""

    passes: CompiledPasses | None = None


def compiled_passes() -> CompiledPasses | None:
    """What :func:`use_compiler` has made; ``None`` before, and where it could not."""
    return _InUse.passes


def use_compiler() -> str | None:
    """Compile, and let the whole process compute with what comes of it (:mod:`~ner_elmo.nn.compiler`).

    Returns:
        Why not, if it could not be done; ``None`` if it was.
    """
    if _InUse.passes is not None:
        return None
    try:
        _InUse.passes = CompiledPasses(compiled_library(SOURCE, _ARGUMENTS))
    except CompilerError as why_not:
        return str(why_not)
    return None
