"""Small files that become large, lines and sentences without an end, claims of a size: bounded memory, and one line."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError
from ner_elmo.tagger.tagging.watch import LONG_SENTENCE
from ner_elmo.text.files import MOST_OF_A_LINE, read_lines
from ner_elmo.text.python_inputs import MOST_OF_A_SENTENCE, MOST_OF_A_TEXT_LINE
from tests.support.attempts import ANSWERED, attempt
from tests.support.command_line import ner_elmo, silent
from tests.support.devices import one_thread

pytestmark = pytest.mark.long

ONE = ["--threads", "1", "--device", "cpu"]
BLOCK = b"a " * (1 << 19)
GROWN = 3 * MOST_OF_A_LINE // 2  # bytes of one line
MEGABYTES = 2_000  # a line as bytes and as text, and what is read ahead


def written(opened: Any) -> None:
    with opened as stream:
        for _ in range(GROWN // len(BLOCK)):
            stream.write(BLOCK)


def zst(path: Path) -> Any:
    return pytest.importorskip("zstandard").open(path, "wb")


def zip_of_one(path: Path) -> Any:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1).open("a.txt", "w", force_zip64=True)


PACKERS: dict[str, Callable[[Path], Any]] = {
    ".gz": partial(gzip.open, mode="wb", compresslevel=1),
    ".xz": partial(lzma.open, mode="wb", preset=0),
    ".bz2": partial(bz2.open, mode="wb", compresslevel=1),
    ".zst": zst,
    ".zip": zip_of_one,
}


def commands(text: Path, tagger: Path, bilm: Path, toy: Path, out: Path) -> dict[str, list[str]]:
    """Every command that reads a text, from ``text``."""
    return {
        "tag": ["tag", str(text), "-m", str(tagger), *ONE],
        "tag the whole": ["tag", str(text), "-m", str(tagger), "--unit", "file", *ONE],
        "tag objects": ["tag", str(text), "-m", str(tagger), "--from", "jsonl", *ONE],
        "check": ["check", str(text)],
        "convert": ["convert", str(text), str(out), "--to", "jsonl", "--from", "conll"],
        "evaluate": ["evaluate", str(text), "-m", str(tagger), *ONE],
        "embed": ["embed", str(text), "--bilm", str(bilm), "-o", str(out), *ONE],
        "perplexity": ["perplexity", str(text), "--bilm", str(bilm), *ONE],
        "pretrain": ["pretrain", str(text), "-o", str(out), "--size", "tiny", *ONE],
        "train-tagger": ["train-tagger", "--train", str(text), "-o", str(out), *ONE],
        "word vectors": ["train-tagger", "--train", str(toy / "train"), "--word-vectors", str(text), "-o", str(out)],
        "explore": ["explore", "[Ann]", "--text", str(text), "--bilm", str(bilm), "--index", str(out), *ONE],
        "suggest": ["suggest", str(text), "-m", str(tagger), *ONE],
    }


COMMANDS = list(commands(Path(), Path(), Path(), Path(), Path()))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line of 200 MB, in some kilobytes."""
    path = tmp_path_factory.mktemp("grown") / "text.txt.xz"
    written(PACKERS[".xz"](path))
    return path


QUICK = {"tag the whole", "check"}  # others read by the same means


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in COMMANDS])
def test_a_line_that_grows_without_end(
    name: str, grown: Path, trained: Path, bilm: Path, toy: Path, tmp_path: Path
) -> None:
    command = commands(grown, trained, bilm, toy, tmp_path / "out")[name]
    with one_thread():
        found = attempt(lambda: silent(command, tmp_path / "log"), 60)
    assert found.kind == ANSWERED, found
    status, said = found.value
    assert (status, "Traceback" in said) == (3, False), said
    assert f"{grown}:1: found a line of more than 128 MB" in said
    assert found.megabytes < MEGABYTES, found
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [pytest.param(s, marks=[pytest.mark.slow] * (s != ".zst")) for s in PACKERS])
def test_every_way_of_packing_is_read_in_bounded_memory(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.txt{suffix}"
    written(PACKERS[suffix](path))

    def read() -> str:
        with pytest.raises(DataError) as raised:
            sum(map(len, read_lines(path)))
        return str(raised.value)

    found = attempt(read, 60)
    assert (found.kind, "found a line of more than 128 MB" in str(found.value)) == (ANSWERED, True), found
    assert found.megabytes < MEGABYTES, found


def test_a_line_of_utf_16_that_grows_without_end(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb", compresslevel=1) as stream:
        for _ in range(GROWN // len(BLOCK)):
            stream.write(BLOCK)  # each two bytes are one character
    found = attempt(lambda: sum(map(len, read_lines(tmp_path / "x.gz", "utf-16-le"))), 60)
    assert "found a line of more than 128 MB" in str(found.value)
    assert found.megabytes < MEGABYTES, found


def locked(path: Path, files: dict[str, bytes]) -> Path:
    """A zip whose entries say that they are encrypted, as those that a password was given for do."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(magic, start + 1)) >= 0:
            data[start + place] |= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_zip_with_a_password(
    name: str, trained: Path, bilm: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = locked(tmp_path / "text.zip", {"text.txt": b"Ann sees Rome .\n" * 200})
    status, out, err = ner_elmo(capsys, *commands(text, trained, bilm, toy, tmp_path / "out")[name])
    line = "text.zip:1: found a zip with a password, expected one text without; unpack it"
    assert status == 3, err
    assert line in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_model_in_a_zip_with_a_password(bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = locked(tmp_path / "bilm.zip", {one.name: one.read_bytes() for one in bilm.iterdir() if one.is_file()})
    status, _, err = ner_elmo(capsys, "info", model)
    assert (status, err) == (1, f"ner-elmo: {model}: found a zip with a password, expected one without; unpack it\n")


@pytest.mark.parametrize("number", ["99999999999", "9" * 5000])
def test_vectors_that_claim_a_size(number: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.txt").write_text(f"2 {number}\nAnn 1 2\nRome 2 3\n")
    command = ["train-tagger", "--train", toy / "train", "--word-vectors", tmp_path / "v.txt", "-o", tmp_path / "out"]
    status, _, err = ner_elmo(capsys, *command)
    assert status == 3, err
    assert "v.txt:1: found more than 100,000 numbers for each word, expected some hundreds" in err


def test_a_long_sentence_is_told_of_before_it_is_tagged(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("Ann sees Rome .\n" + "Ann sees Rome again " * (LONG_SENTENCE // 4) + "now\n")
    with one_thread():
        status, out, err = ner_elmo(capsys, "tag", tmp_path / "text", "-m", trained, "-f", "jsonl", *ONE)
    assert status == 0, err
    assert len(out.splitlines()) == 2
    assert f"text:2: found a sentence of {LONG_SENTENCE + 1:,} tokens, which takes long and much memory" in err
    (tmp_path / "text").write_text("Ann sees Rome . " * (LONG_SENTENCE // 3))  # a line of sentences is none
    with one_thread():
        assert "which takes long" not in ner_elmo(capsys, "tag", tmp_path / "text", "-m", trained, *ONE)[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "a " * (MOST_OF_A_SENTENCE + 1),
            f"found {MOST_OF_A_SENTENCE + 1:,} tokens, expected at most 1,000,000",
            marks=pytest.mark.slow,
        ),
        ("x" * (MOST_OF_A_TEXT_LINE + 1), f"found a line of {MOST_OF_A_TEXT_LINE + 1:,} characters, expected at most"),
    ],
    ids=["tokens", "characters"],
)
def test_a_sentence_that_is_too_long_does_not_end_the_others(
    text: str, said: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text(f"Ann sees Rome .\n{text}\nBob sees Oslo .\n")
    command = ["tag", tmp_path / "text", "-m", trained, "-f", "jsonl", "--tokenized", *ONE]
    with one_thread():
        found = attempt(lambda: silent(list(map(str, command)), tmp_path / "log"), 60)
    assert found.kind == ANSWERED, found
    status, written_out = found.value
    assert status == 1
    assert "text:2: could not be tagged (" in written_out
    assert said in written_out
    objects = [json.loads(line) for line in written_out.splitlines() if line.startswith("{")]
    assert [len(one.get("entities", [])) for one in objects if "error" not in one] == [2, 2]
    assert found.megabytes < MEGABYTES, found


def test_a_sentence_that_is_too_long_is_not_embedded(bilm: Path) -> None:
    with pytest.raises(DataError, match="sentence 1: found 1,000,001 tokens"):
        for _ in Elmo.load(bilm).embed([["Ann"], ["a"] * (MOST_OF_A_SENTENCE + 1)]):
            pass
