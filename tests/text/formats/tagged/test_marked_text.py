"""Tagged text for people: brackets, colours on terminals, and nothing of the text drives one."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given

from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document, Entity
from ner_elmo.text.formats.tagged.marked_text import write_text
from ner_elmo.text.formats.tagged.writing import Writing
from tests.support.tagged_documents import document_of, documents

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(*found: Document, color: str = "auto", stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    write_text(found, stream, Writing(color=color))
    return stream.getvalue()


SEEN = document_of("I saw ", ("Ann", "PER"), " in [", ("Bonn", "LOC"), "].")


def test_brackets() -> None:
    assert written(SEEN, SEEN) == 2 * "I saw [Ann PER] in [[Bonn LOC]].\n"


def test_of_two_that_overlap_the_second_is_cut() -> None:
    text = "University of New York in Bonn"
    spans = [(0, 22, "ORG"), (14, 22, "LOC"), (20, 25, "X")]
    entities = [Entity(start, end, label, text[start:end], None) for start, end, label in spans]
    assert written(Document(text, [], entities)) == "[University of New York ORG][ in X] Bonn\n"


def test_a_terminal_has_colours_unless_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = written(SEEN, stream=Terminal())
    assert coloured == (
        "I saw \x1b[94m[Ann \x1b[1mPER\x1b[22m]\x1b[0m in [\x1b[32m[Bonn \x1b[1mLOC\x1b[22m]\x1b[0m].\n"
    )
    assert COLOURS.sub("", coloured) == written(SEEN)
    assert "\x1b" not in written(SEEN)  # no terminal
    assert written(SEEN, color="always") == coloured
    assert "\x1b" not in written(SEEN, color="never", stream=Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in written(SEEN, stream=Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")  # which is as if it were not set
    assert "\x1b" in written(SEEN, stream=Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in written(SEEN, stream=Terminal())
    assert "\x1b" in written(SEEN, color="always")


@given(documents())
def test_nothing_of_the_text_drives_a_terminal(document: Document) -> None:
    plain = written(document)
    assert plain == made_visible(plain)
    coloured = written(document, color="always")
    assert COLOURS.sub("", coloured) == plain
    assert all(line.count("\x1b[0m") == len(re.findall(r"\x1b\[[39]\dm", line)) for line in coloured.split("\n"))


@given(documents())
def test_without_entities_it_is_the_text(document: Document) -> None:
    document.entities = []
    assert written(document) == made_visible(document.text) + "\n"
