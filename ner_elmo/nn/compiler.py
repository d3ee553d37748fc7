"""C code of this package, compiled for this processor where that is asked for.

No program is started unbidden. It takes a second or two at each start; nothing of it stays on the disk.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
WIDE = "-mprefer-vector-width=512"  # known to compilers for x86 alone
SECONDS = 120  # a compiler that takes longer is left


class CompilerError(Exception):
    """Why not, as an end of a sentence."""


POINTER, NUMBER, FLOAT, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int
Arguments = Mapping[str, tuple[type, ...]]


def compiled_library(source: Path, functions: Arguments) -> ctypes.CDLL:
    """A file of C and the ``functions`` in it, with what they are given. The compiler is ``$CC``, or else ``cc``.

    Raises:
        CompilerError: there is no compiler, or what it makes cannot be used.
    """
    compiler = os.environ.get("CC", "").split() or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise CompilerError(f"there is no C compiler: no program is called {compiler[0]}")
    with tempfile.TemporaryDirectory(prefix="ner-elmo-") as folder:
        for flags in ((*FLAGS, WIDE), FLAGS):
            made = Path(folder) / f"{source.stem}-{len(flags)}.so"
            if _compile([*compiler, *flags, str(source), "-o", str(made), *_runtime()]):
                try:
                    library = ctypes.CDLL(str(made))
                    for name, arguments in functions.items():
                        getattr(library, name).argtypes = arguments
                    return library
                except (OSError, AttributeError) as error:  # a folder of which nothing is run, or a strange compiler
                    raise CompilerError(f"what {compiler[0]} made cannot be used: {error}") from None
    raise CompilerError(f"{compiler[0]} could not compile it")


def _runtime() -> list[str]:
    """torch's own threads, where it has brought them along: two sets would stand in one another's way."""
    return [str(found) for found in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")]


def _compile(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def address(tensor: Tensor | None) -> int | None:
    """Where its numbers are."""
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor of strides {tensor.stride()}: compiled code reads contiguous ones")
    return tensor.data_ptr()


def bound(clip: float | None) -> float:
    """What no number exceeds."""
    return math.inf if clip is None else clip
