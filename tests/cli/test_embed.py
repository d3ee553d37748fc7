"""embed: files of any shape, blank ones and one line of 50,000 tokens; the index of AllenNLP."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ner_elmo.cli.main import main
from ner_elmo.elmo.encoder import Elmo
from tests.support.command_line import ner_elmo
from tests.support.small_bilms import small_bilm

LONG = 50_000


@pytest.fixture
def bilm(tmp_path: Path) -> Path:
    small_bilm(tmp_path / "bilm")
    return tmp_path / "bilm"


def embed(bilm: Path, text: Path, *options: str) -> int:
    out = text.with_suffix(".hdf5")
    return main(["embed", str(text), "--bilm", str(bilm), "-o", str(out), "--device", "cpu", "--force", *options])


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


def test_what_is_no_text_is_said(bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text('{"text": "Ann sees Rome ."}\n' * 30)
    (tmp_path / "b").write_text("Ann\tB-PER\nsees\tO\n" * 30)
    (tmp_path / "c").write_text("Ann sees Rome .\nBob waits .\n" * 30)
    expected = {"a": "nearly every line is JSON", "b": "nearly every line is a token with its columns", "c": ""}
    for name, said in expected.items():
        place = ["--bilm", bilm, "-o", tmp_path / f"{name}.hdf5", "--threads", 1]
        status, _, error = ner_elmo(capsys, "embed", tmp_path / name, *place)
        assert status == 0
        assert said in error
        assert ("warning" in error) == bool(said)
