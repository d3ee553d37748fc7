"""Reads a page and holds it to closing what it opens."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "input"}
NOT_OF_THE_TEXT = {"small", "style", "script"}


class Reader(HTMLParser):
    """What a page opens and says."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.text = ""  # without the labels of marks and the numbers of lines
        self.depths: list[int] = []  # of each character of it, in how many marks it stands
        self._is_number = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self._is_number = ("class", "n") in attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._is_number = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if not self._is_number and not NOT_OF_THE_TEXT & set(self.open):
            self.text += data
            self.depths += [self.open.count("mark")] * len(data)


def read_page(html: str) -> Reader:
    """The page, read to its end; what it opened is closed."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader
