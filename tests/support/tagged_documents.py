"""Documents with entities, their texts full of what a format could take for its own: for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from ner_elmo.text.documents import Document, Entity, Origin

# fmt: off
ODD_PIECES = [
    "</script>", "<script>", "<!--", "-->", "]]>", "</noscript>", "</mark>", "&amp;", "&lt", "&#0;", "'", '"', '""',
    ",", ";", "\t", "\n", "\r", "\r\n", "\x00", "\x1b[31m", "\x07", "\x7f", "\x85", "\x9b", "\u2028", "\u202e",
    "\u2066", "\ufeff", "=1+1", "+1", "-1", "@SUM(1)", "\uff1d1", "[PER]", "[PER 1]", "\\", "\\x1b", "\ud800",
    "\udfff", "ש", "م", "é", "e\u0301", "😀", "中", " ", "  ", "Ann", "Bonn",
]
# fmt: on
_PIECE = st.one_of(st.sampled_from(ODD_PIECES), st.text(max_size=4), st.text(st.characters(codec=None), max_size=3))
LABELS = ["PER", "LOC", "Invoice Number", "=X", "<b>", 'a"b', "é", "نص"]
_SCORES = st.one_of(st.none(), st.floats(0, 1))


@st.composite
def documents(draw: st.DrawFn, most: int = 8) -> Document:
    """A document whose entities are in order and do not overlap."""
    pieces = draw(st.lists(st.tuples(_PIECE, st.booleans(), st.sampled_from(LABELS), _SCORES), max_size=most))
    text, entities = "", []
    for piece, is_entity, label, score in pieces:
        if piece and is_entity:
            entities.append(Entity(len(text), len(text) + len(piece), label, piece, score))
        text += piece
    origin = draw(st.one_of(st.none(), st.builds(Origin, st.sampled_from(["a.txt", "=b <i>.txt"]), st.integers(1, 99))))
    return Document(text, [], entities, origin=origin)


def document_of(*pieces: str | tuple[str, str] | tuple[str, str, float | None]) -> Document:
    """``document_of("I saw ", ("Ann", "PER"), ".")``; a third item of a tuple is the score."""
    text, entities = "", []
    for piece in pieces:
        words, label, score = (piece, "", None) if isinstance(piece, str) else (*piece, None)[:3]
        if label:
            entities.append(Entity(len(text), len(text) + len(words), label, words, score))
        text += words
    return Document(text, [], entities)
