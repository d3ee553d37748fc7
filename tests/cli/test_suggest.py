"""suggest: sentences to label next, in any format that tools take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.write_text("Ann sees Rome .\nAnn sees Rome .\n\nZzz goes to Qqq .\nBob waits .\n")
    return path


def test_text_and_number(trained: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ner_elmo(capsys, "suggest", text, "-m", trained, "--threads", 1)
    assert status == 0
    assert sorted(out.splitlines()) == ["Ann sees Rome .", "Bob waits .", "Zzz goes to Qqq ."]
    status, first, _ = ner_elmo(capsys, "suggest", text, "-m", trained, "-n", 1, "--threads", 1)
    assert first == out.splitlines(keepends=True)[0]


def test_formats(trained: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ner_elmo(capsys, "suggest", text, "-m", trained, "-f", "jsonl", "--threads", 1)
    doubts = [json.loads(line)["doubt"] for line in out.splitlines()]
    assert (status, len(doubts)) == (0, 3)
    assert doubts[0] == max(doubts)
    status, out, _ = ner_elmo(capsys, "suggest", text, "-m", trained, "-f", "label-studio", "--threads", 1)
    assert (status, {task["predictions"][0]["model_version"] for task in json.loads(out)}) == (0, {trained.name})


def test_mistakes(trained: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("\n")
    for expected, said, arguments in (
        (2, "expected one of text, jsonl", [text, "-f", "excel"]),
        (2, "-o", [text, "-f", "brat"]),
        (2, "no such text file", [tmp_path / "none"]),
        (3, "found no sentence", [tmp_path / "empty"]),
    ):
        status, out, error = ner_elmo(capsys, "suggest", *arguments, "-m", trained, "--threads", 1)
        assert (status, out, said in error) == (expected, "", True), error
