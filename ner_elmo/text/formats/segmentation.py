"""Word segmentation out of characters that carry their positions in words, as Weibo NER writes them (``我0 们1``).

Words become spans of characters, so that a tagger learns them as it learns entities; alone, or together with the
entities as one layer (lexical analysis): then an entity is one span with its own label, and the words outside of
entities are the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ner_elmo.text.tag_scheme import Span

WORD = "WORD"  # the label of words

# Trailing digits after the first character: that may be a digit itself.
_POSITION = re.compile(r"\A(.+?)([0-9]+)\Z", re.DOTALL)


def split_position(token: str) -> tuple[str, int] | None:
    """The character of a token and its position in its word, from 0; None without one."""
    found = _POSITION.match(token)
    return (found[1], int(found[2])) if found else None


def word_spans(positions: Sequence[int]) -> list[Span]:
    """The words of a sentence: one begins at 0, and wherever a position is not the one before and one."""
    starts = [i for i, position in enumerate(positions) if i == 0 or position == 0 or position != positions[i - 1] + 1]
    return [Span(start, end, WORD) for start, end in zip(starts, [*starts[1:], len(positions)], strict=True)]


def lexical_spans(words: Sequence[Span], entities: Sequence[Span]) -> list[Span]:
    """The entities, and what they leave of the words: each character is in one span. Words end where entities do."""
    inside = {position for entity in entities for position in range(entity.start, entity.end)}
    found = list(entities)
    for word in words:
        start = word.start
        for position in range(word.start, word.end + 1):
            if position == word.end or position in inside:
                if start < position:
                    found.append(Span(start, position, WORD))
                start = position + 1
    return sorted(found)


def n_cut(words: Sequence[Span], entities: Sequence[Span]) -> int:
    """How many words an entity begins or ends within."""
    edges = {edge for entity in entities for edge in (entity.start, entity.end)}
    return sum(any(edge in edges for edge in range(word.start + 1, word.end)) for word in words)
