"""On a terminal, every format of tag shows control characters of the text; a file has them as they are."""

from __future__ import annotations

import io

import pytest

from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document, Token
from ner_elmo.text.formats.output import Output
from ner_elmo.text.formats.problems import strictly
from ner_elmo.text.formats.writers import FORMATS, Writing, run_writer
from ner_elmo.text.terminal import safe_stream
from tests.support.tagged_documents import document_of

ODD = "\x1b]0;title\x07 \x9b31m \u202e"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(format: str, stream: io.StringIO) -> str:
    document = document_of(ODD, (f"Ann{ODD}", "PER", 0.9))
    document = Document(document.text, [[Token(0, len(document.text), "x")]], document.entities)
    with run_writer(Writing(format=format, color="never" if format == "text" else "auto")) as write:
        write([document], stream)
    return stream.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_drives_a_terminal(format: str) -> None:
    shown = written(format, Terminal())
    assert shown == made_visible(shown)
    assert "title" in shown


@pytest.mark.parametrize("format", ["conll", "csv", "tsv"])
def test_a_file_has_the_text_as_it_is(format: str) -> None:
    assert "\x1b]0;title\x07" in written(format, io.StringIO())


def test_what_other_tools_read_is_shown_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with Output("-", strictly("x")).stream() as stream:
        stream.write(ODD)
        stream.flush()
    assert terminal.getvalue() == made_visible(ODD)


def test_another_stream_is_itself() -> None:
    stream = io.StringIO()
    assert safe_stream(stream) is stream
    assert safe_stream(Terminal()).isatty()
