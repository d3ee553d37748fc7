"""Labelled files of any format, read as sentences with entities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from ner_elmo.text import tag_scheme
from ner_elmo.text.files import display_name, sha256_of_file
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.brat import sha256_of_pairs
from ner_elmo.text.formats.conll import ConllFile, Reading
from ner_elmo.text.formats.conll_tags import AUTO_SCHEME, ILL_FORMED, TagCheck
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.problems import Problem, TellProblem
from ner_elmo.text.formats.recognition import AUTO, KINDS, has_own_tokens, is_of_several_files, recognize
from ner_elmo.text.formats.sources import SOURCES
from ner_elmo.text.formats.standoff import LEFT_OUT, Gathered, Input, within
from ner_elmo.text.tag_scheme import Span

LOOKED_AT = 1000  # units, to choose a tokenizer

SPANS = "spans"  # stands for the tag scheme where a file holds entities as such


class LabelledSentence(NamedTuple):
    """Tokens and the entities in them; ``document`` numbers the documents of a file, where it knows any."""

    tokens: tuple[str, ...]
    spans: tuple[Span, ...]
    document: int | None = None


def in_documents(sentences: Sequence[LabelledSentence], running_text: bool) -> Sequence[LabelledSentence]:
    """The sentences of a file; those of running text are all of one document, if the file knows none."""
    if not running_text or any(sentence.document is not None for sentence in sentences):
        return sentences
    return [sentence._replace(document=0) for sentence in sentences]


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
    """Open a labelled file of any kind (see :mod:`~ner_elmo.text.formats.recognition`).

    Entities are read from tags as conlleval does, whatever the scheme, which says what counts as ill-formed. With
    ``none`` tags have no prefixes and a run of one tag is one entity, unless no tag of the file is ``O``: then each
    token has a tag of its own (``token``), which is its one span. ``io`` is ``none`` whatever the tags are.

    Raises:
        UsageError: the file cannot be opened; an unknown scheme, tokenizer or column.
        DataError: it cannot be read at all.
    """
    if reading.scheme != AUTO_SCHEME:
        tag_scheme.canonical_name(reading.scheme)  # or it is no scheme
    kind = recognize(path, reading.source, reading.decoding, reading.column)
    return _open_conll(path, reading, report) if kind == "conll" else _open_units(path, kind, reading, report)


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
        DataError: what in it cannot be read, with its line: the first, or where entities have offsets, all places (the
            first ten are named).
    """
    reading = dataclasses.replace(reading, **settings)
    warnings: list[Problem] = []
    gathered = Gathered(display_name(path), warnings)
    kind = recognize(path, reading.source, reading.decoding, reading.column)
    source = open_corpus(path, reading, gathered.strictly if kind == "conll" else gathered)
    located = list(source.sentences)
    gathered.finish()
    return Corpus(source.name, [s for _, s in located], source.scheme, warnings, [line for line, _ in located])


def _open_conll(path: str | Path, reading: Reading, report: TellProblem) -> Source:
    file = ConllFile(path, reading, report)
    tags = TagCheck(file)
    return Source(file.name, tags.scheme, tags.detection.evidence, _conll_sentences(file, tags))


def _conll_sentences(file: ConllFile, tags: TagCheck) -> Iterator[Located]:
    for sentence in file.sentences():
        tags.check(sentence)
        spans = tuple(tag_scheme.read_tags(sentence.tags, tags.scheme))
        yield Located(sentence.line, LabelledSentence(tuple(sentence.tokens), spans, sentence.document))


class _Noting:
    """A report that notes whether there was an error, so that "no sentence" is said only where nothing else is."""

    def __init__(self, report: TellProblem) -> None:
        self._report = report
        self.any_error = False

    def __call__(self, problem: Problem) -> None:
        self.any_error = self.any_error or problem.is_error
        self._report(problem)


def _open_units(path: str | Path, kind: str, reading: Reading, report: TellProblem) -> Source:
    source = Input(path, reading, _Noting(report))
    units = SOURCES[kind](source)
    beginning = list(islice(units, LOOKED_AT))
    text = reading.text or _look_of(beginning)
    sentences = _unit_sentences(source, chain(beginning, units), text)
    read_as = "" if has_own_tokens(kind) else f"; text read as {text}"
    read_by = "" if kind == "jsonl" else f" ({KINDS[kind]})"
    if reading.scheme == tag_scheme.TOKEN:
        return Source(source.name, tag_scheme.TOKEN, f"as declared{read_by}{read_as}", map(_tag_each_token, sentences))
    return Source(source.name, SPANS, f"entities as such{read_by}{read_as}", sentences)


def _look_of(units: Sequence[Unit]) -> str:
    return jsonl.look_of([jsonl.document_of(unit.value) for unit in units if not jsonl.is_failed(unit.value)])


def sha256_of_labelled(path: str | Path, kind: str = AUTO) -> str:
    """The SHA-256 of a labelled file's bytes; where it lies in several files (BRAT), a digest of all of them."""
    return sha256_of_pairs(Path(path)) if is_of_several_files(path, kind) else sha256_of_file(path)


def look_of_file(path: str | Path, reading: Reading) -> str:
    """The tokenizer for the raw text of a labelled file, by the look of its first units and by their entities."""
    source = Input(path, reading, lambda problem: None)
    kind = recognize(path, reading.source, reading.decoding, reading.column)
    return _look_of(list(islice(SOURCES[kind](source), LOOKED_AT)))


def _tag_each_token(located: Located) -> Located:
    """The sentence with a span for each token: its entity's label, or ``O``."""
    tokens, spans, document = located.sentence
    each = tag_scheme.read_tags(tag_scheme.tags(spans, len(tokens), tag_scheme.TOKEN), tag_scheme.TOKEN)
    return Located(located.line, LabelledSentence(tokens, tuple(each), document))


def _unit_sentences(source: Input, units: Iterator[Unit], text: str) -> Iterator[Located]:
    empty = True
    line = 1
    for number, unit in enumerate(units):
        line = unit.line
        if jsonl.is_failed(unit.value):
            source.report(jsonl.failed_unit(line))
            continue
        document = jsonl.document_of(unit.value)
        report = within(source.path, unit, source.report)
        found = jsonl.tokenized(document, text, line, report, source.reading.inside_tokens)
        sentences = [(tuple(token.form for token in tokens), tuple(spans)) for tokens, spans in found]
        empty = empty and not sentences
        document_number = number if len(sentences) > 1 else None  # a sentence by itself has nothing beside it
        for forms, spans in sentences:
            yield Located(line, LabelledSentence(forms, spans, document_number))
    for notice in source.notices:
        source.tell(1, LEFT_OUT, notice.removeprefix(f"{source.name}: "), is_error=False)
    if empty and not (isinstance(source.report, _Noting) and source.report.any_error):
        source.tell(line, "no sentence", 'found no sentence, expected lines such as {"text": …, "entities": […]}')
