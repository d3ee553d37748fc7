"""The log of a run, thinned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.runs import log as run_log
from ner_elmo.runs.log import RunLog, read_events
from tests.support.events import perplexity, step


def test_later_steps_are_logged_now_and_then_and_before_every_other_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 1)  # a second passes at every look
    monkeypatch.setattr(run_log.time, "monotonic", lambda: next(clock))
    reported: list[Any] = []
    with RunLog(tmp_path, append=False, report=reported.append) as log:
        for number in range(1, 1001):
            log(step(number, loss=number))
        log(perplexity(1000, 50.0))
        log(step(1001))
    with RunLog(tmp_path, append=True, report=reported.append) as log:
        log({"event": "resume", "step": 1001})
    events = read_events(tmp_path / "log.jsonl")
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps[:100] == list(range(1, 101))
    assert 80 < len(steps[100:]) < 120
    assert steps[-2:] == [1000, 1001]
    assert [event["event"] for event in events][-4:] == ["step", "perplexity", "step", "resume"]
    assert len(reported) == 1003  # whoever watches sees every step
    logged = [event for event in events if event["event"] == "step" and event["step"] <= 1000]
    first, second = logged[100:102]
    between = range(first["step"] + 1, second["step"] + 1)
    assert second["loss"] == pytest.approx(sum(between) / len(between))


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"event": "a"}\n{"event": "b\n{"event": "c"}\n')
    assert [event["event"] for event in read_events(tmp_path / "log.jsonl")] == ["a", "c"]
