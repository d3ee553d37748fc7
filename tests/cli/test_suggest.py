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
    status, out, _ = ner_elmo(
        capsys, "suggest", text, "-m", trained, "-f", "jsonl", "--per", "sentence", "--threads", 1
    )
    assert (status, json.loads(out.splitlines()[0])["doubt"] > doubts[0]) == (0, True)
    status, out, _ = ner_elmo(capsys, "suggest", text, "-m", trained, "-f", "label-studio", "--threads", 1)
    assert (status, {task["predictions"][0]["model_version"] for task in json.loads(out)}) == (0, {trained.name})


def test_texts_in_objects_and_tables(
    trained: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in text.read_text().split("\n") if line]
    expected = ner_elmo(capsys, "suggest", text, "-m", trained, "--threads", 1)[1]
    objects = [*({"text": line, "id": n} for n, line in enumerate(lines)), {"id": 9}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in objects))
    (tmp_path / "a.csv").write_text("id,body\n" + "".join(f"{n},{line}\n" for n, line in enumerate(lines)))
    status, out, error = ner_elmo(capsys, "suggest", tmp_path / "a.jsonl", "-m", trained, "--threads", 1)
    assert (status, out) == (0, expected)
    assert "a.jsonl:5: left out (text: found nothing, expected text)" in error
    arguments = ["-m", trained, "--threads", 1]
    assert ner_elmo(capsys, "suggest", tmp_path / "a.csv", "--text-field", "body", *arguments)[:2] == (0, expected)
    status, out, error = ner_elmo(capsys, "suggest", tmp_path / "a.csv", *arguments)
    assert (status, out, "--text-field" in error) == (3, "", True)


def test_what_is_no_running_text_is_said(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line, said in (("Ann\tB-PER", "a token with its columns"), ('{"text": "Ann"}', "nearly every line is JSON")):
        (tmp_path / "a.txt").write_text(f"{line}\n" * 30)
        status, _, error = ner_elmo(capsys, "suggest", tmp_path / "a.txt", "-m", trained, "--threads", 1)
        assert (status, said in error) == (0, True)


def test_mistakes(trained: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("\n")
    for expected, said, arguments in (
        (2, "expected one of text, jsonl", [text, "-f", "excel"]),
        (2, "-o", [text, "-f", "brat"]),
        (2, "--per word: unknown; expected one of token, sentence", [text, "--per", "word"]),
        (2, "no such text file", [tmp_path / "none"]),
        (3, "found no sentence", [tmp_path / "empty"]),
        (2, "", [text, "-o", text, "--force"]),
    ):
        status, out, error = ner_elmo(capsys, "suggest", *arguments, "-m", trained, "--threads", 1)
        assert (status, out, said in error) == (expected, "", True), error
