"""What would not show, or drive a terminal, is written so that it shows."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.visible import made_visible, on_one_line, without_halves


def test_what_drives_a_terminal_shows() -> None:
    assert made_visible("a\x1b[31mb\x07\x9b\x7f\u202ec\u2069\r") == "a\\x1b[31mb\\x07\\x9b\\x7f\\u202ec\\u2069\\r"


def test_text_stays() -> None:
    text = "[a] \\x1b\tb\nc é e\u0301 \u200f\u200d שלום 中 😀 \ufeff"
    assert made_visible(text) == text
    assert made_visible("a\r\nb") == "a\nb"


@given(st.text(st.characters(codec=None)))
def test_nothing_else_than_text_is_left(text: str) -> None:
    shown = made_visible(text)
    assert {c for c in shown if unicodedata.category(c) in ("Cc", "Cs")} <= {"\t", "\n"}
    assert not {
        c
        for c in shown
        if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
    }
    assert len(on_one_line(text).split("\n")) == 1


@given(st.text(st.characters(codec=None)))
def test_halves_are_replaced_one_by_one(text: str) -> None:
    replaced = without_halves(text)
    assert len(replaced) == len(text)
    assert "\x00" not in replaced
    assert replaced.encode("utf-8").decode("utf-8") == replaced
    assert all(new in (old, "\ufffd") for new, old in zip(replaced, text, strict=True))
