"""What `make docs` does to pages before they are written (``hooks`` in mkdocs.yml)."""

from __future__ import annotations

import re
from typing import Any

_DEVIATION = re.compile(r"± (?=\d)")
# Docstrings name things as Sphinx does, :class:`Tagger`, which Markdown does not know.
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """A page's body without the roles of Sphinx; a deviation stays together with its sign."""
    return _DEVIATION.sub("±\N{NO-BREAK SPACE}", _ROLE.sub("", html))
