"""What `make docs` does to pages before they are written (``hooks`` in mkdocs.yml)."""

from __future__ import annotations

import re
from typing import Any

# Docstrings name things as Sphinx does, :class:`Tagger`, which Markdown does not know.
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """A page's body without the roles of Sphinx."""
    return _ROLE.sub("", html)
