"""read_corpus and convert: every format there and back, what stands there already, and nothing printed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ner_elmo import DataError, Reading, UsageError, convert, read_corpus
from ner_elmo.cli.main import main
from ner_elmo.text.formats.targets import TARGETS

NEEDS = {"docbin": "spacy", "parquet": "pyarrow"}
SENTENCES = "Ann\tB-PER\nSmith\tI-PER\nsees\tO\nRome\tB-LOC\n.\tO\n\nBob\tB-PER\nsleeps\tO\n.\tO\n"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    file = tmp_path / "labelled.conll"
    file.write_text(SENTENCES)
    return file


@pytest.mark.parametrize("to", sorted(TARGETS))
def test_every_format_is_written_and_read_again(
    to: str, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if to in NEEDS and importlib.util.find_spec(NEEDS[to]) is None:
        pytest.skip(f"needs {NEEDS[to]}")
    target = tmp_path / f"out.{'txt' if to == 'brat' else to}"
    notices = convert(labelled, target, to=to)
    assert all(isinstance(line, str) for line in notices)
    before = read_corpus(labelled)
    after = read_corpus(target)
    spans = [(s.tokens[span.start : span.end], span.label) for s in before.sentences for span in s.spans]
    found = [(s.tokens[span.start : span.end], span.label) for s in after.sentences for span in s.spans]
    assert found == spans != []
    assert capsys.readouterr() == ("", "")


def test_convert_writes_what_the_command_writes(labelled: Path, tmp_path: Path) -> None:
    convert(labelled, tmp_path / "ours", to="bioes")
    assert main(["convert", str(labelled), str(tmp_path / "theirs"), "--to", "bioes"]) == 0
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert read_corpus(tmp_path / "ours").scheme == "bioes"


def test_convert_replaces_nothing_unasked_and_leaves_nothing_half(labelled: Path, tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        convert(labelled, target, to="bioes")
    assert target.read_text() == "mine"
    convert(labelled, target, to="bioes", force=True)
    assert "S-LOC" in target.read_text()
    with pytest.raises(UsageError, match="is what is read"):
        convert(labelled, labelled, to="bioes", force=True)
    with pytest.raises(UsageError, match="--to odt: unknown"):
        convert(labelled, tmp_path / "new", to="odt")
    labelled.write_text("Ann\tB-PER\nSmith\n")
    with pytest.raises(DataError, match=r"labelled\.conll:2"):
        convert(labelled, tmp_path / "new", to="bioes")
    assert not (tmp_path / "new").exists()


def test_a_bilm_is_converted(bilm: Path, tmp_path: Path) -> None:
    convert(bilm, tmp_path / "half", to="float16")
    assert (tmp_path / "half" / "bilm.json").is_file()
    lines = convert(bilm, tmp_path / "pair", to="bilm-tf")
    assert sorted(file.name for file in (tmp_path / "pair").iterdir()) == ["options.json", "weights.hdf5"]
    assert all(str(tmp_path / "pair") in line for line in lines)
    with pytest.raises(UsageError, match="holds files that are not a model's"):
        convert(bilm, tmp_path, to="float16", force=True)


def test_read_corpus_takes_the_settings_of_check(tmp_path: Path) -> None:
    file = tmp_path / "columns"
    file.write_text("1 Ann PER x\n2 sees O x\n3 Rome LOC x\n")
    corpus = read_corpus(file, Reading(column=2, token_column=1, scheme="none"))
    (sentence,) = corpus.sentences
    assert sentence.tokens == ("Ann", "sees", "Rome")
    assert [(span.start, span.end, span.label) for span in sentence.spans] == [(0, 1, "PER"), (2, 3, "LOC")]
    with pytest.raises(UsageError, match="no such"):
        read_corpus(tmp_path / "none")
