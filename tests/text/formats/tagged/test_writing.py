"""Settings of what is written: one that means nothing for a format is refused in a line that says what would."""

from __future__ import annotations

from typing import Any

import pytest

from ner_elmo.settings import SettingError
from ner_elmo.text.formats.tagged.writing import Writing


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"color": "always", "format": "csv"}, "color: means nothing for -f csv; expected -f text with it"),
        ({"offsets": "byte"}, "offsets: means nothing for -f text; expected -f jsonl, csv or tsv with it"),
        ({"cells": "raw", "format": "jsonl"}, "cells: means nothing for -f jsonl; expected -f csv or tsv with it"),
        ({"title": "T", "format": "csv"}, "title: means nothing for -f csv; expected -f html with it"),
        ({"pseudonyms": True}, "pseudonyms: means nothing for -f text; expected -f redacted with it"),
        (
            {"key_file": "k.csv", "format": "redacted"},
            "key_file: says which entity each stand-in is; expected --pseudonyms with it",
        ),
    ],
)
def test_what_means_nothing_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        Writing(**values)
    assert str(caught.value) == problem


def test_what_means_something_is_taken() -> None:
    Writing(format="redacted", pseudonyms=True, key_file="k.csv")
    Writing(format="html", title="T", min_score=0.5)
    Writing(format="tsv", offsets="utf16", cells="excel")
