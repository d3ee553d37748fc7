"""The encoder: independent of company, order and repetition; streamed, within bounds of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError

SENTENCES = [["a"], [], ["b", "a", "new"], ["x"] * 40, ["a", "b"], [], ["日本"]]


def test_vectors_do_not_depend_on_company(elmo: Elmo, monkeypatch: pytest.MonkeyPatch) -> None:
    together = list(elmo.embed(SENTENCES))
    assert [v.shape for v in together] == [(3, len(s), 10) for s in SENTENCES]
    assert all(v.dtype == np.float32 for v in together)
    monkeypatch.setattr(elmo, "read_ahead_tokens", 1)
    for i, sentence in enumerate(SENTENCES):
        (alone,) = elmo.embed([sentence])
        np.testing.assert_allclose(alone, together[i], atol=1e-6)
    for found, wanted in zip(elmo.embed(reversed(SENTENCES)), reversed(together), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [0, 1 << 60])
def test_nor_on_how_threads_share_the_work(elmo: Elmo, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A single batch has several threads for each product, or one for each direction: to the bit what one thread
    computes."""
    sentences = [*SENTENCES, *([word] * 30 for word in "bcdefghijklmnopqrstuvwxyz")]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        together, alone = list(elmo.embed(sentences)), [next(elmo.embed([one])) for one in sentences]
        monkeypatch.setattr("ner_elmo.elmo.encoder.DIVIDED_SIZE", size)
        torch.set_num_threads(2)
        assert [v.tobytes() for v in elmo.embed(sentences)] == [v.tobytes() for v in together]
        assert [next(elmo.embed([one])).tobytes() for one in sentences] == [v.tobytes() for v in alone]
    finally:
        torch.set_num_threads(before)


def test_choice_of_layers(elmo: Elmo) -> None:
    (every,) = elmo.embed([["a", "b"]])
    (two,) = elmo.embed([["a", "b"]], layers=[1, 0])
    np.testing.assert_allclose(two, every[[1, 0]], atol=1e-6)
    (mean,) = elmo.embed([["a", "b"]], layers="mean")
    np.testing.assert_allclose(mean, every.mean(0), atol=1e-6)
    (top,) = elmo.embed([["a", "b"]], layers="top")
    np.testing.assert_allclose(top, every[2], atol=1e-6)
    with pytest.raises(UsageError, match="layers 0 to 2"):
        list(elmo.embed([["a"]], layers=[3]))


def test_the_type_cache_is_bounded_and_harmless(elmo: Elmo, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = [[f"t{n}", f"t{n + 1}"] for n in range(0, 200, 2)]
    wanted = [next(elmo.embed([sentence])) for sentence in sentences]
    elmo._types._most = 16
    elmo._types._table = elmo._types._empty()
    monkeypatch.setattr(elmo, "read_ahead_tokens", 12)
    for found, expected in zip(elmo.embed(sentences), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert elmo._types._table.used <= 16 + 5  # and the vocabulary's five


def test_sentences_are_streamed(elmo: Elmo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elmo, "read_ahead_tokens", 10)
    read = 0

    def endless() -> object:
        nonlocal read
        while True:
            read += 1
            yield ["a", "b"]

    vectors = elmo.embed(endless())  # type: ignore[arg-type]
    for _ in range(5):
        next(vectors)
    assert read <= 10


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
    command = [sys.executable, "-c", MEASURE, str(weights), str(50_000)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    result, grown = map(int, done.stdout.split())
    assert result == 3 * 50_000 * 256 * 4
    assert grown < 8 * result
