"""The log of a run, thinned, and its picture."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.bilm.pretraining.curve import HEIGHT, WIDTH, draw_curve
from ner_elmo.runs import log as run_log
from ner_elmo.runs.log import RunLog, read_events


def step(number: int, loss: float = 5.0) -> dict[str, Any]:
    return {"event": "step", "step": number, "tokens": 100 * number, "forward": loss - 1, "backward": loss + 1}


def perplexity(number: int, mean: float) -> dict[str, Any]:
    return {"event": "perplexity", "step": number, "tokens_seen": 100 * number, "mean": mean}


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


def test_the_picture_is_well_formed_and_everything_lies_inside() -> None:
    events: list[dict[str, Any]] = [{"event": "start", "softmax": "sampled (8) & <more>"}]
    events += [step(number, 6 - number / 1000) for number in range(1, 2000)]
    events += [step(5, float("inf")), perplexity(500, 300.0), perplexity(1000, 100.0), perplexity(500, 301.0)]
    events += [{"event": "finished", "unigram_perplexity": 900.0}]
    root = ElementTree.fromstring(draw_curve(events))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        assert 2 <= len(points) <= 300
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert points[0][1] < points[-1][1]  # it falls
    assert len(root.findall(f"{space}circle")) == 2  # a step that was done again counts once
    texts = [text.text for text in root.findall(f"{space}text")]
    assert "a unigram model's 900" in texts
    assert {"100", "200", "500"} <= set(texts)


@pytest.mark.parametrize("events", [[], [step(1)], [perplexity(1, 3.0)], [step(1), step(2), perplexity(2, 1.0)]])
def test_a_picture_of_little(events: list[dict[str, Any]]) -> None:
    ElementTree.fromstring(draw_curve(events))
