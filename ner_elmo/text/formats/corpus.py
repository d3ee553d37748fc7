"""Labelled files of any format, read as sentences with entities: CoNLL columns, or the JSONL that ``tag`` writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ner_elmo.text import tag_scheme
from ner_elmo.text.files import display_name
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.conll import ConllFile, Reading
from ner_elmo.text.formats.conll_tags import AUTO_SCHEME, ILL_FORMED, TagCheck
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly
from ner_elmo.text.tag_scheme import Span

SPANS = "spans"  # stands for the tag scheme where a file holds entities as such


class LabelledSentence(NamedTuple):
    """Tokens and the entities in them."""

    tokens: tuple[str, ...]
    spans: tuple[Span, ...]


class Located(NamedTuple):
    """A sentence and the line it begins on, from 1."""

    line: int
    sentence: LabelledSentence


@dataclass(slots=True)
class Corpus:
    """A labelled file.

    Attributes:
        name: the file's name, for messages.
        sentences: in the file's order; ``lines`` says on which line each begins.
        scheme: the tag scheme it is written in, given or found; ``spans`` for a file without tags.
        warnings: what was read nevertheless: ill-formed tags, empty tokens, comments.
    """

    name: str
    sentences: list[LabelledSentence]
    scheme: str
    warnings: list[Problem]
    lines: list[int]

    @property
    def repaired(self) -> int:
        """How many tags the scheme would write differently for the same entities (ill-formed tags)."""
        return sum(warning.kind == ILL_FORMED for warning in self.warnings)


@dataclass(slots=True)
class Source:
    """A labelled file about to be read, once, one sentence at a time.

    Attributes:
        evidence: a phrase that says why ``scheme`` is its scheme.
        sentences: each with the line it begins on; problems are reported while they are read.
    """

    name: str
    scheme: str
    evidence: str
    sentences: Iterator[Located]


def open_corpus(path: str | Path, reading: Reading, report: TellProblem) -> Source:
    """Open a labelled file: JSONL by its suffix (``.jsonl``, also compressed), otherwise CoNLL.

    Entities are read from tags as conlleval does, whatever the scheme, which says what counts as ill-formed. With
    ``none`` tags have no prefixes and a run of one tag is one entity, unless no tag of the file is ``O``: then each
    token has a tag of its own (``token``), which is its one span. ``io`` is ``none`` whatever the tags are.

    Raises:
        UsageError: the file cannot be opened; an unknown scheme, tokenizer or column.
        DataError: it cannot be read at all.
    """
    if reading.scheme != AUTO_SCHEME:
        tag_scheme.canonical_name(reading.scheme)  # or it is no scheme
    return _open_jsonl(path, reading, report) if jsonl.is_jsonl(path) else _open_conll(path, reading, report)


def load_corpus(
    path: str | Path,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    **settings: Any,
) -> Corpus:
    """Read a labelled file (see :func:`open_corpus`) into memory.

    Args:
        settings: those of ``reading`` that are to be others.

    Raises:
        UsageError: as :func:`open_corpus`.
        DataError: the first thing in it that cannot be read, with its line.
    """
    warnings: list[Problem] = []
    source = open_corpus(path, dataclasses.replace(reading, **settings), strictly(display_name(path), warnings))
    located = list(source.sentences)
    return Corpus(source.name, [s for _, s in located], source.scheme, warnings, [line for line, _ in located])


def _open_conll(path: str | Path, reading: Reading, report: TellProblem) -> Source:
    file = ConllFile(path, reading, report)
    tags = TagCheck(file)
    return Source(file.name, tags.scheme, tags.detection.evidence, _conll_sentences(file, tags))


def _conll_sentences(file: ConllFile, tags: TagCheck) -> Iterator[Located]:
    for sentence in file.sentences():
        tags.check(sentence)
        spans = tuple(tag_scheme.read_tags(sentence.tags, tags.scheme))
        yield Located(sentence.line, LabelledSentence(tuple(sentence.tokens), spans))


def _open_jsonl(path: str | Path, reading: Reading, report: TellProblem) -> Source:
    kind = reading.text or jsonl.guess_text_kind(path, reading.encoding)
    sentences = _jsonl_sentences(path, kind, reading.encoding, report)
    if reading.scheme == tag_scheme.TOKEN:
        evidence = f"as declared; text read as {kind}"
        return Source(display_name(path), tag_scheme.TOKEN, evidence, map(_tag_each_token, sentences))
    return Source(display_name(path), SPANS, f"entities as such; text read as {kind}", sentences)


def _tag_each_token(located: Located) -> Located:
    """The sentence with a span for each token: its entity's label, or ``O``."""
    tokens, spans = located.sentence
    each = tag_scheme.read_tags(tag_scheme.tags(spans, len(tokens), tag_scheme.TOKEN), tag_scheme.TOKEN)
    return Located(located.line, LabelledSentence(tokens, tuple(each)))


def _jsonl_sentences(path: str | Path, kind: str, encoding: str, report: TellProblem) -> Iterator[Located]:
    empty = True
    number = 1
    for number, document in jsonl.read_documents(path, encoding, report):
        for tokens, spans in jsonl.tokenized(document, kind, number, report):
            empty = False
            yield Located(number, LabelledSentence(tuple(token.form for token in tokens), tuple(spans)))
    if empty:
        report(Problem(number, "no sentence", 'found no sentence, expected lines such as {"text": …, "entities": […]}'))
