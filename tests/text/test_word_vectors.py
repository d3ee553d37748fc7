from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

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


def test_compressed(tmp_path: Path) -> None:
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(b"a 1 2\n"))
    assert read_word_vectors(path)[0] == ["a"]


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
