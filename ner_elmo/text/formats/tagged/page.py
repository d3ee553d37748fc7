"""Tagged texts as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from ner_elmo.pages.tagged_page import TaggedPage
from ner_elmo.text.documents import Document
from ner_elmo.text.formats.tagged.writing import Writing

DEFAULT_TITLE = "Tagged text"


def write_html(documents: Iterable[Document], stream: IO[str], writing: Writing) -> None:
    """Write the page as the texts come; no more than one is held."""
    page = TaggedPage(stream, writing.title or DEFAULT_TITLE)
    for document in documents:
        origin = document.origin
        place = () if origin is None else (origin.file, origin.line, origin.identifier)
        page.add(document.text, document.entities, *place)
    note = f"Entities less probable than {100 * writing.min_score:g} % were left out." if writing.min_score else ""
    page.finish(note)
