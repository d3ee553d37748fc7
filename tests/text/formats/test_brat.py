"""BRAT's folders: pairs in folders of folders, texts without annotations, the labels for BRAT to show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.text.formats.brat import configure
from tests.support.command_line import ner_elmo


def pair(folder: Path, name: str, text: str, annotations: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text)
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
