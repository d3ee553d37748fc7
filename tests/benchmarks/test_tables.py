"""The tables of the README and the documentation are those of the reports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the scripts read TOML, which Python 3.10 does not", allow_module_level=True)


@pytest.fixture
def tables(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tables")


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/accuracy.md", "docs/growth.md"])
def test_tables_say_what_the_reports_say(tables: ModuleType, repository: Path, name: str) -> None:
    made = {table: make() for table, make in tables.TABLES.items()}
    text = (repository / name).read_text(encoding="utf-8")
    assert "<!-- table " in text
    assert tables.filled(text, made) == text


def test_places_are_filled_and_the_rest_is_left(tables: ModuleType) -> None:
    text = "a\n<!-- table x -->\nold\n<!-- end of table -->\nb\n<!-- table y -->\n<!-- end of table -->\nc"
    filled = tables.filled(text, {"x": "| new |", "y": "| other |"})
    assert filled == (
        "a\n<!-- table x -->\n| new |\n<!-- end of table -->\nb\n<!-- table y -->\n| other |\n<!-- end of table -->\nc"
    )
    assert tables.filled(filled, {"x": "| new |", "y": "| other |"}) == filled
    with pytest.raises(KeyError):
        tables.filled(text, {})


def test_fewer_errors_is_a_share_of_the_error(tables: ModuleType) -> None:
    def report(f1: float) -> dict[str, object]:
        return {"scores": {"test": {"f1": f1}}}

    assert tables.fewer_errors(report(0.90), report(0.92)) == "20.0 %"
    assert tables.fewer_errors(report(0.90), report(0.89)) == "-10.0 %"
    assert tables.fewer_errors(report(0.90), None) == "–"
