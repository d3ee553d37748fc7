"""Tagged text for people: entities in brackets, on a terminal in the colours of their labels.

Nothing of the text drives a terminal: control characters and those that turn the direction of writing around are shown
by their numbers, as ``\\x1b``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO

from ner_elmo.pages.label_colours import COLOURS, LabelColours
from ner_elmo.pages.visible import made_visible
from ner_elmo.text.documents import Document
from ner_elmo.text.formats.tagged.writing import Writing


def write_text(documents: Iterable[Document], stream: IO[str], writing: Writing) -> None:
    """``[Angela Merkel PER] visited [Siemens ORG] .``, a text after the other."""
    colours = LabelColours() if has_colours(stream, writing.color) else None
    for document in documents:
        text, done = document.text, 0
        for entity in document.entities:
            start = max(done, entity.start)  # of two that overlap, the second is cut
            if start < entity.end:
                stream.write(made_visible(text[done:start]))
                stream.write(_bracketed(made_visible(text[start : entity.end]), entity.label, colours))
                done = entity.end
        stream.write(f"{made_visible(text[done:])}\n")


def _bracketed(words: str, label: str, colours: LabelColours | None) -> str:
    label = made_visible(label)
    if colours is None:
        return f"[{words} {label}]"
    code = COLOURS[colours.number(label)].ansi
    # Each line begins its colour anew, since pagers end it with the line.
    lines = f"[{words} \x1b[1m{label}\x1b[22m]".split("\n")
    return "\n".join(f"\x1b[{code}m{line}\x1b[0m" for line in lines)


def has_colours(stream: IO[str], color: str) -> bool:
    """Whether a stream is written in colours: as was said, else on terminals that have them and may use them
    (no-color.org)."""
    if color != "auto":
        return color == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
