"""Errors that a user can act on, and the exit status that belongs to each.

The command line prints the message of a :class:`NerElmoError` on one or two lines and ends with its
``exit_status``; a traceback appears only with ``--debug``. Write messages so that they say where, what was found and
what would work.
"""

from __future__ import annotations

import errno
import re


class NerElmoError(Exception):
    """It could not be done (a damaged model, no memory, some inputs failed)."""

    exit_status = 1


class ModelError(NerElmoError):
    """A model's files are missing, damaged, or do not fit one another."""

    exit_status = 1


class CannotWriteError(NerElmoError, OSError):
    """An output cannot be written: no space, no permission, a file where a folder should be."""


class UsageError(NerElmoError):
    """The command was wrong: an unknown value, a missing input, an output that exists already."""

    exit_status = 2


class WrongTypeError(UsageError, TypeError):
    """A Python program handed in something of another type; the message says where, and what was expected."""


class DataError(NerElmoError):
    """The data is at fault; the message begins with ``file:line:`` where there is a line to name."""

    exit_status = 3


_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")(?!\w)""")
_excerpts: list[bool] = [True]


def leave_out_excerpts(leave_out: bool = True) -> None:
    """Let :func:`without_excerpts` work from now on: nothing of what is read stands in a message."""
    _excerpts[:] = [not leave_out]


def without_excerpts(message: str) -> str:
    """A message with ``(9 characters)`` for whatever it quotes, if that was asked for; otherwise as it is."""
    return message if _excerpts[0] else _QUOTED.sub(lambda quoted: f"({len(quoted[0]) - 2:,} characters)", message)


_MOST_SHOWN = 80  # characters of a value in a message


def shown_value(value: object) -> str:
    """A value found in a file, as Python writes it, for a message."""
    return one_line(repr(value))


def one_line(text: str) -> str:
    """Words of others for a message: on one line, nothing a terminal obeys, cut where they are long."""
    text = text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def describe_os_error(error: OSError) -> str:
    """One line for what the system refused: a full disk, a folder of others, a name too long."""
    reason = error.strerror or str(error).splitlines()[0]
    hint = {
        errno.ENOSPC: "free some space, or name another place",
        errno.EACCES: "name a place that may be read and written",
        errno.EROFS: "name a place that may be written to",
        errno.ENAMETOOLONG: "choose a shorter name",
    }.get(error.errno or 0, "")
    name = str(error.filename or "")
    where = f"{name if len(name) <= 200 else name[:50] + '...'}: " if name else ""
    return f"{where}{reason[:200]}{f'; {hint}' if hint else ''}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch on any device, says with ``error`` that it got no memory."""
    if isinstance(error, RuntimeError):  # torch.OutOfMemoryError is one, and its CPU allocator raises plain ones
        return "out of memory" in str(error).lower() or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError)
