"""Standard streams as they come: closed, full, in another encoding than UTF-8, with a reader that has gone away."""

from __future__ import annotations

import contextlib
import io
import os
import sys

_MODES = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_WRONLY, "w"), ("stderr", os.O_WRONLY, "w"))


def open_standard_streams() -> None:
    """Let every print succeed: a stream that is closed leads nowhere, and characters that it cannot show stand as
    ``\\uXXXX``.

    A file that is opened later would otherwise get the number of the closed stream, and messages with it.
    """
    for number, (name, flags, mode) in enumerate(_MODES):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue  # it is only Python that has none
            _nowhere(number, flags)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere(number: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def say(line: str) -> None:
    """A line on standard error. Where that is full, the line is lost, and the work goes on.

    Raises:
        BrokenPipeError: its reader has gone.
    """
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass


def flush_standard_output() -> None:
    """Write what is left now, while an error can still be told.

    Raises:
        OSError: it cannot be written.
    """
    sys.stdout.flush()


def give_up_standard_output() -> None:
    """What is left for standard output leads nowhere from now on, so that the end of the program does not try again."""
    with contextlib.suppress(OSError, ValueError):
        _nowhere(sys.stdout.fileno(), os.O_WRONLY)
