"""Streams and files of any shape: endless, blank, one line of 50,000 tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ner_elmo.cli.main import main
from ner_elmo.elmo import encoder
from ner_elmo.elmo.dump import write_embeddings
from ner_elmo.elmo.encoder import Elmo
from tests.support.small_bilms import small_bilm

LONG = 50_000


@pytest.fixture
def bilm(tmp_path: Path) -> Path:
    small_bilm(tmp_path / "bilm")
    return tmp_path / "bilm"


def embed(bilm: Path, text: Path, *options: str) -> int:
    out = text.with_suffix(".hdf5")
    return main(["embed", str(text), "--bilm", str(bilm), "-o", str(out), "--device", "cpu", "--force", *options])


def test_an_endless_stream_gives_its_first_vectors(bilm: Path) -> None:
    """With the settings as they are: a bounded part of the stream is read before its first sentence is there."""
    read = 0

    def endless() -> Iterator[list[str]]:
        nonlocal read
        while True:
            read += 1
            yield ["a", "b", str(read % 100)]

    vectors = Elmo.load(bilm).embed(endless())
    assert next(vectors).shape == (3, 3, 10)
    first = read
    assert first <= 100_000
    for _ in range(first - 1):
        next(vectors)
    assert read == first
    next(vectors)
    assert first < read <= 2 * first


def test_lines_are_written_as_they_come(bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many lines is never in memory as a whole, nor are its vectors."""
    monkeypatch.setattr(encoder, "READ_AHEAD_BYTES", 8 * 4 * 3 * 10)  # 8 tokens
    events: list[str] = []
    create_dataset = h5py.Group.create_dataset

    def lines() -> Iterator[str]:
        for number in range(6):
            events.append(f"read {number}")
            yield "a b"

    def recorded(group: h5py.Group, name: str, *arguments: Any, **options: Any) -> h5py.Dataset:
        events.append(f"write {name}")
        return create_dataset(group, name, *arguments, **options)

    monkeypatch.setattr(h5py.Group, "create_dataset", recorded)
    assert write_embeddings(Elmo.load(bilm), lines(), tmp_path / "x.hdf5") == (6, 12)
    for number in range(4):
        assert events.index(f"write {number}") < events.index(f"read {number + 2}")


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"\n", 1), (b" \n\t\n\r\n\xe2\x80\x83\n", 4), (b" ", 1)])
def test_blank_files(bilm: Path, tmp_path: Path, content: bytes, lines: int) -> None:
    text = tmp_path / "x.txt"
    text.write_bytes(content)
    assert embed(bilm, text) == 0
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert sorted(file) == sorted([*map(str, range(lines)), "sentence_to_index"])
        assert all(file[str(n)].shape == (3, 0, 10) and file[str(n)].dtype == np.float32 for n in range(lines))
        assert json.loads(file["sentence_to_index"][0]) == ({"": "0"} if lines else {})
    assert embed(bilm, text, "--layers", "top") == 0
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert all(file[str(n)].shape == (0, 10) for n in range(lines))


def test_sentence_to_index_is_that_of_allennlp(bilm: Path, tmp_path: Path) -> None:
    """Keys are the lines without the white space around them; a sentence that stands twice has the same vectors."""
    text = tmp_path / "x.txt"
    text.write_bytes(' a  b\t\nnew "q" \\ 日本\u2028x\r\na  b\n'.encode())
    assert embed(bilm, text) == 0
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file["sentence_to_index"].shape == (1,)
        index = json.loads(file["sentence_to_index"][0])
        assert index == {"a  b": "0", 'new "q" \\ 日本\u2028x': "1"}
        assert [file[str(n)].shape[1] for n in range(3)] == [2, 5, 2]  # U+2028 separates tokens, not lines
        np.testing.assert_array_equal(file["0"][()], file["2"][()])


@pytest.mark.parametrize("length", [5_000, pytest.param(LONG, marks=pytest.mark.slow)])
def test_a_long_line(bilm: Path, tmp_path: Path, length: int) -> None:
    text = tmp_path / "x.txt"
    words = [f"w{n % 997}" for n in range(length)]
    text.write_text(f"a\n{' '.join(words)}\n\nb\n")
    assert embed(bilm, text) == 0
    elmo = Elmo.load(bilm)
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert [file[str(n)].shape for n in range(4)] == [(3, 1, 10), (3, length, 10), (3, 0, 10), (3, 1, 10)]
        # The ends of a long line are those of a short one: nothing is cut.
        (start,), (end,) = elmo.embed([words[:300]]), elmo.embed([words[-300:]])
        np.testing.assert_allclose(file["1"][:, :100, :5], start[:, :100, :5], atol=1e-6)
        np.testing.assert_allclose(file["1"][:, -100:, 5:], end[:, -100:, 5:], atol=1e-6)


MEASURE = """
import resource, sys
from ner_elmo.elmo.encoder import Elmo

elmo, n_tokens = Elmo.load(sys.argv[1]), int(sys.argv[2])
line = [f"w{n % 997}" for n in range(n_tokens)]
next(elmo.embed([line[:2000]]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for vectors in elmo.embed([line]):
    print(vectors.nbytes, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.slow
def test_memory_of_a_long_line_is_a_few_times_its_vectors(goldens: Path) -> None:
    """On the small published LSTM shape, clips on; all gates of all positions at once would be 16 times as much."""
    weights = goldens / "encoder" / "small_shape" / "weights.hdf5"
    command = [sys.executable, "-c", MEASURE, str(weights), str(LONG)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    result, grown = map(int, done.stdout.split())
    assert result == 3 * LONG * 256 * 4
    assert grown < 8 * result
