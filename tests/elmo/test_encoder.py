"""The encoder: independent of company, order and repetition; streamed; and the dump file."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ner_elmo.elmo import dump
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError
from tests.support.small_bilms import small_bilm

SENTENCES = [["a"], [], ["b", "a", "new"], ["x"] * 40, ["a", "b"], [], ["日本"]]


@pytest.fixture
def elmo(tmp_path: Path) -> Elmo:
    small_bilm(tmp_path / "bilm")
    return Elmo.load(tmp_path / "bilm", batch_tokens=60)


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
    elmo._types._forget()
    monkeypatch.setattr(elmo, "read_ahead_tokens", 12)
    for found, expected in zip(elmo.embed(sentences), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert elmo._types._used <= 16 + 5  # and the vocabulary's five


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


def test_dump_file(elmo: Elmo, tmp_path: Path) -> None:
    lines = ["a b", "", "new a b", "a b"]
    assert dump.write_embeddings(elmo, lines, tmp_path / "x.hdf5") == (4, 7)
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file["1"].shape == (3, 0, 10)
        assert file["2"].dtype == np.float32
        assert json.loads(file["sentence_to_index"][0]) == {"a b": "0", "": "1", "new a b": "2"}
        np.testing.assert_allclose(file["0"][()], file["3"][()])
