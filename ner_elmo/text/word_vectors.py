"""Static word vectors in the text formats of GloVe and word2vec: a word and its numbers on each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ner_elmo.errors import DataError
from ner_elmo.text.files import display_name, read_lines

_LINES_THAT_VOTE = 100


def read_word_vectors(path: str | Path, wanted: Collection[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Read words and their vectors, float32 ``(len(words), dim)``, in the file's order; of equal words the first.

    With ``wanted``, only the rows of these words and of their lower-case forms are kept. A word may hold blanks (as in
    GloVe 840B): the last ``dim`` fields of a line are its numbers. A first line ``N D``, as word2vec writes, is not a
    word; without it most of the first lines decide ``dim``.

    Raises:
        UsageError: the file cannot be opened.
        DataError: no vectors at all, a line with another number of fields, or a field that is no finite number.
    """
    name = display_name(path)
    keep = None if wanted is None else {form for word in wanted for form in (word, word.lower())}
    lines = enumerate((line.rstrip(" \t\r") for line in read_lines(path)), start=1)
    first = list(islice(lines, _LINES_THAT_VOTE))
    dim = _header_dim(first)
    if dim:
        del first[0]
    else:
        dim = _usual_dim(first)
    if not first or dim < 1:
        raise DataError(f"{name}:1: found no word vectors, expected lines of a word and its numbers")
    words: dict[str, int] = {}
    rows: list[np.ndarray] = []
    for number, line in chain(first, lines):
        if not line:
            continue
        word, fields = _split_line(line, dim, f"{name}:{number}")
        if word not in words and (keep is None or word in keep):
            words[word] = number
            rows.append(_numbers(fields, f"{name}:{number}"))
    return list(words), np.stack(rows) if rows else np.zeros((0, dim), dtype=np.float32)


def _header_dim(lines: list[tuple[int, str]]) -> int:
    """The D of a first line ``N D``, or 0."""
    fields = lines[0][1].split() if lines else []
    return int(fields[1]) if len(fields) == 2 and all(f.isascii() and f.isdigit() for f in fields) else 0


def _usual_dim(lines: list[tuple[int, str]]) -> int:
    votes = Counter(line.count(" ") for _, line in lines if line)
    return votes.most_common(1)[0][0] if votes else 0


def _split_line(line: str, dim: int, where: str) -> tuple[str, list[str]]:
    word, *fields = line.rsplit(" ", dim)
    surplus = word.split(" ")[1:]
    if len(fields) != dim or (surplus and all(map(_is_number, surplus))):
        raise DataError(f"{where}: found {len(surplus) + len(fields)} numbers, expected {dim} after the word")
    return word, fields


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbers(fields: list[str], where: str) -> np.ndarray:
    for field in fields:
        if not _is_number(field):
            raise DataError(f"{where}: found {field!r}, expected a number")
    row = np.array(fields, dtype=np.float32)
    if not np.isfinite(row).all():
        raise DataError(f"{where}: found a number that is not finite, expected finite numbers")
    return row
