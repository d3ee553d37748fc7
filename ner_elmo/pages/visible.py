"""Characters that would not show, or would show as something else, written so that they do.

A text that is printed may hold characters that drive a terminal (ESC, BEL, carriage returns), or that turn the order of
what follows around (U+202E). They are written as Python writes them in a string: ``\\x1b``, ``\\u202e``.
"""

from __future__ import annotations

_C0 = [code for code in range(0x20) if code not in (0x09, 0x0A)]  # tabs and line ends are text
_DELETE_AND_C1 = range(0x7F, 0xA0)
# Embeddings, overrides and isolates of the bidirectional algorithm. The marks U+200E and U+200F turn nothing around.
_DIRECTIONS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SURROGATES = range(0xD800, 0xE000)  # halves of pairs, which UTF-8 cannot hold
_ESCAPES = {
    code: chr(code).encode("unicode_escape", "surrogatepass").decode("ascii")
    for code in (*_C0, *_DELETE_AND_C1, *_DIRECTIONS, *_SURROGATES)
}


def made_visible(text: str) -> str:
    """The text with ``\\x1b``, ``\\u202e`` and so on in the place of what does not show; tabs and line ends stay, the
    latter without a carriage return."""
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_ESCAPES)


def on_one_line(text: str) -> str:
    """:func:`made_visible`, with one blank for each stretch of white space."""
    return made_visible(" ".join(text.split()))


def without_halves(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which no file of UTF-8 can hold, and for U+0000, which many
    programs cannot: as many characters as before."""
    return text if text.isprintable() else text.translate(_REPLACED)


_REPLACED = {0: "\ufffd", **dict.fromkeys(_SURROGATES, "\ufffd")}
