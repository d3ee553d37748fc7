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
