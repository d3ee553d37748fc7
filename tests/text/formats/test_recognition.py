"""What a labelled file is, by what is in it, in every command alike."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import tarfile
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from ner_elmo.text.formats.corpus import load_corpus
from ner_elmo.text.formats.recognition import recognize
from ner_elmo.text.tag_scheme import Span
from tests.support.command_line import ner_elmo

FIXTURES = Path(__file__).parents[2] / "fixtures" / "formats"
KINDS = {
    "doccano.jsonl": "doccano",
    "doccano.relations.jsonl": "doccano",
    "doccano.exported.jsonl": "doccano",  # what doccano 1.8.4 exported of what we wrote
    "label_studio.json": "label-studio",
    "label_studio.exported.min.json": "label-studio",  # by the converter of label_studio_sdk 2.1.2
    "label_studio.min.json": "label-studio",
    "prodigy.jsonl": "prodigy",
    "webanno.tsv": "webanno",
    "ne.conllu": "conllu",
    "brackets.conllu": "conllu",
    "hugging_face.jsonl": "hf",
    "spacy.tuples.json": "spacy",
    "spacy.paragraphs.json": "spacy",
}
SPANS = [(Span(0, 2, "PER"), Span(4, 5, "LOC")), ()]


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_exports_of_tools(name: str, kind: str) -> None:
    assert recognize(FIXTURES / name) == kind
    corpus = load_corpus(FIXTURES / name)
    assert [sentence.spans for sentence in corpus.sentences] == SPANS
    assert corpus.sentences[0].tokens == ("Lena", "Vogt", "moved", "to", "Ulm", ".")


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_exports_from_standard_input_and_under_other_names(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (FIXTURES / name).read_bytes()
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    expected = ner_elmo(capsys, "convert", FIXTURES / name, "-", "--to", "iob2")[:2]
    assert expected[1].startswith("Lena\tB-PER\nVogt\tI-PER\n")
    for other in ("a.txt", "a.gz"):
        assert recognize(tmp_path / other) == kind
        assert ner_elmo(capsys, "convert", tmp_path / other, "-", "--to", "iob2")[:2] == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert ner_elmo(capsys, "convert", "-", "-", "--to", "iob2")[:2] == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert ner_elmo(capsys, "check", "-")[0] == 0


def test_columns_that_label_studio_exports() -> None:
    corpus = load_corpus(FIXTURES / "label_studio.exported.conll")
    assert [sentence.spans for sentence in corpus.sentences] == SPANS


def test_tables_in_quotes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = ner_elmo(capsys, "convert", FIXTURES / "label_studio.exported.csv", "-", "--to", "iob2")
    assert (status, "comma-separated values, expected labelled text: export from Label Studio as JSON" in error) == (
        3,
        True,
    )
    rows = ['"text"\t"annotator"', '"Ann came.\n\nShe left\tthen."\t""', '"Bob"\t""']
    (tmp_path / "a").write_text("\n".join(rows) + "\n")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a", "-", "--to", "iob2")
    assert (status, "tab-separated values in quotes" in error, "Ann" in error) == (3, True, False)
    (tmp_path / "a").write_text('"\tO\nAnn\tB-PER\n"\tO\n')
    assert recognize(tmp_path / "a") == "conll"


def test_a_nul_alone_makes_no_wide_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(b"Ann\tB-PER\n\x00\tO\n")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a", "-", "--to", "jsonl")
    assert (status, "binary data (1 NUL" in error, "utf-16" in error) == (3, True, False)
    (tmp_path / "a").write_bytes("Ann\tB-PER\ncame\tO\n".encode("utf-16-le"))
    assert "--encoding utf-16-le" in ner_elmo(capsys, "convert", tmp_path / "a", "-", "--to", "jsonl")[2]
    (tmp_path / "a").write_text("{}")
    assert "JSON of another layout (its keys: none)" in ner_elmo(capsys, "check", tmp_path / "a")[1]


def test_a_saved_data_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "data.arrow").write_bytes(b"\xff\xff\xff\xff\x00\x01")
    for path, expected in ((tmp_path, 2), (tmp_path / "data.arrow", 3)):
        status, _, error = ner_elmo(capsys, "convert", path, "-", "--to", "iob2")
        assert (status, "Dataset.to_parquet" in error) == (expected, True)


def test_numbers_for_tags_need_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = FIXTURES / "hugging_face.numbers.jsonl"
    status, _, error = ner_elmo(capsys, "convert", file, "-", "--to", "iob2")
    assert (status, "--tag-names" in error) == (3, True)
    assert load_corpus(file, tag_names="O,B-PER,I-PER,B-LOC").sentences[0].spans == SPANS[0]
    (tmp_path / "names").write_text("O\nB-PER\nI-PER\nB-LOC\n")
    assert load_corpus(file, tag_names=str(tmp_path / "names")).sentences[0].spans == SPANS[0]


COLUMNS = "Lena\tB-PER\nkam\tO\n\nUlm\tB-LOC\n"


@pytest.mark.parametrize("name", ["train.txt", "a.csv", "a.tsv", "a", "a.json", "a.conllu"])
def test_columns_under_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_text(COLUMNS)
    assert ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "bioes")[:2] == (
        0,
        "Lena\tS-PER\nkam\tO\n\nUlm\tS-LOC\n",
    )


@pytest.mark.parametrize(
    "text",
    [
        "[ O\n1 B-X\n] O\n",
        "{ O\na B-X\n",
        "< O\nb B-X\n> O\n",
        ", O\na,b B-X\n",
        "<doc>\tO\n<p>\tB-X\n",
        '[ O\n"a" B-X\n',
        "# a b\nx O\ny B-X\n",
        "a/O O\nb/B-X B-X\n",
        "T1\tPER\nT2\tO\n",
    ],
)
def test_columns_of_odd_tokens(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    assert recognize(tmp_path / "a") == "conll"


def test_brat_only_where_its_pair_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(COLUMNS)
    assert recognize(tmp_path / "a.txt") == "conll"
    (tmp_path / "a.ann").write_text("")
    assert recognize(tmp_path / "a.txt") == "brat"
    assert recognize(tmp_path / "a.txt", "conll") == "conll"
    (tmp_path / "empty").mkdir()
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "empty", "-", "--to", "jsonl")
    assert (status, "no .ann file" in error) == (2, True)


def tar(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


NOT_READ = {
    "a.csv": (b'Word,POS,Tag\nLena,NNP,B-per\n",",",",O\n', "comma-separated values"),
    "b.csv": (b"Word;Tag\nLena;B-per\nkam;O\n", "semicolon-separated values"),
    "a.xml": (b'<?xml version="1.0"?>\n<s><w ne="PER">Lena</w></s>\n', "XML"),
    "b.xml": (b"<corpus>\n<s>Lena</s>\n</corpus>\n", "XML"),
    "a.html": (b"<!DOCTYPE html>\n<html><body>Lena</body></html>\n", "HTML"),
    "a.iob": (b"Lena|B-PER kam|O\nUlm|B-LOC .|O\n", "word|TAG"),
    "a.json": (b'{"documents": [{"body": "Lena"}]}', '"documents"'),
    "utf16": (COLUMNS.encode("utf-16"), "--encoding utf-16"),
    "utf16le": (COLUMNS.encode("utf-16-le"), "--encoding utf-16-le"),
    "utf16be": (COLUMNS.encode("utf-16-be"), "--encoding utf-16-be"),
    "a.tar": (tar(COLUMNS.encode()), "tar archive"),
    "a.tar.gz": (gzip.compress(tar(COLUMNS.encode())), "tar archive"),
    "a.pkl": (pickle.dumps([("Lena", "B-PER")]), "pickle"),
    "a.zip": (b"PK\x03\x04rest", "zip"),
    "entities": (b"T1\tPER 0 4\tLena\n", "BRAT"),
    "old.tsv": (b"#FORMAT=WebAnno TSV 2.0\n", "v3.3"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_not_read_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data, expected = NOT_READ[name]
    path = tmp_path / name
    path.write_bytes(data)
    for arguments in (["convert", path, tmp_path / "out", "--to", "jsonl"], ["evaluate", path]):
        status, out, error = ner_elmo(capsys, *arguments)
        assert (status, out) == (3, "")
        said = [line for line in error.splitlines() if "no -m" not in line]
        assert len(said) == 1, error
        assert said[0].startswith(f"ner-elmo: {path}:1: found ")
        assert expected in said[0]
    assert not (tmp_path / "out").exists()
    status, out, _ = ner_elmo(capsys, "check", path, "--json")
    (report,) = json.loads(out)["files"]
    assert (status, len(report["errors"])) == (3, 1)
    assert expected in report["errors"][0]["message"]
    if not name.endswith(".gz"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert main(["check", "-"]) == 3
        assert expected in capsys.readouterr().out


def test_damaged_parquet_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    for data in (b"PAR1" + bytes(500) + b"PAR1", b"PAR1" + bytes(20)):
        path.write_bytes(data)
        status, out, error = ner_elmo(capsys, "convert", path, "-", "--to", "jsonl")
        assert (status, out) == (3, "")
        assert error.startswith(f"ner-elmo: {path}:1: found a damaged file of Parquet")


def test_one_error_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ('{"text": "Ann", "label": ["good"]}', '{"text": "Ann", "entities": [{"start": 0, "end": 9}]}'):
        (tmp_path / "a.jsonl").write_text(line)
        _, out, _ = ner_elmo(capsys, "check", tmp_path / "a.jsonl", "--json")
        assert len(json.loads(out)["files"][0]["errors"]) == 1


def test_another_kind_than_the_named_one_is_no_silent_loss(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("prodigy", "hf", "jsonl", "label-studio", "webanno", "conllu", "spacy"):
        status, _, _ = ner_elmo(capsys, "check", FIXTURES / "doccano.relations.jsonl", "--from", kind)
        assert status == 3, kind


def test_the_flag_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("a,b O\nc,d B-X\n")
    assert ner_elmo(capsys, "convert", tmp_path / "a.csv", "-", "--to", "iob2", "--from", "conll")[0] == 0
    status, _, error = ner_elmo(capsys, "check", tmp_path / "a.csv", "--from", "excel")
    assert (status, "--from" in error, "doccano" in error) == (2, True, True)


def test_an_array_over_many_lines(tmp_path: Path) -> None:
    units = [{"text": "Ann sees Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}]}, {"text": "Bob left."}]
    units[1]["entities"] = []
    for indent in (None, 1):
        (tmp_path / "a.json").write_text(json.dumps(units, indent=indent))
        assert recognize(tmp_path / "a.json") == "jsonl"
        assert [s.spans for s in load_corpus(tmp_path / "a.json").sentences] == [(Span(0, 1, "PER"),), ()]
