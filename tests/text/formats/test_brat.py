"""BRAT's folders: pairs in folders of folders, texts without annotations, the labels for BRAT to show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.text.formats.brat import configure
from tests.support.command_line import ner_elmo


def pair(folder: Path, name: str, text: str, annotations: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text, newline="")
    if annotations is not None:
        (folder / f"{name}.ann").write_text(annotations)


def test_pairs_in_folders_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair(tmp_path / "b" / "part2", "x", "Bob", "T1\tPER 0 3\tBob\n")
    pair(tmp_path / "b" / "part10", "x", "Eve", "T1\tPER 0 3\tEve\n")
    status, out, error = ner_elmo(capsys, "convert", tmp_path / "b", "-", "--to", "jsonl")
    assert (status, [json.loads(line)["text"] for line in out.splitlines()], error) == (0, ["Bob", "Eve"], "")
    pair(tmp_path / "b", "y", "Ann", "")
    pair(tmp_path / "b" / "part2", "later", "None yet", None)
    status, out, error = ner_elmo(capsys, "convert", tmp_path / "b", "-", "--to", "jsonl")
    assert sorted(json.loads(line)["text"] for line in out.splitlines()) == ["Ann", "Bob", "Eve"]
    assert "a .txt file has no .ann file beside it: left out (part2/later.txt)" in error
    status, out, _ = ner_elmo(capsys, "check", tmp_path / "b")
    assert (status, "2 entities: PER 2" in out, "left out (part2/later.txt)" in out) == (0, True, True)


def test_a_folder_says_its_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("Ann B-PER\nUlm B-LOC\n\nBob B-PER\n")
    assert ner_elmo(capsys, "convert", tmp_path / "a", tmp_path / "b", "--to", "brat")[0] == 0
    assert (tmp_path / "b" / "annotation.conf").read_text().startswith("[entities]\nLOC\nPER\n[relations]\n")


def test_a_folder_written_before_may_be_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("Ann B-PER\nUlm B-LOC\n\nBob B-PER\n")
    target = tmp_path / "b"
    for force in ([], ["--force"]):
        assert ner_elmo(capsys, "convert", tmp_path / "a", target, "--to", "brat", *force)[0] == 0
    (target / "notes.md").write_text("mine")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a", target, "--to", "brat", "--force")
    assert (status, "holds files that are not BRAT's: notes.md" in error) == (2, True)


def test_a_folder_of_configurations_alone_is_anothers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("Ann B-PER\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "annotation.conf").write_text("mine")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a", tmp_path / "b", "--to", "brat", "--force")
    assert (status, "annotation.conf" in error) == (2, True)


def test_configurations_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "annotation.conf").write_text("mine")
    configure(tmp_path, ["PER", "Invoice Number"])
    assert (tmp_path / "annotation.conf").read_text() == "mine"
    assert "Invoice_Number\tbgColor:#" in (tmp_path / "visual.conf").read_text()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_lf_crlf_or_cr(tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str) -> None:
    text = f"Ann sees.{end}{end}Bob Lee{end}waits in Rome.{end}"
    bob, rome = text.index("Bob"), text.index("Rome")
    entities = f"T1\tPER 0 3\tAnn\nT2\tPER {bob} {bob + 3}\tBob\nT3\tLOC {rome} {rome + 4}\tRome\n"
    pair(tmp_path, "x", text, entities)
    status, out, error = ner_elmo(capsys, "convert", tmp_path / "x.txt", "-", "--to", "jsonl")
    units = [json.loads(line) for line in out.splitlines()]
    assert (status, error) == (0, "")
    assert [unit["text"] for unit in units] == ["Ann sees.", "", "Bob Lee", "waits in Rome."]
    assert [(e["start"], e["text"]) for unit in units for e in unit["entities"]] == [
        (0, "Ann"),
        (0, "Bob"),
        (9, "Rome"),
    ]
    lee = text.index("Lee")
    pair(tmp_path, "x", text, f"T1\tX {lee} {lee + 3};{rome - 9} {rome + 4}\tLee waits in Rome\n")
    status, out, error = ner_elmo(capsys, "convert", tmp_path / "x.txt", "-", "--to", "jsonl")
    joined = json.loads(out.splitlines()[2])
    assert joined["text"] == f"Bob Lee{end}waits in Rome."
    assert joined["entities"][0]["text"] == f"Lee{end}waits in Rome"
    assert "x.txt:3-4: found an entity that goes through these lines; read as one unit" in error


@pytest.mark.parametrize("target", ["x", "x.ann"])
def test_carriage_returns_of_a_unit_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str) -> None:
    texts = ["Ann\rBob\r", "\r", "Eve"] if target == "x.ann" else ["Ann\r\nBob\rEve\n", "\r\n"]
    entities = [[{"start": text.index(name), "end": text.index(name) + 3, "label": "PER"} for name in ("Bob",)
                 if name in text] for text in texts]  # fmt: skip
    lines = [json.dumps({"text": text, "entities": found}) for text, found in zip(texts, entities, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a.jsonl", tmp_path / target, "--to", "brat")
    assert (status, error) == (0, f"{tmp_path / target}: written as brat\n")
    status, out, error = ner_elmo(capsys, "convert", tmp_path / target, "-", "--to", "jsonl")
    assert (status, [json.loads(line)["text"] for line in out.splitlines()], error) == (0, texts, "")


def test_all_that_is_wrong_in_a_folder_is_told_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "b"
    pair(folder / "a", "x", "Ann Lee came", "T1\tPER 0 7\tAnn Lee\nT2\tPER 4 7\tLee\nT3\tPER 5 7\tee\n")
    pair(folder, "y", "Bob", "T1\tPER 0 9\tBob\n")
    pair(folder, "z", "Annabel came", "T1\tPER 0 3\tAnn\n")
    pair(folder, "z2", "Eve", "T1\tPER 0 3\tEve\n")
    status, out, _ = ner_elmo(capsys, "check", folder)
    assert (status, "3 errors" in out, "1 entity: PER 1" in out) == (3, True, True)
    assert "x.ann:2: found PER at 4-7, which overlaps another entity, as do others: 2 entities (lines 2-3)" in out
    assert "y.ann:1: found offsets 0 9" in out
    assert f"{folder}:1: z.txt:1: found PER at 0-3, which ends inside the token" in out
    for command in (["convert", folder, tmp_path / "o", "--to", to] for to in ("jsonl", "iob2")):
        status, out, error = ner_elmo(capsys, *command)
        assert (status, out, "x.ann:2:" in error, "y.ann:1:" in error) == (3, "", True, True)
    assert not (tmp_path / "o").exists()
