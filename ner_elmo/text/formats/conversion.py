"""Labelled files from one format to another: CoNLL in any tag scheme, the JSONL of ``tag``, BRAT standoff.

There and back without loss. CoNLL to CoNLL keeps every line and column but the tags'; the other formats keep what a
CoNLL file has beside tokens and entities under a key of its own (``conll_units``), and BRAT what it has no place for in
a file beside the pair. Raw text becomes tokens by the tokenizer; the text between them, scores and further keys have no
place in columns and go into a file beside these (``conll_sidecar``). Word segmentation is made out of characters that
carry their positions in words (``segmentation``); there is no way back from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import IO

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Document, Token
from ner_elmo.text.files import STANDARD_STREAM, LineWriter, display_name, output_stream
from ner_elmo.text.formats import brat, brat_notes, conll_sidecar, conll_units, jsonl, segmentation
from ner_elmo.text.formats.conll import COMMENT, ConllFile, Reading, Row, TaggedSentence, write_conll
from ner_elmo.text.formats.corpus import check_tags, find_scheme
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly, summary
from ner_elmo.text.tokenizer import text_kind

CONLL_SCHEMES = {
    "conll": "iob2",
    "iob1": "iob1",
    "iob2": "iob2",
    "bio": "iob2",
    "bioes": "bioes",
    "iobes": "bioes",
    "bmes": "bmes",
    "none": "none",
    "token": tag_scheme.TOKEN,
}
WITHOUT_PREFIXES = ("none", tag_scheme.TOKEN)
TOKENS_GUESSED = "which tokens are guessed"
UNIT_KEYS = {"text", "entities", "tokens", conll_units.LAYOUT}
ENTITY_KEYS = {*brat_notes.KEYS}


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
    def report(self) -> TellProblem:
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
    lines = LineWriter(stream)
    n_changed = 0
    pending: list[Row] = []

    def flush() -> int:
        tokens = [row for row in pending if row.kind == "token"]
        old = [row.tag for row in tokens]
        numbers = [row.number for row in tokens]
        check_tags(TaggedSentence([], old, numbers), detection, file.report)
        if scheme in WITHOUT_PREFIXES and detection.scheme != tag_scheme.TOKEN:
            _refuse_doubt(tag_scheme.spans(old), file.name, numbers)
        new = _new_tags(old, scheme, detection.scheme)
        tags = iter(new)
        for row in pending:
            lines.write(file.around(row).line(row.token, next(tags)) if row.kind == "token" else row.line)
        pending.clear()
        return sum(a != b for a, b in zip(old, new, strict=True))

    for row in file.rows():
        if row.kind == "break":
            n_changed += flush()
            lines.write(row.line if row.line.strip() else "")
        else:
            pending.append(row)
    return n_changed + flush()


def _new_tags(tags: Sequence[str], scheme: str | None, own: str) -> list[str]:
    written = tag_scheme.tags(tag_scheme.read_tags(tags, own), len(tags), scheme or own)
    if scheme is not None:
        return written
    wrong = set(tag_scheme.ill_formed(tags, own))  # all others stay, in BILOU's letters, too
    return [written[index] if index in wrong else tag for index, tag in enumerate(tags)]


def _refuse_doubt(spans: Sequence[tag_scheme.Span], name: str, lines: Sequence[int]) -> None:
    """Complain of what labels without prefixes cannot say: two entities of one label side by side, a label like B-X."""
    for span in spans:
        if tag_scheme.has_prefix(span.label):
            found = f"found label {span.label}, which would be read as a tag"
            raise DataError(f"{name}:{lines[span.start]}: {found}; expected --to iob2 or another scheme with prefixes")
    for one, other in pairwise(spans):
        if (one.end, one.label) == (other.start, other.label):
            found = f"found {one.label} right after {one.label}, which labels without prefixes cannot tell apart"
            raise DataError(f"{name}:{lines[other.start]}: {found}; expected --to iob2 or another scheme with prefixes")


def _to_conll(job: Job) -> None:
    scheme = CONLL_SCHEMES[job.to]
    with output_stream(job.target) as stream:
        if format_of(job.source) == "conll":
            file = ConllFile(job.source, job.reading, job.report)
            job.notices.append(f"{retag(file, scheme, stream):,} tags changed")
            _comments_stay(job)
            return
        writer = conll_units.UnitWriter(stream)
        if str(job.target) == STANDARD_STREAM:
            lost = _write_conll(job, scheme, writer, None)
            if lost:
                job.notices.append(
                    f"CoNLL columns have no place for {', '.join(lost)}; a file would keep them beside it"
                )
            return
        with conll_sidecar.beside(job.target) as sidecar:
            lost = _write_conll(job, scheme, writer, sidecar)
            sidecar.is_needed = bool(lost)
        if lost:
            name = conll_sidecar.sidecar_of(job.target).name
            job.notices.append(f"{', '.join(lost)}: kept in {name} beside it, as CoNLL columns have no place for them")


def _write_conll(
    job: Job, scheme: str, writer: conll_units.UnitWriter, sidecar: conll_sidecar.Sidecar | None
) -> list[str]:
    """The sentences of a file of raw text, in the tokens that it gives, or that a tokenizer finds; what of it the
    columns do not say is returned."""
    kind = job.reading.text or _look(job)
    text_kind(kind)
    lost: dict[str, None] = {}  # a set that keeps its order
    for unit in _units(job):
        if jsonl.is_failed(unit.value):
            job.report(jsonl.failed_unit(unit.line))
            lost["units that could not be tagged"] = None
            if sidecar is not None:
                sidecar.add(unit.value, [])
            continue
        document = jsonl.document_of(unit.value)
        sentences, placed = [], []
        for tokens, spans in jsonl.tokenized(document, kind, unit.line, strictly(unit.name)):
            words = [document.text[token.start : token.end] for token in tokens]
            if scheme == "none":
                _refuse_doubt(spans, unit.name, [unit.line] * len(words))
            sentences.append((words, tag_scheme.tags(spans, len(words), scheme)))
            placed.append((tokens, spans))
        writer.write(unit, sentences)
        if sidecar is not None:
            sidecar.add(unit.value, placed)
        lost.update(dict.fromkeys(_lost(unit, document)))
    if TOKENS_GUESSED in lost:
        job.notices.append(
            f"tokens as the tokenizer {kind} finds them, where the file gives none (--text names another)"
        )
    return list(lost)


def _lost(unit: Unit, document: Document) -> Iterator[str]:
    """What of a unit its CoNLL lines do not say."""
    if "tokens" not in unit.value:
        yield TOKENS_GUESSED
    elif len(unit.value["tokens"]) != 1:
        yield "the bounds of units"
    if not _joins(document.text, [token for sentence in document.sentences for token in sentence]):
        yield "the text between tokens"
    if any(entity.score != 1.0 for entity in document.entities):
        yield "scores"
    if set(unit.value) - UNIT_KEYS or any(set(entity) - ENTITY_KEYS for entity in unit.value["entities"]):
        yield "further keys"


def _joins(text: str, tokens: Sequence[Token]) -> bool:
    """Whether a text is its tokens joined by blanks."""
    return " ".join(text[token.start : token.end] for token in tokens) == text


def _look(job: Job) -> str:
    quiet = replace(job, notices=[], warnings=[])
    return jsonl.look_of(
        [jsonl.document_of(u.value) for u in islice(_units(quiet), 1000) if not jsonl.is_failed(u.value)]
    )


def _to_segmentation(job: Job) -> None:
    """Characters and the words they make, as spans; ``lexical``: entities, and the words outside of them."""
    if format_of(job.source) != "conll":
        raise UsageError(f"--to {job.to}: expected a CoNLL file whose tokens carry their positions in words (我0 们1)")
    file = ConllFile(job.source, replace(job.reading, strip_token=None), job.report)
    detection = find_scheme(file)
    n_words = n_entities = n_cut = 0
    with output_stream(job.target) as stream:
        for sentence in file.sentences():
            check_tags(sentence, detection, file.report)
            characters, words = _words(sentence, file.name)
            entities = tag_scheme.spans(sentence.tags) if job.to == "lexical" else []
            spans = segmentation.lexical_spans(words, entities)
            n_words, n_entities = n_words + len(spans) - len(entities), n_entities + len(entities)
            n_cut += segmentation.n_cut(words, entities)
            write_conll([(characters, tag_scheme.tags(spans, len(characters), "iob2"))], stream)
    job.notices.append(f"{n_words:,} words" + (f", {n_entities:,} entities" if job.to == "lexical" else ""))
    if n_cut:
        job.notices.append(f"{n_cut:,} words are cut where an entity begins or ends within them")
    _comments_stay(job)


def _words(sentence: TaggedSentence, name: str) -> tuple[list[str], list[tag_scheme.Span]]:
    """The characters of a sentence, and its words."""
    found = []
    for token, line in zip(sentence.tokens, sentence.lines, strict=True):
        split = segmentation.split_position(token)
        if split is None:
            raise DataError(
                f"{name}:{line}: found token {token!r}, expected one with its position in the word (我0 们1)"
            )
        found.append(split)
    return [character for character, _ in found], segmentation.word_spans([position for _, position in found])


def _to_jsonl(job: Job) -> None:
    with output_stream(job.target) as stream:
        for unit in _units(job):
            stream.write(jsonl.dumped(unit.value) + "\n")
    _comments_stay(job)


def _to_brat(job: Job) -> None:
    if str(job.target) == "-":
        raise UsageError("BRAT is files in pairs; expected the name of one (X.ann), or of a folder")
    brat.write_brat(_units(job), job.target, job.notices)
    _comments_stay(job)


def _comments_stay(job: Job) -> None:
    job.warnings = [warning for warning in job.warnings if warning.kind != COMMENT]


def _units(job: Job) -> Iterator[Unit]:
    return SOURCES[format_of(job.source)](job)


def _from_conll(job: Job) -> Iterator[Unit]:
    file = ConllFile(job.source, job.reading, job.report)
    sidecar = conll_sidecar.sidecar_of(job.source)
    if str(job.source) != STANDARD_STREAM and sidecar.is_file():
        job.notices.append(f"read with {sidecar.name}, which lies beside it")
        return conll_sidecar.read_units(file, sidecar)
    return conll_units.read_units(file)


def _from_jsonl(job: Job) -> Iterator[Unit]:
    for line, value in jsonl.read_values(job.source, job.reading.encoding, job.report):
        yield Unit(job.name, line, value)


def _from_brat(job: Job) -> Iterator[Unit]:
    return brat.read_brat(job.source, job.notices)


SOURCES: dict[str, Callable[[Job], Iterator[Unit]]] = {
    "conll": _from_conll,
    "jsonl": _from_jsonl,
    "brat": _from_brat,
}
TARGETS: dict[str, Callable[[Job], None]] = {
    **dict.fromkeys(CONLL_SCHEMES, _to_conll),
    "jsonl": _to_jsonl,
    "brat": _to_brat,
    "segmentation": _to_segmentation,
    "lexical": _to_segmentation,
}
