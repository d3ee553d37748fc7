"""The files of the page at ``/``: plain HTML, style and script, none of which loads anything from elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ner_elmo.pages.tagged_page import style

_FOLDER = Path(__file__).parent


@cache
def page_paths() -> dict[str, tuple[str, bytes]]:
    """The kind and the content of each."""
    own = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return {
        "/": ("text/html; charset=utf-8", (_FOLDER / "page.html").read_bytes()),
        "/page.css": ("text/css; charset=utf-8", (style() + own).encode("utf-8")),
        "/page.js": ("text/javascript; charset=utf-8", (_FOLDER / "page.js").read_bytes()),
    }
