"""Reads a page and holds it to closing what it opens."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta"}


class Reader(HTMLParser):
    """What a page opens and says."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read_page(html: str) -> Reader:
    """The page, read to its end; what it opened is closed."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader
