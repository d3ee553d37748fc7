"""tag → correct by hand → train; and scoring a file of predictions."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main

SMALL = ["--hidden-size", "12", "--word-dim", "8", "--lr", "0.02", "--batch-sentences", "8", "--epochs", "2"]
SMALL += ["--threads", "1", "--device", "cpu"]


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
    assert main([*train, *SMALL]) == 0
    err = capsys.readouterr().err
    assert "train: 9 sentences" in err
    assert "DATE 1" in err
    info = json.loads((model / "tagger.json").read_text())
    assert "B-DATE" in info["tags"]
    assert info["data"]["train"]["scheme"] == "spans"
    assert main(["evaluate", str(raw), "-m", str(trained), "--json", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 1


def test_leakage_is_said_at_the_start(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train-tagger", "--train", str(toy / "train"), "--dev", str(toy / "train"), "-o", str(tmp_path / "m")]
    assert main([*train, *SMALL[:-6], "--epochs", "1", *SMALL[-4:]]) == 0
    assert "warning: dev: 120 sentences stand in an earlier part, too" in capsys.readouterr().err


def test_predictions_are_held_to_the_gold_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, predicted = tmp_path / "gold", tmp_path / "predicted"
    gold.write_text("a I-X\nb O\n\nc B-X\nd I-Y\n")
    predicted.write_text("a S-X\nb S-Y\n\nc S-X\nd O\n")
    evaluate = ["evaluate", str(gold), "--predictions", str(predicted), "--json"]
    assert main(evaluate) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["precision"], figures["recall"]) == (2 / 3, 2 / 3)
    for text, message in [
        ("a S-X\nb O\n", "predicted:1: found 1 sentences, expected as many as in the gold standard: 2"),
        ("c S-X\nd O\n\na S-X\nb O\n", "predicted:1: found the sentence 'c d' of 2 tokens, expected sentence 1 of"),
        ("a S-X\nb O\n\nc S-X\n", "predicted:4: found the sentence 'c' of 1 tokens, expected sentence 2 of"),
    ]:
        predicted.write_text(text)
        assert main(evaluate) == 3
        assert message in capsys.readouterr().err
    assert main([*evaluate, "-m", "en"]) == 2
