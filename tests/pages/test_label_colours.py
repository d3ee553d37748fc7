"""Colours of labels: the same in every run, different on one page, readable."""

from __future__ import annotations

import re

import pytest

from ner_elmo.pages.label_colours import COLOURS, LabelColours, preferred
from ner_elmo.pages.page import STYLE


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)


def test_words_can_be_read_on_every_colour() -> None:
    light_ink, dark_ink = re.findall(r"--ink: (#\w{6})", STYLE)[:2]
    assert all(contrast(colour.light, light_ink) >= 7 for colour in COLOURS)
    assert all(contrast(colour.dark, dark_ink) >= 7 for colour in COLOURS)


def test_the_first_labels_differ() -> None:
    colours = LabelColours()
    names = [f"label {number}" for number in range(len(COLOURS))]
    assert sorted(colours.number(name) for name in names) == list(range(len(COLOURS)))
    assert [colours.number(name) for name in names] == [colours.number(name) for name in names]
    assert colours.number("one more") == preferred("one more")


def test_usual_labels_have_colours_of_their_own() -> None:
    assert len({preferred(label) for label in ("PER", "ORG", "LOC", "MISC", "DATE")}) == 5
    assert preferred("per") == preferred("PERSON")
    assert preferred("Gene") == 9  # whatever the run: nothing here depends on Python's hash of strings
