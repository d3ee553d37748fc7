"""What all pictures share."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from ner_elmo.pages.charts import (
    Panel,
    bar,
    dot,
    frame,
    legend,
    level,
    line,
    log_ticks,
    padded_range,
    svg,
    ticks,
    whisker,
)


def test_ticks_are_round() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(3.9, 5.9) == pytest.approx([4, 4.5, 5, 5.5])
    assert ticks(0, 3.1e6) == [0, 1e6, 2e6, 3e6]
    assert ticks(2, 2) == [2]
    assert log_ticks(1, 100) == [1, 2, 5, 10, 20, 50, 100]


def test_ranges_have_a_margin_and_never_no_width() -> None:
    assert padded_range([]) == (1, 10)
    for values in ([3.0], [1.0, 5.0]):
        low, high = padded_range(values)
        assert low < min(values) <= max(values) < high


def test_a_picture_is_well_formed_and_said_in_words() -> None:
    panel = Panel("a & b", 40, 30, 300, 100, (0, 10), (0, 1))
    parts = [
        *frame(panel, "x < y"),
        line(panel, [], "red"),
        line(panel, [(0, 0), (10, 1)], "red", dashed=True),
        dot(panel, (5, 0.5), "red", "<5>"),
        whisker(panel, 5, (0.2, 0.8), "red"),
        bar(panel, (1, 2), 0.5, "red", "&"),
        level(panel, 0.5, "half & half"),
        *legend(["one", "another"], 0, 10, len, 5),
    ]
    root = ElementTree.fromstring(svg(parts, 400, 200, "F1 & more", "rises from 0 to 1", background="white"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    assert [child.text for child in root[:2]] == ["F1 & more", "rises from 0 to 1"]
    (points,) = root.findall(f"{space}polyline")
    assert points.attrib["points"] == "40.0,130.0 340.0,30.0"
    heights = [text.attrib["y"] for text in root.findall(f"{space}text") if text.text in ("one", "another")]
    assert heights == ["10.0", "26.0"]  # no room for both in a row
