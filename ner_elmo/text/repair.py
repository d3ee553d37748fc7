"""Printed text as it was scanned or wrapped: words parted at a line's end, the long s. Offsets stay the original's."""

from __future__ import annotations

import re

from ner_elmo.text.documents import Token
from ner_elmo.text.tokenizer import sentences

# A hyphen at a line's end after a letter, before a small letter on the next line ("Ver-\nlag"); OCR's signs for it too.
_PARTED = re.compile("(?<=[^\\W\\d_])[-\u00ad\u00ac\u2010\u2e17][ \\t]*\\r?\\n[ \\t]*(?=[^\\W\\d_])")
_LONG_S = str.maketrans({"\u017f": "s"})


def repaired_sentences(text: str, kind: str, dehyphenate: bool = False, fold_long_s: bool = False) -> list[list[Token]]:
    """The sentences of ``text`` with forms of whole words, and with ``s`` for the long s; spans refer to ``text``.

    Raises:
        UsageError: ``kind`` is not a kind of text.
    """
    clean = text.translate(_LONG_S) if fold_long_s else text
    positions: list[int] = []
    if dehyphenate:
        parts, start = [], 0
        for match in _PARTED.finditer(clean):
            if not clean[match.end()].islower():
                continue
            parts.append(clean[start : match.start()])
            positions.extend(range(start, match.start()))
            start = match.end()
        positions.extend(range(start, len(clean)))
        clean = "".join([*parts, clean[start:]])
    found = sentences(clean, kind)
    if len(positions) == len(text) or not positions:
        return found
    return [[Token(positions[t.start], positions[t.end - 1] + 1, t.form) for t in sentence] for sentence in found]
