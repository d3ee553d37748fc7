"""evaluate: the figures of the command, from a tagger, a folder or a name, for one file or several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ner_elmo import DataError, LabelScores, Reading, Tagger, UsageError, evaluate
from tests.support.command_line import ner_elmo
from tests.support.toy_language import write_toy


def test_the_figures_are_the_command_s(trained: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = evaluate(trained, [toy / "test", toy / "dev"])
    assert capsys.readouterr() == ("", "")
    status, out, _ = ner_elmo(capsys, "evaluate", toy / "test", toy / "dev", "-m", trained, "--json")
    assert status == 0
    figures = json.loads(out)
    assert 0 < scores.f1 <= 1
    for name in ("precision", "recall", "f1", "accuracy", "sentences", "tokens"):
        assert getattr(scores, name) == figures[name], name
    assert scores.labels == {label: LabelScores(**row) for label, row in figures["labels"].items()}


def test_a_loaded_tagger_gives_the_same(trained: Path, toy: Path) -> None:
    assert evaluate(Tagger.load(trained), toy / "test") == evaluate(str(trained), str(toy / "test"))


def test_warnings_are_told_and_not_printed(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gold").write_text("Ann\tB-PER\nthing\tB-NEW\n")
    events: list[Mapping[str, Any]] = []
    scores = evaluate(trained, tmp_path / "gold", report=events.append)
    assert scores.labels["NEW"].recall == 0
    (event,) = events
    assert event["event"] == "warning"
    assert "NEW" in event["message"]
    assert capsys.readouterr() == ("", "")


def test_how_files_are_read_and_what_is_wrong(trained: Path, tmp_path: Path, toy: Path) -> None:
    write_toy(tmp_path / "plain", 5, 7)
    lines = (tmp_path / "plain").read_text().splitlines()
    (tmp_path / "more").write_text("\n".join(f"{line}\tx" if line else "" for line in lines) + "\n")
    read = Reading(column=1)
    assert evaluate(trained, tmp_path / "more", read) == evaluate(trained, tmp_path / "plain")
    with pytest.raises(UsageError, match="no-such"):
        evaluate("no-such", toy / "test")
    with pytest.raises(UsageError, match="device"):
        evaluate(trained, toy / "test", device="tpu")
    (tmp_path / "bad").write_text("Ann\tB-PER\nSmith\n")
    with pytest.raises(DataError, match="bad:2"):
        evaluate(trained, tmp_path / "bad")
