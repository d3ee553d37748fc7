"""tag: where its text comes from, and what it does not need."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo


def test_standard_input_units_and_tokens(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(text: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status, out, _ = ner_elmo(capsys, "tag", "-", "-m", trained, "-f", "jsonl", "--threads", 1, *arguments)
        assert status == 0
        return [json.loads(line)["text"] for line in out.splitlines()]

    text = "Ann sees\nRome.\n\n\nBob leaves Oslo.\n"
    assert tag(text) == ["Ann sees", "Rome.", "Bob leaves Oslo."]
    assert tag(text, "--unit", "paragraph") == ["Ann sees\nRome.", "Bob leaves Oslo."]
    assert tag(text, "--unit", "file") == ["Ann sees\nRome.\n\n\nBob leaves Oslo."]
    assert tag("Ann sees Rome .\n", "--tokenized") == ["Ann sees Rome ."]
    assert tag("") == []


def test_tagging_imports_neither_seqeval_nor_scikit_learn(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("Ann sees Rome.\n")
    program = (
        "import sys; from ner_elmo.cli.main import main; status = main(sys.argv[1:]); "
        "assert not {'seqeval', 'sklearn'} & set(sys.modules); sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "tag", str(tmp_path / "in"), "-m", str(trained), "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[Ann PER] sees [Rome LOC].\n"


@pytest.mark.parametrize("format", ["doccano", "label-studio", "prodigy", "webanno", "conllu", "hf"])
def test_entities_for_correction_in_other_tools(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    (tmp_path / "in").write_text("Ann sees Rome .\n\nBob waits .\n")
    status, out, _ = ner_elmo(capsys, "tag", tmp_path / "in", "-m", trained, "-f", format, "--threads", 1)
    assert status == 0
    (tmp_path / "out").write_text(out)
    status, out, _ = ner_elmo(capsys, "convert", tmp_path / "out", "-", "--to", "iob2", "--from", format)
    tags = [line.split("\t") for line in out.splitlines() if line]
    assert (status, tags[:3]) == (0, [["Ann", "B-PER"], ["sees", "O"], ["Rome", "B-LOC"]])
    assert ["Bob", "B-PER"] in tags


def test_label_studio_gets_predictions(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("Ann sees Rome .\n")
    _, out, _ = ner_elmo(capsys, "tag", tmp_path / "in", "-m", trained, "-f", "label-studio", "--threads", 1)
    (task,) = json.loads(out)
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == trained.name
    assert prediction["score"] == min(result["score"] for result in prediction["result"]) <= 1.0


def test_a_folder_for_brat_has_to_be_named(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("Ann sees Rome .\n")
    status, _, error = ner_elmo(capsys, "tag", tmp_path / "in", "-m", trained, "-f", "brat", "--threads", 1)
    assert (status, "-o" in error) == (2, True)
    assert ner_elmo(capsys, "tag", tmp_path / "in", "-m", trained, "-f", "brat", "-o", tmp_path / "b")[0] == 0
    assert (tmp_path / "b" / "000001.txt").read_text() == "Ann sees Rome ."
    assert (tmp_path / "b" / "000001.ann").read_text().startswith("T1\tPER 0 3\tAnn\n")


def test_the_terms_of_a_model_that_ships_are_said(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Ann sees Rome .\n", encoding="utf-8")
    said = "for research use only; its terms: ner-elmo info en"
    _, _, error = ner_elmo(capsys, "tag", text)
    assert f"no -m: using the model that ships, en ({said})" in error
    _, _, error = ner_elmo(capsys, "tag", text, "-m", "en")
    assert error.count(said) == 1
    _, _, error = ner_elmo(capsys, "tag", text, "-m", trained)
    assert "research" not in error
