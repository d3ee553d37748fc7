"""Whatever the bytes: sentences, or one error with file and line; and no token is lost."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ner_elmo.errors import DataError
from ner_elmo.text.formats.check import check_files
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.corpus import load_corpus

WORDS = "a|Berlin|#|# x = y|-DOCSTART-|O|B-PER|I-PER|E-X|U-X|PER|=|B-|-|é|😀|\u00a0|\u3000|\u200b|\x0b|\x00"
BREAKS = " |  |\t|\n|\n\n|\r\n|\r|\u2028|\ufeff"
PIECES = st.sampled_from(f"{WORDS}|{BREAKS}".split("|"))
TEXTS = st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode())
BYTES = st.one_of(TEXTS, st.binary(max_size=200))
ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)


def n_token_lines(data: bytes) -> int:
    """Lines that are neither blank, nor a document's mark, nor begin with ``#``; slow and obvious."""
    lines = [line.removesuffix("\r") for line in data.decode().removeprefix("\ufeff").split("\n")]
    return sum(bool(line.strip()) and not re.match(r"-DOCSTART-([ \t]|\Z)|#", line) for line in lines)


def n_hash_lines(data: bytes) -> int:
    return sum(line.startswith("#") for line in data.decode().removeprefix("\ufeff").split("\n"))


def require_place(error: DataError, path: Path) -> None:
    assert re.match(rf"{re.escape(str(path))}:[0-9]+: found .*expected", str(error), re.DOTALL), str(error)
    assert check_files([path], Reading())[0].errors


def holds(path: Path, data: bytes) -> bool:
    """Whether the file was read; if not, the error was one with its place."""
    path.write_bytes(data)
    try:
        corpus = load_corpus(path)
    except DataError as error:
        require_place(error, path)
        return False
    n_tokens = sum(len(sentence.tokens) for sentence in corpus.sentences)
    assert corpus.sentences
    n_comments = sum(warning.kind == "comment" for warning in corpus.warnings)
    assert n_tokens == n_token_lines(data) + n_hash_lines(data) - n_comments
    return True


@given(data=BYTES)
@settings(ANYWHERE, max_examples=300)
def test_any_bytes(data: bytes, tmp_path: Path) -> None:
    holds(tmp_path / "x.conll", data)


@pytest.mark.slow
@given(data=BYTES)
@settings(ANYWHERE, max_examples=4000)
def test_any_bytes_at_length(data: bytes, tmp_path: Path) -> None:
    holds(tmp_path / "x.conll", data)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, taken out, put in, or repeated."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, length = rng.randrange(len(found) + 1), rng.choice([1, 1, 2, 10])
        new = rng.choice(
            [bytes(rng.randrange(256) for _ in range(length)), rng.choice([b"\n", b"\t", b" ", b"\r\n", b"#"])]
        )
        kind = rng.choice(["change", "put", "take", "repeat"])
        if kind == "change":
            found[place : place + len(new)] = new
        elif kind == "put":
            found[place:place] = new
        elif kind == "take":
            del found[place : place + length]
        else:
            found[place:place] = found[place : place + 40]
    return bytes(found)


def excerpts(folder: Path, rng: random.Random) -> list[bytes]:
    """A few dozen lines of every file."""
    pieces = []
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        lines = path.read_bytes().split(b"\n")
        start = rng.randrange(max(1, len(lines) - 30))
        pieces.append(b"\n".join(lines[start : start + 30]) + b"\n")
    return pieces


def fuzz(folder: Path, path: Path, n_cases: int) -> None:
    rng = random.Random(0)
    read = 0
    for case in range(n_cases):
        if case % 280 == 0:
            sources = excerpts(folder, rng)
        read += holds(path, mutated(rng.choice(sources), rng))
    assert 0 < read < n_cases


def test_samples_with_bytes_changed(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for part in ("train", "dev"):
        (folder / part).write_bytes((repository / "data" / f"sample.{part}.conll").read_bytes())
    fuzz(folder, tmp_path / "x.conll", 200)


@pytest.mark.slow
def test_real_files_with_bytes_changed(shared: Path, tmp_path: Path) -> None:
    fuzz(shared / "data" / "ner", tmp_path / "x.conll", 10_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.text("ab \u4e2d\ud800", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "entities", "start", "end", "label", "tokens", "error"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)
ENTITY = st.fixed_dictionaries(
    {"start": st.integers(-1, 9), "end": st.integers(-1, 12), "label": st.sampled_from(["PER", "", "a b", 3])}
)
UNIT = st.fixed_dictionaries(
    {"text": st.text("ab .", max_size=9), "entities": st.lists(ENTITY, max_size=2)}, optional={"tokens": JSON}
)


@given(lines=st.lists(st.one_of(JSON.map(json.dumps), UNIT.map(json.dumps), st.text(max_size=20)), max_size=4))
@settings(ANYWHERE, max_examples=300)
def test_any_lines_of_json(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    try:
        assert load_corpus(path).sentences
    except DataError as error:
        require_place(error, path)


def test_json_of_great_depth(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"x.jsonl:1: found no JSON"):
        load_corpus(path)
