"""What is asked: a sentence in which one word, or several in a row, are marked by square brackets."""

from __future__ import annotations

from dataclasses import dataclass

from ner_elmo.errors import UsageError
from ner_elmo.text.tokenizer import tokenize

EXAMPLE = "He went to the [play] in London"


@dataclass(frozen=True)
class Query:
    """The tokens of a sentence, of which those from ``start`` to ``end`` are marked."""

    tokens: list[str]
    start: int
    end: int

    @property
    def n_marked(self) -> int:
        return self.end - self.start

    @property
    def marked(self) -> list[str]:
        """The marked tokens."""
        return self.tokens[self.start : self.end]


def read_query(text: str, kind: str) -> Query:
    """The query that ``text`` means; its tokens are those of ``kind``. A mark inside a token takes the whole token.

    Raises:
        UsageError: nothing, or more than one place, is marked.
    """
    if text.count("[") != 1 or text.count("]") != 1 or text.index("[") > text.index("]"):
        raise UsageError(f"found no word between [ and ], or several; expected a text such as: {EXAMPLE}")
    begin, end = text.index("["), text.index("]") - 1
    plain = text.replace("[", "").replace("]", "")
    tokens = tokenize(plain, kind)
    inside = [number for number, token in enumerate(tokens) if token.start < end and token.end > begin]
    if not inside:
        raise UsageError(f"found nothing between [ and ]; expected a text such as: {EXAMPLE}")
    return Query([token.form for token in tokens], inside[0], inside[-1] + 1)
