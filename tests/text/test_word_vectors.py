"""Files of word vectors: GloVe, word2vec and fastText, as text and as binary, whole or damaged."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ner_elmo.errors import DataError
from ner_elmo.text.word_vectors import read_word_vectors


def write(folder: Path, text: str) -> Path:
    path = folder / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_glove_text_with_words_that_hold_blanks(tmp_path: Path) -> None:
    words, vectors = read_word_vectors(write(tmp_path, "the 1 2.5\n. . . 3 4\n\u00a0 5 -6e-1\nthe 9 9\n"))
    assert words == ["the", ". . .", "\u00a0"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.array([[1, 2.5], [3, 4], [5, -0.6]], dtype=np.float32))


def test_word2vec_header(tmp_path: Path) -> None:
    words, vectors = read_word_vectors(write(tmp_path, "2 3\na 1 2 3 \nb 4 5 6 \n"))
    assert (words, vectors.shape) == (["a", "b"], (2, 3))


def test_only_wanted_words_and_their_lower_case_forms(tmp_path: Path) -> None:
    path = write(tmp_path, "paris 1 1\nParis 2 2\nberlin 3 3\nBERLIN 4 4\nthe 5 5\n")
    assert read_word_vectors(path, {"Paris", "Berlin"})[0] == ["paris", "Paris", "berlin"]
    words, vectors = read_word_vectors(path, [])
    assert (words, vectors.shape) == ([], (0, 2))
    assert vectors.dtype == np.float32


Vectors = list[tuple[str, list[float]]]


def glove(vectors: Vectors) -> bytes:
    return "".join(f"{word} {' '.join(map(repr, row))}\n" for word, row in vectors).encode()


def word2vec_text(vectors: Vectors) -> bytes:
    return f"{len(vectors)} {len(vectors[0][1])}\n".encode() + glove(vectors)


def fasttext(vectors: Vectors) -> bytes:
    """fastText leaves a blank at the end of each line."""
    return word2vec_text(vectors).replace(b"\n", b" \n").replace(b" \n", b"\n", 1)


def word2vec_binary(vectors: Vectors, line_end: bytes = b"\n") -> bytes:
    """word2vec.c ends each record with a line end, gensim does not."""
    rows = (word.encode() + b" " + struct.pack(f"<{len(row)}f", *row) + line_end for word, row in vectors)
    return f"{len(vectors)} {len(vectors[0][1])}\n".encode() + b"".join(rows)


def gensim_binary(vectors: Vectors) -> bytes:
    return word2vec_binary(vectors, b"")


FORMATS = [glove, word2vec_text, fasttext, word2vec_binary, gensim_binary]
PACKINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress]

words_of_text = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)
floats = st.floats(-1e6, 1e6, width=32)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.integers(1, 5).flatmap(
        lambda dim: st.dictionaries(words_of_text, st.lists(floats, min_size=dim, max_size=dim), min_size=1, max_size=8)
    ),
    st.sampled_from(PACKINGS),
    st.sampled_from(["v.txt", "v.bin", "v.gz", "v.vec.xz"]),
)
@example({"a": [1.4e22]}, bytes, "v.txt")  # four printable bytes
@example({"0": [86036.375]}, bytes, "v.txt")  # 0, a line end, and two bytes more
@example({"0": [86036.375], "1": [0.0], "2": [0.0], "00": [0.0], "000": [0.0]}, bytes, "v.txt")
def test_all_formats_are_known_by_their_content(
    tmp_path: Path, vectors: dict[str, list[float]], pack: Callable[[bytes], bytes], name: str
) -> None:
    expected = np.array(list(vectors.values()), dtype=np.float32)
    for form in FORMATS:
        if form is glove and len({*map(len, vectors)}) and next(iter(vectors)).isdigit() and expected.shape[1] == 1:
            continue  # a first line of two whole numbers is word2vec's
        (tmp_path / name).write_bytes(pack(form(list(vectors.items()))))
        words, found = read_word_vectors(tmp_path / name)
        assert words == list(vectors), form
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("form", FORMATS)
def test_the_first_rows_and_those_that_are_needed(tmp_path: Path, form: Callable[[Vectors], bytes]) -> None:
    path = tmp_path / "v"
    path.write_bytes(form([(f"w{i}", [i, -i, 0.5]) for i in range(5000)]))
    words, vectors = read_word_vectors(path, {"W4000", "w3", "w4999", "none"}, most=10)
    assert words == [*(f"w{i}" for i in range(10)), "w4000", "w4999"]
    np.testing.assert_array_equal(vectors[:, 0], [*range(10), 4000, 4999])
    assert read_word_vectors(path, (), most=0)[1].shape == (0, 3)
    assert len(read_word_vectors(path, most=5000)[0]) == 5000


@pytest.mark.parametrize("form", [glove, word2vec_binary])
def test_rows_that_are_not_kept_take_no_memory(tmp_path: Path, form: Callable[[Vectors], bytes]) -> None:
    path = tmp_path / "v"
    path.write_bytes(form([(f"w{i}", [i / 7] * 100) for i in range(12_000)]))  # 4.8 MB of float32
    tracemalloc.start()
    words, _ = read_word_vectors(path, {"w11999"}, most=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(words) == 101
    assert peak < 4e6


def test_bytes_of_words_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(word2vec_binary([("aXb", [1.0, 2.0]), ("c", [3.0, 4.0])]).replace(b"X", b"\xe9"))
    assert read_word_vectors(path)[0] == ["a\ufffdb", "c"]


@pytest.mark.parametrize("cut", [3, 9, 12])
def test_a_binary_file_that_was_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(word2vec_binary([("a", [1.0, 2.0]), ("b", [3.0, 4.0])])[:-cut])
    with pytest.raises(DataError, match=r"word [12]: found the file's end, expected 2 words"):
        read_word_vectors(path)
    path.write_bytes(gzip.compress(glove([("a", [1.0] * 500)]))[:-cut])
    with pytest.raises(DataError, match="damaged compressed file"):
        read_word_vectors(path)


def test_a_vector_that_is_not_finite_is_named_in_binary_too(tmp_path: Path) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(word2vec_binary([("a", [1.0]), ("b", [float("nan")])]))
    with pytest.raises(DataError, match="word 2: found a number that is not finite"):
        read_word_vectors(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\nc 1 2\n", ":2: found 1 numbers, expected 2"),
        ("a 1 2\nb 1 2 3\nc 1 2\n", ":2: found 3 numbers, expected 2"),
        ("a 1 2\nb 1 x\n", ":2: found 'x', expected a number"),
        ("a 1 2\nb 1 nan\n", ":2: found a number that is not finite"),
        ("", ":1: found no word vectors"),
        ("words\n", ":1: found no word vectors"),
        ("5 3\n", ":1: found no word vectors"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        read_word_vectors(path)


def test_genuine_glove(shared: Path) -> None:
    words, vectors = read_word_vectors(shared / "data" / "vectors" / "glove.6B.100d.sample.txt.gz")
    assert (len(words), vectors.shape, words[0]) == (100, (100, 100), "the")
