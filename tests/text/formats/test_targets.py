"""Every format that is written is read back as the same, as far as it can hold it; a line says what it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ner_elmo.cli.main import main
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.conversion import Job, convert
from ner_elmo.text.formats.recognition import recognize
from ner_elmo.text.formats.targets import TARGETS
from tests.support.labelled_units import tokenized_units

NAMES = {
    "doccano": "x.jsonl",
    "label-studio": "x.json",
    "prodigy": "x.jsonl",
    "webanno": "x.tsv",
    "conllu": "x.conllu",
    "hf": "x.jsonl",
    "docbin": "x.spacy",
    "parquet": "x.parquet",
    "brat": "x",
    "jsonl": "x.jsonl",
}
NEEDS = {"docbin": "spacy", "parquet": "pyarrow"}
ANYTHING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, database=None)


def require(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])


def there_and_back(folder: Path, units: list[dict[str, Any]], name: str, **how: Any) -> list[dict[str, Any]]:
    source, there, back = folder / "source.jsonl", folder / NAMES[name], folder / "back.jsonl"
    source.write_text("".join(json.dumps(unit) + "\n" for unit in units), encoding="utf-8")
    convert(Job(source, there, name, Reading(**how)))
    assert recognize(there) == name
    convert(Job(there, back, "jsonl", Reading(**how)))
    return [json.loads(line) for line in back.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["jsonl", "doccano", "label-studio", "prodigy", "webanno", "conllu", "brat"])
@given(unit=tokenized_units())
@ANYTHING
def test_text_spans_and_tokens_come_back(tmp_path: Path, name: str, unit: dict[str, Any]) -> None:
    assert there_and_back(tmp_path, [unit, unit], name) == [unit, unit]


@given(unit=tokenized_units())
@ANYTHING
def test_a_docbin_comes_back(tmp_path: Path, unit: dict[str, Any]) -> None:
    require("docbin")
    assert there_and_back(tmp_path, [unit, unit], "docbin") == [unit, unit]


@pytest.mark.parametrize("name", ["hf", "parquet"])
@given(unit=tokenized_units(st.just(" "), st.just("")))
@ANYTHING
def test_tokens_joined_by_blanks_come_back(tmp_path: Path, name: str, unit: dict[str, Any]) -> None:
    require(name)
    assert there_and_back(tmp_path, [unit, unit], name) == [unit, unit]


@pytest.mark.parametrize("name", ["jsonl", "doccano", "label-studio", "prodigy", "conllu", "docbin", "brat"])
@given(units=st.lists(tokenized_units(sentences=3), min_size=1, max_size=3))
@ANYTHING
def test_a_unit_of_several_sentences_comes_back_as_one(tmp_path: Path, name: str, units: list[dict[str, Any]]) -> None:
    require(name)
    assert there_and_back(tmp_path, units, name) == units


@pytest.mark.parametrize("name", ["webanno", "hf", "parquet"])
def test_where_it_does_not_this_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    require(name)
    unit = {"text": "Ann sees. Bob waits.", "entities": [], "tokens": [[[0, 3], [4, 9]], [[10, 13], [14, 20]]]}
    (tmp_path / "a.jsonl").write_text(json.dumps(unit) + "\n")
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / NAMES[name]), "--to", name]) == 0
    assert "has no place for the bounds of units" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["doccano", "label-studio", "prodigy", "docbin", "hf"])
def test_further_keys_come_back(tmp_path: Path, name: str) -> None:
    require(name)
    unit = {"text": "Ann", "entities": [], "tokens": [[[0, 3]]], "id": 5, "meta": {"url": "x"}, "note": ["é"]}
    assert there_and_back(tmp_path, [unit], name) == [unit]


@pytest.mark.parametrize(
    ("name", "lost"),
    [("doccano", "scores"), ("webanno", "further keys, scores"), ("conllu", "further keys, scores"), ("hf", "scores")],
)
def test_what_has_no_place_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, lost: str) -> None:
    source = tmp_path / "a.jsonl"
    entity = {"start": 0, "end": 3, "label": "PER", "score": 0.5}
    source.write_text(json.dumps({"text": "Ann", "entities": [entity], "tokens": [[[0, 3]]], "id": 1}) + "\n")
    assert main(["convert", str(source), str(tmp_path / NAMES[name]), "--to", name]) == 0
    assert f"has no place for {lost}: left out" in capsys.readouterr().err


def test_white_space_is_a_token_in_a_docbin_if_it_was_one(tmp_path: Path) -> None:
    require("docbin")
    unit = {"text": "\u738b \u3000 \u660e", "entities": [], "tokens": [[[0, 1], [2, 3], [4, 5]]]}
    assert there_and_back(tmp_path, [unit], "docbin") == [unit]


def test_columns_come_back_from_a_docbin(tmp_path: Path) -> None:
    require("docbin")
    (tmp_path / "a").write_text("Ann NNP B-PER\ncame VBD O\n\n-DOCSTART- -X- O\n\nBob NNP B-PER\n\n")
    assert main(["convert", str(tmp_path / "a"), str(tmp_path / "x.spacy"), "--to", "docbin"]) == 0
    assert main(["convert", str(tmp_path / "x.spacy"), str(tmp_path / "b"), "--to", "iob2"]) == 0
    assert (tmp_path / "b").read_text() == (tmp_path / "a").read_text()


def test_lines_for_doccano_have_the_same_keys(tmp_path: Path) -> None:
    units = [{"text": "Ann", "entities": [], "id": 3}, {"text": "Bob", "entities": []}, {"text": "Eve", "entities": []}]
    assert there_and_back(tmp_path, units, "doccano") == units
    written = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert written[0] == {"text": "Ann", "label": [], "ner_elmo": {"id": 3}}
    assert [sorted(line) for line in written] == 3 * [["label", "ner_elmo", "text"]]
    assert there_and_back(tmp_path, units[1:], "doccano") == units[1:]
    assert json.loads((tmp_path / "x.jsonl").read_text().splitlines()[0]) == {"text": "Bob", "label": []}


def test_every_task_for_label_studio_has_an_id(tmp_path: Path) -> None:
    units = [{"text": "Ann", "entities": []}, {"text": "Bob", "entities": [], "id": 70}]
    assert there_and_back(tmp_path, units, "label-studio") == units
    assert [task["id"] for task in json.loads((tmp_path / "x.json").read_text())] == [1, 70]


def test_all_places_inside_tokens_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.jsonl", tmp_path / "b"
    unit = {"text": "Annabel came", "entities": [{"start": 0, "end": 3, "label": "PER"}]}
    source.write_text(25 * (json.dumps(unit) + "\n"))
    for name in ("hf", "iob2", "conllu"):
        assert main(["convert", str(source), str(target), "--to", name]) == 3
        error = capsys.readouterr().err
        assert error.count("ends inside the token at 0-7") == 10
        assert "25 such places in all" in error
        assert not target.exists()
    assert main(["convert", str(source), str(target), "--to", "hf", "--inside-tokens", "widen"]) == 0
    assert json.loads(target.read_text().splitlines()[0])["ner_tags"] == ["B-PER", "O"]


def test_webanno_marks_a_part_of_a_token(tmp_path: Path) -> None:
    entity = {"start": 2, "end": 12, "label": "X", "text": "nabel came", "score": 1.0}
    unit = {"text": "Annabel came", "entities": [entity], "tokens": [[[0, 7], [8, 12]]]}
    assert there_and_back(tmp_path, [unit], "webanno") == [unit]
    assert "1-1.1\t2-7\tnabel\t*[1]\tX[1]\t\n" in (tmp_path / "x.tsv").read_text()


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ("docbin", "parquet", "brat", "jsonl")])
def test_no_unit_is_written_as_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_text("")
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "b"), "--to", name]) == 0
    assert (tmp_path / "b").is_file()


@pytest.mark.parametrize(("name", "package"), NEEDS.items())
def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / "a.jsonl").write_text('{"text": "a", "entities": []}\n')
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / NAMES[name]), "--to", name]) == 2
    extra = "spacy" if name == "docbin" else "parquet"
    assert f"pip install 'ner-elmo[{extra}]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_text_without_tokens_is_written(tmp_path: Path, name: str) -> None:
    require(name)
    source = tmp_path / "source.jsonl"
    source.write_text('{"text": "", "entities": []}\n{"text": "Ann", "entities": []}\n{"text": " ", "entities": []}\n')
    convert(Job(source, tmp_path / NAMES[name], name, Reading()))
    assert (tmp_path / NAMES[name]).exists()


@pytest.mark.parametrize("name", ["jsonl", "doccano", "label-studio", "prodigy"])
def test_what_json_lacks_is_null(tmp_path: Path, name: str) -> None:
    source, there = tmp_path / "source.jsonl", tmp_path / NAMES[name]
    source.write_text('{"text": "Ann", "entities": [], "n": NaN, "m": [{"x": 1e999}, -Infinity]}\n')
    convert(Job(source, there, name, Reading()))
    written = there.read_text()
    json.loads(written, parse_constant=lambda word: pytest.fail(word))
    assert '"n": null' in written


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blank", ["\u3000", "\u00a0", "\u2003"])
def test_blanks_that_are_words_of_their_corpus_come_back(tmp_path: Path, name: str, blank: str) -> None:
    """Titles of goods have words such as an ideographic space, also within and at the edges of sentences."""
    require(name)
    source, there, back = tmp_path / "a.conll", tmp_path / NAMES[name], tmp_path / "back.conll"
    source.write_text(f"红\tB-X\n茶\tI-X\n{blank}\tO\n杯\tB-Y\n\n茶\tB-X\n{blank}\tO\n", encoding="utf-8")
    convert(Job(source, there, name, Reading()))
    convert(Job(there, back, "iob2", Reading()))
    assert back.read_text("utf-8").rstrip("\n") == source.read_text("utf-8").rstrip("\n")
