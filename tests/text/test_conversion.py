"""convert: there and back without loss, between tag schemes, CoNLL, JSONL and BRAT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ner_elmo.cli.main import main
from ner_elmo.text.corpus import load_corpus
from ner_elmo.text.tag_scheme import Span

FOUR_COLUMNS = (
    "-DOCSTART- -X- -X- O\n\n# remark = 1 2 3\nEU NNP  I-NP I-ORG\nof IN I-PP O\n# # # I-MISC\nUS NNP I-NP B-MISC\n\n"
    "\u00a0 Z I-NP I-PER\n"
)
UNITS = [
    {
        "text": "Ann sees Rome. She waits.",
        "entities": [
            {"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 1.0},
            {"start": 9, "end": 13, "label": "LOC", "text": "Rome", "score": 1.0},
        ],
    },
    {"text": "\U0001f600 Zoë", "entities": [{"start": 2, "end": 5, "label": "PER", "text": "Zoë", "score": 1.0}]},
    {"text": "", "entities": []},
]


def convert(source: Path, target: Path, to: str, *more: str) -> Path:
    assert main(["convert", str(source), str(target), "--to", to, *more]) == 0
    return target


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(unit, ensure_ascii=False) + "\n" for unit in UNITS), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["iob2", "bioes", "bmes", "conll"])
def test_schemes_there_and_back_keep_every_column(tmp_path: Path, scheme: str) -> None:
    source = tmp_path / "a"
    source.write_text(FOUR_COLUMNS, encoding="utf-8")
    there = convert(source, tmp_path / "b", scheme)
    assert there.read_text("utf-8") != FOUR_COLUMNS
    assert load_corpus(there).sentences == load_corpus(source).sentences
    assert convert(there, tmp_path / "c", "iob1").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_samples_there_and_back(repository: Path, tmp_path: Path, part: str) -> None:
    source = repository / "data" / f"sample.{part}.conll"
    there = convert(source, tmp_path / "a.jsonl", "jsonl")
    assert load_corpus(there).sentences == load_corpus(source).sentences
    assert load_corpus(convert(there, tmp_path / "b", "iob2")).sentences == load_corpus(source).sentences
    brat = convert(source, tmp_path / "x.ann", "brat")
    assert (
        load_corpus(convert(brat, tmp_path / "c", "bioes", "--text", "whitespace")).sentences
        == load_corpus(source).sentences
    )


@given(
    st.lists(
        st.lists(
            st.tuples(st.text("ab #\u00a0é\u4e2d", max_size=3), st.sampled_from(["O", "B-X", "I-X", "B-Y"])), min_size=1
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, database=None)
def test_any_tokens_come_back_from_jsonl(tmp_path: Path, sentences: list[list[tuple[str, str]]]) -> None:
    source = tmp_path / "a"
    source.write_text("\n".join("".join(f"{a}\t{b}\n" for a, b in s) for s in sentences), encoding="utf-8")
    there = convert(source, tmp_path / "a.jsonl", "jsonl", "--force")
    assert load_corpus(there).sentences == load_corpus(source).sentences


@pytest.mark.parametrize("target", ["x.ann", "x.txt", "folder"])
def test_jsonl_and_brat_there_and_back(jsonl: Path, tmp_path: Path, target: str) -> None:
    there = convert(jsonl, tmp_path / target, "brat")
    assert convert(there, tmp_path / "b.jsonl", "jsonl").read_bytes() == jsonl.read_bytes()


def test_a_text_of_several_lines_needs_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = {"text": "Ann\nLee sees.", "entities": [{"start": 0, "end": 7, "label": "PER"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(unit), encoding="utf-8")
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "x.ann"), "--to", "brat"]) == 2
    assert "unit 1 has several lines" in capsys.readouterr().err
    assert not (tmp_path / "x.ann").exists()
    folder = convert(tmp_path / "a.jsonl", tmp_path / "x", "brat")
    assert (folder / "000001.ann").read_text() == "T1\tPER 0 3;4 7\tAnn Lee\n"
    back = json.loads(convert(folder, tmp_path / "b.jsonl", "jsonl").read_text())
    assert (back["text"], back["entities"][0]["text"]) == ("Ann\nLee sees.", "Ann\nLee")


def test_brat_as_annotators_leave_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_bytes(b"Ann sees Rome.\n\nBob and Eva Lee wait.\n")
    lines = [
        "T2\tLOC 9 13\tRome",
        "R1\tIn Arg1:T1 Arg2:T2",
        "T1\tPER 0 3\tAnn",
        "T3\tPER 16 19;28 31\tBob Lee",
        "#1\tNote T1\tx",
    ]
    (tmp_path / "a.ann").write_text("\n".join(lines) + "\n")
    out = convert(tmp_path / "a.ann", tmp_path / "b.jsonl", "jsonl")
    units = [json.loads(line) for line in out.read_text().splitlines()]
    assert [unit["text"] for unit in units] == ["Ann sees Rome.", "", "Bob and Eva Lee wait."]
    assert [[e["text"] for e in unit["entities"]] for unit in units] == [["Ann", "Rome"], [], []]
    err = capsys.readouterr().err
    assert "a.ann:4: found discontinuous PER at 16 19;28 31" in err
    assert "a.ann:2: found 2 lines that are no entities" in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tPER 0 99\tAnn", "a.ann:1: found offsets 0 99"),
        ("T1\tPER 0 3\tBob", "a.ann:1: found text 'Bob', expected 'Ann'"),
        ("T1 PER", "a.ann:1: found 'T1 PER', expected T1<TAB>LABEL"),
        ("T1\tPER 0 3\tAnn\nT2\tLOC 0 8\tAnn sees", "which overlaps another entity"),
    ],
)
def test_damaged_brat(tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Ann sees Rome.\n")
    (tmp_path / "a.ann").write_text(line + "\n")
    assert main(["convert", str(tmp_path / "a.ann"), str(tmp_path / "b"), "--to", "jsonl"]) == 3
    assert message in capsys.readouterr().err


def test_a_boundary_inside_a_token_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "Annie sees.", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n')
    assert main(["convert", str(path), str(tmp_path / "b"), "--to", "iob2"]) == 3
    found = "a.jsonl:2: found PER 'Ann' at 0-3, which ends inside the token 'Annie', expected 0 or 5 there"
    assert found in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_sentences_that_an_entity_goes_through_are_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "I like Foo! The Band here. So do we.", "entities": [{"start": 7, "end": 20, "label": "ORG"}]}'
    )
    assert [s.spans for s in load_corpus(path).sentences] == [(Span(2, 6, "ORG"),), ()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "found no JSON"),
        ("[1]", 'found no "text"'),
        ('{"text": "a"}', 'found no list of "entities"'),
        ('{"text": "ab", "entities": [{"start": 0, "end": 3, "label": "X"}]}', "found an entity from 0 to 3, expected"),
        ('{"text": "ab", "entities": [{"start": 0, "end": 2, "label": "X Y"}]}', 'found label "X Y"'),
        ('{"text": "ab", "entities": [{"start": 0, "end": 2, "label": "X", "text": "a"}]}', 'found "a" as the text'),
        (
            '{"text": "a b", "entities": [{"start": 0, "end": 3, "label": "X"}, {"start": 2, "end": 3, "label": "Y"}]}',
            "do not overlap",
        ),
        ('{"text": "a b", "entities": [{"start": 1, "end": 2, "label": "X"}]}', "which holds no token"),
        ('{"text": "a\\ud800", "entities": []}', "half of a surrogate pair"),
        ('{"text": "a", "entities": [], "tokens": [[[0, 9]]]}', 'found other "tokens"'),
    ],
)
def test_damaged_jsonl(tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    assert main(["check", str(tmp_path / "a.jsonl")]) == 3
    out = capsys.readouterr().out
    assert "a.jsonl:1: found" in out
    assert message in out


def test_wrong_usage(tmp_path: Path, jsonl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for arguments, message in [
        ([jsonl, out, "--to", "xml"], "--to xml: unknown; expected conll, iob1"),
        ([tmp_path / "none", out, "--to", "iob2"], "no such file"),
        ([jsonl, jsonl, "--to", "iob2"], "exists already"),
        ([jsonl, tmp_path, "--to", "iob2", "--force"], "is a directory"),
        ([jsonl, "-", "--to", "brat"], "BRAT is files in pairs"),
        ([jsonl, out, "--to", "conll", "--text", "klingon"], "unknown kind of text 'klingon'"),
    ]:
        assert main(["convert", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
