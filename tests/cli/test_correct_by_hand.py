"""tag → correct by hand → train."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from tests.support.command_line import SMALL


def test_what_is_tagged_and_corrected_is_trained_on(
    toy: Path, bilm: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "in.txt"
    text.write_text("Ann Smith sees Rome City today.\nBob leaves Oslo. Eva visits Lima.\n" * 3, encoding="utf-8")
    tagged = tmp_path / "out.jsonl.gz"
    raw = tmp_path / "out.jsonl"
    assert main(["tag", str(text), "-m", str(trained), "-f", "jsonl", "-o", str(raw), "--threads", "1"]) == 0
    units = [json.loads(line) for line in raw.read_text("utf-8").splitlines()]
    start = units[0]["text"].index("today")
    units[0]["entities"].append({"start": start, "end": start + 5, "label": "DATE"})
    tagged.write_bytes(gzip.compress("\n".join(map(json.dumps, units)).encode()))
    assert main(["check", str(tagged), str(toy / "dev")]) == 0
    model = tmp_path / "model"
    train = ["train-tagger", "--train", str(tagged), "--dev", str(toy / "dev"), "--bilm", str(bilm), "-o", str(model)]
    capsys.readouterr()
    assert main([*train, *SMALL, "--epochs", "2"]) == 0
    err = capsys.readouterr().err
    assert "train: 9 sentences" in err
    assert "DATE 1" in err
    info = json.loads((model / "tagger.json").read_text())
    assert "B-DATE" in info["tags"]
    assert info["data"]["train"]["scheme"] == "spans"
    assert main(["evaluate", str(raw), "-m", str(trained), "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 1
