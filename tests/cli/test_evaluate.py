"""evaluate: labels that a model lacks, and files of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from tests.support.command_line import ner_elmo


def test_gold_labels_that_the_model_does_not_know(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gold").write_text("Ann\tB-PER\nthing\tB-NEW\n")
    status, out, err = ner_elmo(capsys, "evaluate", tmp_path / "gold", "-m", trained, "--json", "--threads", 1)
    assert status == 0
    assert err.count("warning") == 1
    assert "NEW" in err
    assert json.loads(out)["labels"]["NEW"]["recall"] == 0


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
        (
            "c S-X\nd O\n\na S-X\nb O\n",
            "predicted:1: found another sentence (token 1 is another one), expected",
        ),
        (
            "a S-X\nb O\n\nc S-X\n",
            "predicted:4: found another sentence (of 1 tokens instead of 2), expected",
        ),
    ]:
        predicted.write_text(text)
        assert main(evaluate) == 3
        assert message in capsys.readouterr().err
    assert main([*evaluate, "-m", "en"]) == 2
