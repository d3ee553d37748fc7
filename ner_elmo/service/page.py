"""The files of the pages at ``/`` and ``/explore``: plain HTML, style and script.

None of them loads anything from elsewhere.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ner_elmo.pages.tagged_page import style

_FOLDER = Path(__file__).parent


@cache
def page_paths(explores: bool = False) -> dict[str, tuple[str, bytes]]:
    """The kind and the content of each; with those of ``/explore``, if the server answers there."""
    own = (_FOLDER / "page.css").read_text(encoding="utf-8")
    further = {
        "/explore": ("text/html; charset=utf-8", (_FOLDER / "explore.html").read_bytes()),
        "/explore.js": ("text/javascript; charset=utf-8", (_FOLDER / "explore.js").read_bytes()),
    }
    return (further if explores else {}) | {
        "/": ("text/html; charset=utf-8", (_FOLDER / "page.html").read_bytes()),
        "/page.css": ("text/css; charset=utf-8", (style() + own).encode("utf-8")),
        "/shared.js": ("text/javascript; charset=utf-8", (_FOLDER / "shared.js").read_bytes()),
        "/page.js": ("text/javascript; charset=utf-8", (_FOLDER / "page.js").read_bytes()),
    }
