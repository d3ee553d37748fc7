"""What is drawn and tabled of how time and memory grow, and the text that is measured with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def growth(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("growth")


@pytest.fixture
def points(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("growth_points")


def test_a_table_has_a_line_for_each_value_and_blanks_where_a_curve_has_none(growth: ModuleType) -> None:
    tagging = [{"x": 4, "tokens": 3000, "seconds": 2.0, "peak_mb": 350}]
    training = [
        {"x": 4, "tokens": 100, "seconds": 1.0, "peak_mb": 400},
        {"x": 500, "tokens": 100, "seconds": 4.0, "peak_mb": 1800},
    ]
    assert growth.table({"labels-tagging": tagging, "labels-training": training}).splitlines()[2:] == [
        "| 4 | 1,500 | 350 | 100 | 400 |",
        "| 500 |  |  | 25 | 1,800 |",
    ]


def test_every_curve_is_measured_and_stands_in_one_picture(growth: ModuleType, points: ModuleType) -> None:
    shown = [curve for _, curves in growth.PICTURES.values() for curve in curves]
    assert sorted(shown) == sorted(growth.CURVES) == sorted(points.POINTS)


def test_a_text_that_ends_goes_on_with_new_words(points: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a singular word\nthe next\n", encoding="utf-8")
    asked = points.Asked(text=[tmp_path / "text.txt"], folder=tmp_path)
    path, tokens = points.text_of(asked, 60)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == ["a singular word", "the next", "a singular1 word", "the next", "a singular2 word"]
    assert tokens == sum(len(line.split()) for line in lines)
