"""CoNLL files: a token and its tags per line, in columns, a blank line between sentences.

Columns are separated by tabs if the first token line holds a tab, otherwise by runs of blanks and tabs. The token is
column 0. ``-DOCSTART-`` lines only separate. A ``#`` begins a token like any other, not a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text import tag_scheme
from ner_elmo.text.files import display_name, read_lines
from ner_elmo.text.tag_scheme import Span

DOCUMENT_START = "-DOCSTART-"
AUTO_SCHEME = "auto"

# Only the ASCII blank and tab separate columns: an ideographic or no-break space may be a token.
_BLANKS = re.compile(r"[ \t]+")


@dataclass(slots=True)
class TaggedSentence:
    """A sentence as the file has it; ``line`` is the number of its first token's line, from 1.

    The token at index ``i`` stands on line ``line + i``.
    """

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    line: int = 0


class LabelledSentence(NamedTuple):
    """Tokens and the entities in them."""

    tokens: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(slots=True)
class Corpus:
    """A labelled file.

    Attributes:
        name: the file's name, for messages.
        sentences: in the file's order.
        scheme: the tag scheme it is written in, given or found.
        repaired: how many tags the scheme would write differently for the same entities (ill-formed tags).
    """

    name: str
    sentences: list[LabelledSentence]
    scheme: str
    repaired: int


class _Columns:
    """Splits token lines into columns and holds the file to the shape of its first token line."""

    def __init__(self, name: str, column: int) -> None:
        self.name = name
        self.column = column
        self.by_tabs = False
        self.n_columns = 0

    def token_and_tag(self, line: str, number: int) -> tuple[str, str]:
        if not self.n_columns:
            self.by_tabs = "\t" in line
        columns = line.split("\t") if self.by_tabs else _BLANKS.split(line.strip(" \t"))
        if not self.n_columns:
            self._check_column(len(columns), number)
            self.n_columns = len(columns)
        if len(columns) != self.n_columns:
            between = "tabs" if self.by_tabs else "blanks"
            raise DataError(
                f"{self.name}:{number}: found {_count(columns)} (separated by {between}), expected {self.n_columns} "
                "as in the lines before"
            )
        tag = columns[self.column]
        if not tag:
            raise DataError(f"{self.name}:{number}: found an empty tag in column {self.column}, expected a tag")
        return columns[0], tag

    def _check_column(self, n_columns: int, number: int) -> None:
        if n_columns < 2:
            raise DataError(f"{self.name}:{number}: found 1 column, expected a token and a tag, e.g. Berlin<TAB>B-LOC")
        if self.column not in range(1 - n_columns, n_columns):
            raise DataError(
                f"{self.name}:{number}: found {n_columns} columns, expected one numbered {self.column} beside the "
                f"token; --column takes 1 to {n_columns - 1} (the token is 0), or -1 for the last"
            )


def _count(columns: Sequence[str]) -> str:
    return "1 column" if len(columns) == 1 else f"{len(columns)} columns"


def read_conll(path: str | Path, column: int = -1, encoding: str = "utf-8") -> Iterator[TaggedSentence]:
    """Yield the sentences of a CoNLL file one at a time, with tags as they stand.

    ``column`` holds the tags: counted from 0 (the token), or from the end if negative (-1 is the last).

    Raises:
        UsageError: the file cannot be opened, or ``column`` is 0.
        DataError: lines of unequal or too few columns, an empty tag, or no sentence at all.
    """
    if column == 0:
        raise UsageError("column 0 holds the tokens; expected the number of the tags' column, or -1 for the last")
    name = display_name(path)
    columns = _Columns(name, column)
    sentence = TaggedSentence()
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.startswith(DOCUMENT_START) or not line.strip():
            if sentence.tokens:
                yield sentence
            sentence = TaggedSentence()
            continue
        token, tag = columns.token_and_tag(line, number)
        if not sentence.tokens:
            sentence.line = number
        sentence.tokens.append(token)
        sentence.tags.append(tag)
    if sentence.tokens:
        yield sentence
    if not columns.n_columns:
        raise DataError(
            f"{name}: found no sentence, expected lines such as Berlin<TAB>B-LOC and blank lines between sentences"
        )


def load_corpus(path: str | Path, column: int = -1, scheme: str = AUTO_SCHEME, encoding: str = "utf-8") -> Corpus:
    """Read a CoNLL file as labelled sentences.

    Entities are read as conlleval does, whatever the scheme; ``scheme`` (``auto``: found by scanning the file) says
    which tags count as ill-formed. With ``none`` tags have no prefixes and a run of one tag is one entity.

    Raises:
        UsageError: an unknown scheme, or what :func:`read_conll` raises.
        DataError: a tag without a prefix (unless ``scheme`` is ``none``), or what :func:`read_conll` raises.
    """
    if scheme != AUTO_SCHEME:
        scheme = tag_scheme.canonical_name(scheme)
    name = display_name(path)
    tagged = list(read_conll(path, column, encoding))
    if scheme != "none":
        for sentence in tagged:
            _check_tags(sentence, name)
    if scheme == AUTO_SCHEME:
        scheme = tag_scheme.detect(sentence.tags for sentence in tagged).scheme
    return Corpus(
        name=name,
        sentences=[LabelledSentence(tuple(s.tokens), tuple(tag_scheme.spans(s.tags))) for s in tagged],
        scheme=scheme,
        repaired=sum(len(tag_scheme.ill_formed(s.tags, scheme)) for s in tagged),
    )


def _check_tags(sentence: TaggedSentence, name: str) -> None:
    for index, tag in enumerate(sentence.tags):
        if not tag_scheme.has_prefix(tag):
            raise DataError(
                f"{name}:{sentence.line + index}: found tag {tag!r}, expected O or a tag such as B-PER; is another "
                "column meant (--column N), or are these labels without prefixes (--scheme none)?"
            )


def write_conll(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], stream: IO[str]) -> None:
    """Write (tokens, tags) pairs as ``token<TAB>tag`` lines with a blank line after each sentence."""
    for tokens, tags in sentences:
        for token, tag in zip(tokens, tags, strict=True):
            stream.write(f"{token}\t{tag}\n")
        stream.write("\n")
