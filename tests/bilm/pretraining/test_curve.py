"""The picture of a pretraining: well-formed, everything inside, whatever was logged."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from ner_elmo.bilm.pretraining.curve import HEIGHT, WIDTH, draw_curve
from tests.support.events import perplexity, step


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
