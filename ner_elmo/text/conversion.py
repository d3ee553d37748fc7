"""Labelled files from one format to another: CoNLL in any tag scheme, the JSONL of ``tag``, BRAT standoff.

CoNLL to CoNLL keeps every line and column but the tags'. JSONL and BRAT hold raw text: what turns them into CoNLL is
the tokenizer, and the text between tokens is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text import brat, jsonl, tag_scheme
from ner_elmo.text.conll import COMMENT, DOCUMENT_START, ConllFile, Reading, Row, TaggedSentence, write_conll
from ner_elmo.text.corpus import find_scheme, fits_no_scheme, ill_formed_tags, open_corpus
from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.files import display_name, output_stream
from ner_elmo.text.problems import Problem, Report, strictly, summary
from ner_elmo.text.tokenizer import text_kind
from ner_elmo.text.writers import write_jsonl

_WHITE_SPACE = re.compile(r"\s+")
CONLL_SCHEMES = {
    "conll": "iob2",
    "iob1": "iob1",
    "iob2": "iob2",
    "bio": "iob2",
    "bioes": "bioes",
    "iobes": "bioes",
    "bmes": "bmes",
}


@dataclass
class Job:
    """One conversion: from where, to where, how to read; and what there is to tell about it afterwards."""

    source: str | Path
    target: str | Path
    to: str
    reading: Reading
    notices: list[str] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return display_name(self.source)

    @property
    def report(self) -> Report:
        """Raises for errors and keeps warnings."""
        return strictly(self.name, self.warnings)


def convert(job: Job) -> list[str]:
    """Convert a labelled file; lines to tell people, such as what the new format has no place for.

    Raises:
        UsageError: a file cannot be opened, or a name is unknown.
        DataError: what cannot be converted, with its line; nothing is written then.
    """
    TARGETS[job.to](job)
    return [*summary(job.name, job.warnings, most=3), *dict.fromkeys(job.notices)]


def format_of(path: str | Path) -> str:
    """``jsonl``, ``brat`` or ``conll``, by a path's suffix, or by what is in a folder."""
    if jsonl.is_jsonl(path):
        return "jsonl"
    return "brat" if brat.is_brat(path) else "conll"


def retag(file: ConllFile, scheme: str | None, stream: IO[str]) -> int:
    """Write a CoNLL file with its tags in another scheme, or (None) repaired in its own; all else stays as it is.

    Line ends become LF, blank lines empty, the encoding UTF-8. Returns how many tags were changed.

    Raises:
        DataError: a line that cannot be read, a tag that fits no scheme.
    """
    detection = find_scheme(file)
    n_changed = 0
    pending: list[Row] = []

    def flush() -> int:
        tokens = [row for row in pending if row.kind == "token"]
        old = [row.tag for row in tokens]
        for row in tokens:
            if fault := fits_no_scheme(row.tag, detection):
                file.report(Problem(row.number, "tag", fault))
        for problem in ill_formed_tags(TaggedSentence([], old, [row.number for row in tokens]), detection.scheme):
            file.report(problem)
        new = _new_tags(old, scheme, detection.scheme)
        tags = iter(new)
        for row in pending:
            stream.write((file.rewritten(row, next(tags)) if row.kind == "token" else row.line) + "\n")
        pending.clear()
        return sum(a != b for a, b in zip(old, new, strict=True))

    for row in file.rows():
        if row.kind == "break":
            n_changed += flush()
            stream.write((row.line if row.line.strip() else "") + "\n")
        else:
            pending.append(row)
    return n_changed + flush()


def _new_tags(tags: Sequence[str], scheme: str | None, own: str) -> list[str]:
    written = tag_scheme.tags(tag_scheme.spans(tags), len(tags), scheme or own)
    if scheme is not None:
        return written
    wrong = set(tag_scheme.ill_formed(tags, own))  # all others stay, in BILOU's letters, too
    return [written[index] if index in wrong else tag for index, tag in enumerate(tags)]


def _to_conll(job: Job) -> None:
    scheme = CONLL_SCHEMES[job.to]
    with output_stream(job.target) as stream:
        if format_of(job.source) == "conll":
            file = ConllFile(job.source, job.reading, job.report)
            job.notices.append(f"{retag(file, scheme, stream):,} tags changed")
            job.warnings = [warning for warning in job.warnings if warning.kind != COMMENT]  # they stay
            return
        write_conll(_tagged(job, scheme), stream)
    job.notices.append("the text between tokens has no place in CoNLL columns, nor have scores")


def _tagged(job: Job, scheme: str) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of a file of raw text as tokens (of the original text) and tags."""
    kind = job.reading.text or _look(job)
    text_kind(kind)
    job.notices.append(f"tokens as the tokenizer {kind} finds them, unless the file gives them (--text names another)")
    for number, document in _documents(job):
        for tokens, spans in jsonl.tokenized(document, kind, number, job.report):
            words = [_WHITE_SPACE.sub("_", document.text[token.start : token.end]) for token in tokens]
            if DOCUMENT_START in words:
                raise DataError(f"{job.name}:{number}: found the token {DOCUMENT_START}, which CoNLL files cannot hold")
            yield words, tag_scheme.tags(spans, len(words), scheme)


def _look(job: Job) -> str:
    quiet = replace(job, notices=[], warnings=[])
    return jsonl.look_of(document.text for _, document in islice(_documents(quiet), 1000))


def _to_jsonl(job: Job) -> None:
    with_tokens = format_of(job.source) == "conll"
    with output_stream(job.target) as stream:
        for _, document in _documents(job):
            write_jsonl(document, stream, with_tokens)


def _to_brat(job: Job) -> None:
    if str(job.target) == "-":
        raise UsageError("BRAT is files in pairs; expected the name of one (X.ann), or of a folder")
    brat.write_brat((document for _, document in _documents(job)), job.target)
    job.notices.append("scores have no place in BRAT's T lines")
    if format_of(job.source) == "conll":
        job.notices.append("tokens are joined by blanks; to get them back, read the result with --text whitespace")


def _documents(job: Job) -> Iterator[tuple[int, Document]]:
    """The documents of a file with their lines (for BRAT their numbers)."""
    return SOURCES[format_of(job.source)](job)


def _from_conll(job: Job) -> Iterator[tuple[int, Document]]:
    if ConllFile(job.source, job.reading, lambda problem: None).n_columns > 2:
        job.notices.append("columns beside the tokens and tags have no place there, nor have document marks")
    for line, sentence in open_corpus(job.source, job.reading, job.report).sentences:
        yield line, joined(sentence.tokens, sentence.spans)


def _from_jsonl(job: Job) -> Iterator[tuple[int, Document]]:
    return jsonl.read_documents(job.source, job.reading.encoding, job.report)


def _from_brat(job: Job) -> Iterator[tuple[int, Document]]:
    return enumerate(brat.read_brat(job.source, job.notices), start=1)


def joined(tokens: Sequence[str], spans: Iterable[tag_scheme.Span]) -> Document:
    """The document of one tokenised sentence: its tokens joined by blanks."""
    text = " ".join(tokens)
    placed, start = [], 0
    for token in tokens:
        placed.append(Token(start, start + len(token), token))
        start += len(token) + 1
    entities = []
    for span in spans:
        start, end = placed[span.start].start, placed[span.end - 1].end
        entities.append(Entity(start, end, span.label, text[start:end], 1.0))
    return Document(text, [placed] if placed else [], entities)


SOURCES: dict[str, Callable[[Job], Iterator[tuple[int, Document]]]] = {
    "conll": _from_conll,
    "jsonl": _from_jsonl,
    "brat": _from_brat,
}
TARGETS: dict[str, Callable[[Job], None]] = {
    **dict.fromkeys(CONLL_SCHEMES, _to_conll),
    "jsonl": _to_jsonl,
    "brat": _to_brat,
}
