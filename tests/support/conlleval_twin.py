"""conlleval's rules for where chunks start and end, transcribed as its two questions; slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence


def starts(previous: str, tag: str) -> bool:
    """Whether a chunk starts at ``tag``."""
    if tag == "O":
        return False
    return tag[0] in "BSU" or previous == "O" or previous[0] in "ESLU" or previous[2:] != tag[2:]


def ends(tag: str, following: str) -> bool:
    """Whether a chunk ends with ``tag``."""
    return tag != "O" and (following == "O" or starts(tag, following) or tag[0] in "ESLU")


def chunks(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """All chunks: half-open token indices and label."""
    padded = ["O", *tags, "O"]
    first = [i for i in range(len(tags)) if starts(padded[i], padded[i + 1])]
    last = [i for i in range(len(tags)) if ends(padded[i + 1], padded[i + 2])]
    return [(start, end + 1, tags[start][2:]) for start, end in zip(first, last, strict=True)]
