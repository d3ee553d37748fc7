"""Static word vectors as users have them: GloVe's text, word2vec's text and binary, fastText's ``.vec``.

Text has a word and its numbers on each line, word2vec's and fastText's after a line ``N D`` (so many words, of so many
numbers). Binary has the same first line, then for each word its bytes, a blank, and D little-endian float32. Files may
be plain, gzip, xz or zstandard. Which of all these a file is, its content says and not its name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ner_elmo.errors import DataError
from ner_elmo.text.files import damage_named, display_name, open_by_content, read_lines

_LINES_THAT_VOTE = 100
_HEAD_BYTES = 1 << 17  # that say what kind of file it is
_BLOCK_BYTES = 1 << 20
_LONGEST_WORD = 1 << 16  # bytes; what is longer is no word, but a file of another kind
_MOST_NUMBERS = 100_000  # of a word's vector: memory for one is taken before it is read
_DIGITS = len(str(_MOST_NUMBERS))
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?([0-9]{1,12})[ \t]+([0-9]{1,6})[ \t]*\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")  # what text does not hold


def read_word_vectors(
    path: str | Path, wanted: Collection[str] | None = None, most: int | None = None
) -> tuple[list[str], np.ndarray]:
    """Read words and their vectors, float32 ``(len(words), dim)``, in the file's order; of equal words the first.

    Args:
        wanted: keep only the rows of these words and of their lower-case forms; all, by default.
        most: keep the first so many rows in any case, and beyond them those of ``wanted`` alone. Files begin with the
            most frequent words. No more than the kept rows is held in memory.

    In text a word may hold blanks (as in GloVe 840B): the last ``dim`` fields of a line are its numbers. Without a line
    ``N D`` most of the first lines decide ``dim``. In binary files, words need not be UTF-8 throughout (Google's are
    not): what does not decode becomes U+FFFD.

    Raises:
        UsageError: the file cannot be opened.
        DataError: no vectors at all, a line with another number of fields, a field that is no finite number, a binary
            file that ends early.
    """
    name = display_name(path)
    keep = {form for word in wanted or () for form in (word, word.lower())}
    unlimited = wanted is None and most is None
    n_first = most or 0
    shape = _binary_shape(_head(path, name))
    dim, entries = _text_entries(path, name) if shape is None else (shape[1], _binary_entries(path, name, *shape))
    rows = _Rows(dim)
    for where, word, numbers in entries:
        if word not in rows.words and (unlimited or len(rows.words) < n_first or word in keep):
            rows.add(word, _finite(numbers, where))
    return list(rows.words), rows.array()


class _Rows:
    """Words and their vectors, in a table that grows in place."""

    def __init__(self, dim: int) -> None:
        self.words: dict[str, None] = {}  # a set that keeps its order
        self._table = np.empty((1, dim), dtype=np.float32)

    def add(self, word: str, row: np.ndarray) -> None:
        if len(self.words) == len(self._table):
            self._resize(len(self._table) * 5 // 4 + 1)
        self._table[len(self.words)] = row
        self.words[word] = None

    def array(self) -> np.ndarray:
        self._resize(len(self.words))
        return self._table

    def _resize(self, n_rows: int) -> None:
        self._table.resize((n_rows, self._table.shape[1]), refcheck=False)


def _head(path: str | Path, name: str) -> bytes:
    """The beginning of a file, decompressed."""
    with damage_named(name), open_by_content(path) as stream:
        return stream.read(_HEAD_BYTES)


def _binary_shape(head: bytes) -> tuple[int, int] | None:
    """N and D of a binary file by its beginning; None for text."""
    header = _HEADER.match(head)
    if header is None or int(header[1]) == 0 or int(header[2]) == 0:
        return None
    n_words, dim, rest = int(header[1]), int(header[2]), head[header.end() :]
    holds_records = _holds_records(rest, n_words, dim)
    if holds_records and not _is_plain(rest):  # also where the first bytes happen to read as a row of text
        return n_words, dim
    if _is_text_row(rest.split(b"\n", 1)[0], dim):
        return None
    return (n_words, dim) if holds_records or _CONTROL.search(rest) else None


def _is_plain(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(data) is None


def _is_text_row(line: bytes, dim: int) -> bool:
    fields = line.rstrip(b" \t\r").rsplit(b" ", dim)[1:]
    return len(fields) == dim and all(map(_is_number, fields))


def _holds_records(rest: bytes, n_words: int, dim: int) -> bool:
    """Whether bytes are exactly so many binary records: of a small file, which may hold no control character."""
    for _ in range(n_words):
        _, blank, rest = rest.lstrip(b"\n").partition(b" ")
        if not blank or len(rest) < 4 * dim:
            return False
        rest = rest[4 * dim :]
    return not rest.strip(b"\n")


def _binary_entries(path: str | Path, name: str, n_words: int, dim: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """The place, word and vector of each record."""
    with damage_named(name), open_by_content(path) as stream:
        stream.readline()
        buffer, at = b"", 0
        for number in range(1, n_words + 1):
            where = f"{name}: word {number:,}"
            while (end := _end_of_record(buffer, at, dim, where)) == 0:
                buffer, at = _more(stream, buffer[at:], where, n_words), 0
            word, _, numbers = buffer[at:end].lstrip(b"\n").partition(b" ")
            yield where, word.decode("utf-8", "replace"), np.frombuffer(numbers, dtype="<f4")
            at = end


def _end_of_record(buffer: bytes, at: int, dim: int, where: str) -> int:
    """Where the record that begins at ``at`` ends; 0 if not all of it is there."""
    while buffer[at : at + 1] == b"\n":  # word2vec ends records with a line end, gensim does not
        at += 1
    blank = buffer.find(b" ", at)
    if (blank if blank >= 0 else len(buffer)) - at > _LONGEST_WORD:
        raise DataError(f"{where}: found no blank after it, expected word2vec's binary format")
    end = blank + 1 + 4 * dim
    return end if blank >= 0 and end <= len(buffer) else 0


def _more(stream: BinaryIO, left: bytes, where: str, n_words: int) -> bytes:
    block = stream.read(_BLOCK_BYTES)
    if not block:
        raise DataError(f"{where}: found the file's end, expected {n_words:,} words as its first line says")
    return left + block


def _text_entries(path: str | Path, name: str) -> tuple[int, Iterator[tuple[str, str, list[str]]]]:
    """How many numbers a word has; and the place, word and numbers of each line."""
    read = read_lines(path, open_stream=open_by_content)
    lines = enumerate((line.rstrip(" \t\r") for line in read), start=1)
    first = list(islice(lines, _LINES_THAT_VOTE))
    dim = _header_dim(first)
    if dim:
        del first[0]
    else:
        dim = _usual_dim(first)
    if not first or dim < 1:
        raise DataError(f"{name}:1: found no word vectors, expected lines of a word and its numbers")
    if dim > _MOST_NUMBERS:
        raise DataError(f"{name}:1: found more than {_MOST_NUMBERS:,} numbers for each word, expected some hundreds")
    every = ((f"{name}:{number}", line) for number, line in chain(first, lines) if line)
    return dim, ((where, *_split_line(line, dim, where)) for where, line in every)


def _header_dim(lines: list[tuple[int, str]]) -> int:
    """The D of a first line ``N D``, or 0."""
    fields = lines[0][1].split() if lines else []
    if len(fields) != 2 or not all(f.isascii() and f.isdigit() for f in fields):
        return 0
    return int(fields[1]) if len(fields[1]) <= _DIGITS else _MOST_NUMBERS + 1


def _usual_dim(lines: list[tuple[int, str]]) -> int:
    votes = Counter(line.count(" ") for _, line in lines if line)
    return votes.most_common(1)[0][0] if votes else 0


def _split_line(line: str, dim: int, where: str) -> tuple[str, list[str]]:
    word, *fields = line.rsplit(" ", dim)
    surplus = word.split(" ")[1:]
    if len(fields) != dim or (surplus and all(map(_is_number, surplus))):
        raise DataError(f"{where}: found {len(surplus) + len(fields)} numbers, expected {dim} after the word")
    return word, fields


def _is_number(field: str | bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _finite(numbers: list[str] | np.ndarray, where: str) -> np.ndarray:
    """A vector, if it is one."""
    try:
        row = np.asarray(numbers, dtype=np.float32)
    except ValueError:
        wrong = next((field for field in numbers if not _is_number(field)), numbers[0])
        raise DataError(f"{where}: found {wrong!r}, expected a number") from None
    if not np.isfinite(row).all():
        raise DataError(f"{where}: found a number that is not finite, expected finite numbers")
    return row
