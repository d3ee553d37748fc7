"""``passes.c``, compiled for this processor where that is asked for: torch's operations need several passes over
memory, and several times the time.

No program is started unbidden, so it is an option of training. It takes a second or two at each start; nothing of it
stays on the disk. As with the number of threads, results differ from those without it in the last digits, and with it
they are the same to the bit.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("passes.c")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
WIDE = "-mprefer-vector-width=512"  # known to compilers for x86 alone
SECONDS = 120  # a compiler that takes longer is left

_POINTER, _NUMBER, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int
_ARGUMENTS = {
    "cell_forward": (_NUMBER, _NUMBER, _POINTER, _POINTER, _FLOAT, _POINTER, _POINTER, _POINTER, _INT),
    "cell_backward": (_NUMBER, _NUMBER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _INT),
    "add_rows": (_NUMBER, _NUMBER, _POINTER, _POINTER, _INT),
    "exponentials": (_NUMBER, _NUMBER, _POINTER, _POINTER, _INT),
    "gates_forward": (_NUMBER, _NUMBER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _FLOAT, _INT),
    "gates_backward": (_NUMBER, _NUMBER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _FLOAT, _INT),
    "shifted_exponentials": (_NUMBER, _NUMBER, _POINTER, _POINTER, _POINTER, _INT),
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
            n_rows, dim, *map(_at, (z, cell)), _bound(clip), *map(_at, (factors, hidden, out)),
            torch.get_num_threads(),
        )  # fmt: skip

    def cell_backward(
        self, factors: Tensor, d_hidden: Tensor | None, d_out: Tensor | None, d_cell: Tensor, d_gates: Tensor
    ) -> None:
        tensors = factors, d_hidden, d_out, d_cell, d_gates
        self._library.cell_backward(*d_cell.shape, *map(_at, tensors), torch.get_num_threads())

    def add_rows(self, total: Tensor, x: Tensor) -> None:
        self._library.add_rows(*x.shape, _at(x), _at(total), torch.get_num_threads())

    def exponentials(self, x: Tensor) -> Tensor:
        total = x.new_empty(len(x), dtype=torch.float32)
        self._library.exponentials(*x.shape, _at(x), _at(total), torch.get_num_threads())
        return total

    def gates_forward(
        self, z: Tensor, before: Tensor | None, cell: Tensor, squashed: Tensor, minus: Tensor, clip: float | None
    ) -> None:
        for of_direction in _directions(z, before, cell, squashed, minus):
            self._library.gates_forward(
                *cell.shape[-2:], *map(_at, of_direction), _bound(clip), torch.get_num_threads()
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
                *cell.shape[-2:], *map(_at, of_direction), _bound(clip), torch.get_num_threads()
            )

    def shifted_exponentials(self, x: Tensor, shift: Tensor) -> Tensor:
        total = torch.empty_like(shift)
        self._library.shifted_exponentials(*x.shape, _at(x), _at(shift), _at(total), torch.get_num_threads())
        return total


def _directions(*tensors: Tensor | None) -> Iterator[tuple[Tensor | None, ...]]:
    """The same tensors of each direction, if they have one, as ``(rows, …)``."""
    first = tensors[0]
    if first is None or first.dim() == 2:
        yield tensors
        return
    for direction in range(len(first)):
        yield tuple(None if tensor is None else tensor[direction] for tensor in tensors)


def _bound(clip: float | None) -> float:
    return math.inf if clip is None else clip


def _at(tensor: Tensor | None) -> int | None:
    """Where its numbers are."""
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor of strides {tensor.stride()}: compiled passes read contiguous ones")
    return tensor.data_ptr()


class _InUse:
    """What the whole process computes with."""

    passes: CompiledPasses | None = None


def compiled_passes() -> CompiledPasses | None:
    """What :func:`use_compiler` has made; ``None`` before, and where it could not."""
    return _InUse.passes


def use_compiler() -> str | None:
    """Compile, and let the whole process compute with what comes of it. The compiler is ``$CC``, or else ``cc``.

    Returns:
        Why not, if it could not be done; ``None`` if it was.
    """
    if _InUse.passes is not None:
        return None
    compiler = os.environ.get("CC", "").split() or ["cc"]
    if shutil.which(compiler[0]) is None:
        return f"there is no C compiler: no program is called {compiler[0]}"
    with tempfile.TemporaryDirectory(prefix="ner-elmo-") as folder:
        for flags in ((*FLAGS, WIDE), FLAGS):
            made = Path(folder) / f"passes-{len(flags)}.so"
            if _compile([*compiler, *flags, str(SOURCE), "-o", str(made), *_runtime()]):
                try:
                    _InUse.passes = CompiledPasses(ctypes.CDLL(str(made)))
                except (OSError, AttributeError) as error:  # a folder of which nothing is run, or a strange compiler
                    return f"what {compiler[0]} made cannot be used: {error}"
                return None
    return f"{compiler[0]} could not compile it"


def _runtime() -> list[str]:
    """torch's own threads, where it has brought them along: two sets would stand in one another's way."""
    return [str(found) for found in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")]


def _compile(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
