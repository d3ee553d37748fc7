"""What can be a label, and how many of them are told in a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.text.formats.labels import (
    as_tag,
    counted,
    label_fault,
    listed,
    listed_if_labels,
    looks_like_words,
    visible,
)
from tests.support.command_line import ner_elmo


@pytest.mark.parametrize("label", ["PER", "Invoice Number", "PER.NAM", "é;#", "人名", "نام\u200cها", "x" * 60])
def test_labels(label: str) -> None:
    assert label_fault(label) is None


def test_an_address_may_be_longer() -> None:
    assert label_fault("http://example.org/ontology/" + "Thing" * 10) is None


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "found an empty label"),
        (" ", "found label ' ' with blanks only"),
        ("PER ", "with blanks at its edge"),
        ("a  b", "with blanks at its edge, or other than one plain blank"),
        ("a\u00a0b", "with blanks at its edge, or other than one plain blank"),
        ("a\tb", "with the character U+0009"),
        ("PER\u200b", "with the character U+200B"),
        ("\ud800", "with the character U+D800"),
        ("a" * 61, "found a label of 61 characters"),
    ],
)
def test_what_is_no_label(label: str, message: str) -> None:
    fault = label_fault(label)
    assert fault is not None
    assert message in fault
    assert "expected" in fault


@given(counts=st.dictionaries(st.text(max_size=70), st.integers(1, 10**9), max_size=400))
def test_a_line_of_labels_is_bounded(counts: dict[str, int]) -> None:
    assert len(counted(counts)) < 330
    assert len(listed(counts)) < 330


def test_the_most_frequent_ones_are_told() -> None:
    assert counted({"PER": 2, "LOC": 1000}) == "LOC 1,000, PER 2"
    many = {f"L{n}": 2 + n for n in range(100)}
    assert counted(many).startswith("L99 101, L98 100")
    assert counted(many).endswith("... and 90 more")
    assert listed(f"L{n}" for n in range(12)) == "L0, L1, L2, L3, L4, L5, L6, L7, L8, L9 ... and 2 more"


def test_words_are_not_printed_as_labels() -> None:
    words = {f"Jane Doe from {n} Example Street": 1 for n in range(5000)}
    assert looks_like_words(words)
    assert "look like words, not labels" in counted(words)
    assert "Jane" not in counted(words) + listed_if_labels(words)
    assert listed_if_labels({"PER": 2, "LOC": 1}) == "LOC, PER"
    assert not looks_like_words(dict.fromkeys("abcdef", 1))


def test_a_sentence_is_not_printed_as_a_label() -> None:
    fault = label_fault("Jane Doe of 7 Example Street " * 4)
    assert fault == "found a label of 116 characters, expected at most 60"


def test_a_cell_of_a_text_is_not_printed_as_a_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("1\tVogt\n2\tAnn\n3\tcame\n")
    (tmp_path / "hf.jsonl").write_text('{"tokens": ["1", "2"], "ner_tags": ["Ann", "Vogt"]}\n')
    for name, how in (("a", ["--token-column", "0"]), ("hf.jsonl", [])):
        for command in (["check", tmp_path / name], ["convert", tmp_path / name, "-", "--to", "jsonl"]):
            status, out, error = ner_elmo(capsys, *command, *how)
            assert (status, "found no tag (a cell of " in out + error) == (3, True)
            assert not {"Ann", "Vogt"} & set(re.findall(r"\w+", out + error))
    assert [as_tag(cell) for cell in ("PER", "B_PER", "b-per")] == ["tag 'PER'", "tag 'B_PER'", "tag 'b-per'"]


def test_characters_that_do_not_show() -> None:
    assert [visible(character) for character in "é\u00a0\x00"] == ["é", "U+00A0", "U+0000"]


def test_a_label_of_several_words_among_columns_of_blanks_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_text("Ann -X- _ B-PER\n17 -X- _ B-Invoice Number\n")
    for command in (("check", tmp_path / "a"), ("convert", tmp_path / "a", "-", "--to", "jsonl")):
        status, out, error = ner_elmo(capsys, *command)
        assert (status, "a label of several words needs columns separated by tabs" in out + error) == (3, True)
