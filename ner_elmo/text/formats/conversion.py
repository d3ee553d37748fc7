"""Labelled files from one format to another: CoNLL in any tag scheme, the JSONL of ``tag``, what other tools write.

There and back without loss. CoNLL to CoNLL keeps every line and column but the tags'; the other formats keep what a
CoNLL file has beside tokens and entities under a key of its own (``conll_units``), and BRAT what it has no place for in
a file beside the pair. Raw text becomes tokens by the tokenizer; the text between them, scores and further keys have no
place in columns and go into a file beside these (``conll_sidecar``). Word segmentation is made out of characters that
carry their positions in words (``segmentation``); there is no way back from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import IO

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text import tag_scheme
from ner_elmo.text.documents import Document, Token
from ner_elmo.text.files import STANDARD_STREAM, LineWriter, display_name, output_stream
from ner_elmo.text.formats import brat_notes, conll_sidecar, conll_units, jsonl, segmentation
from ner_elmo.text.formats.conll import COMMENT, ConllFile, Reading, Row, TaggedSentence, write_conll
from ner_elmo.text.formats.conll_tags import TagCheck
from ner_elmo.text.formats.corpus import LOOKED_AT
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly, summary
from ner_elmo.text.formats.recognition import recognize
from ner_elmo.text.formats.sources import SOURCES
from ner_elmo.text.formats.standoff import Gathered, Input, within
from ner_elmo.text.formats.targets import TARGETS as TARGETS_OF_UNITS
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

    @cached_property
    def kind(self) -> str:
        """What the source is."""
        reading = self.reading
        return recognize(self.source, reading.source, reading.decoding, reading.column)

    @cached_property
    def gathered(self) -> Gathered:
        """The report for whatever has offsets: errors are told together, when all is read."""
        return Gathered(self.name, self.warnings)


def convert(job: Job) -> list[str]:
    """Convert a labelled file; lines to tell people, such as what the new format has no place for.

    Raises:
        UsageError: a file cannot be opened, or a name is unknown.
        DataError: what cannot be converted, with its line; nothing is written then.
    """
    TARGETS[job.to](job)
    return [*summary(job.name, job.warnings, most=3), *dict.fromkeys(job.notices)]


def retag(file: ConllFile, scheme: str | None, stream: IO[str]) -> int:
    """Write a CoNLL file with its tags in another scheme, or (None) repaired in its own; all else stays as it is.

    Line ends become LF, blank lines empty, the encoding UTF-8. Returns how many tags were changed.

    Raises:
        DataError: a line that cannot be read, a tag that fits no scheme.
    """
    checked = TagCheck(file)
    lines = LineWriter(stream)
    n_changed = 0
    pending: list[Row] = []

    def flush() -> int:
        tokens = [row for row in pending if row.kind == "token"]
        old = [row.tag for row in tokens]
        numbers = [row.number for row in tokens]
        checked.check(TaggedSentence([row.token for row in tokens], old, numbers))
        if scheme in WITHOUT_PREFIXES and checked.scheme != tag_scheme.TOKEN:
            _refuse_doubt(tag_scheme.spans(old), file.name, numbers)
        new = _new_tags(old, scheme, checked.scheme)
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
        if job.kind == "conll":
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
    kind, units = _looked_at(job)
    lost: dict[str, None] = {}  # a set that keeps its order
    for unit in units:
        if jsonl.is_failed(unit.value):
            job.report(jsonl.failed_unit(unit.line))
            lost["units that could not be tagged"] = None
            if sidecar is not None:
                sidecar.add(unit.value, [])
            continue
        document = jsonl.document_of(unit.value)
        sentences, placed = [], []
        for tokens, spans in jsonl.tokenized(
            document, kind, unit.line, within(job.source, unit, job.gathered), job.reading.inside_tokens
        ):
            words = [document.text[token.start : token.end] for token in tokens]
            if scheme == "none":
                _refuse_doubt(spans, unit.name, [unit.line] * len(words))
            sentences.append((words, tag_scheme.tags(spans, len(words), scheme)))
            placed.append((tokens, spans))
        writer.write(unit, sentences)
        if sidecar is not None:
            sidecar.add(unit.value, placed)
        lost.update(dict.fromkeys(_lost(unit, document)))
    job.gathered.finish()
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
    words = (token for sentence in document.sentences for token in sentence)
    if any(document.text[token.start : token.end] != _in_columns(document, token) for token in words):
        yield "blanks at the edges of tokens"
    if not _joins(document.text, [token for sentence in document.sentences for token in sentence]):
        yield "the text between tokens"
    if any(entity.score != 1.0 for entity in document.entities):
        yield "scores"
    if set(unit.value) - UNIT_KEYS or any(set(entity) - ENTITY_KEYS for entity in unit.value["entities"]):
        yield "further keys"


def _in_columns(document: Document, token: Token) -> str:
    """A token without the blanks at its edges, which do not count in columns."""
    text = document.text[token.start : token.end]
    return text.strip() or text


def _joins(text: str, tokens: Sequence[Token]) -> bool:
    """Whether a text is its tokens joined by blanks."""
    return " ".join(text[token.start : token.end] for token in tokens) == text


def _looked_at(job: Job) -> tuple[str, Iterator[Unit]]:
    """The tokenizer for the texts of a file, as named or by the look of its first units, and all units."""
    units = _units(job)
    beginning = list(islice(units, LOOKED_AT))
    kind = job.reading.text or jsonl.look_of(
        [jsonl.document_of(u.value) for u in beginning if not jsonl.is_failed(u.value)]
    )
    text_kind(kind)
    return kind, chain(beginning, units)


def _to_segmentation(job: Job) -> None:
    """Characters and the words they make, as spans; ``lexical``: entities, and the words outside of them."""
    if job.kind != "conll":
        raise UsageError(f"--to {job.to}: expected a CoNLL file whose tokens carry their positions in words (我0 们1)")
    file = ConllFile(job.source, replace(job.reading, strip_token=None), job.report)
    checked = TagCheck(file)
    n_words = n_entities = n_cut = 0
    with output_stream(job.target) as stream:
        for sentence in file.sentences():
            checked.check(sentence)
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


def _to_units(job: Job) -> None:
    """To a format of other tools, or to JSONL."""
    text, units = _looked_at(job)
    output = Output(job.target, job.gathered, job.notices, text, job.reading.inside_tokens)

    def all_of_them() -> Iterator[Unit]:
        yield from units
        job.gathered.finish()  # before anything is there

    TARGETS_OF_UNITS[job.to](all_of_them(), output)
    job.gathered.finish()
    _comments_stay(job)


def _comments_stay(job: Job) -> None:
    job.warnings = [warning for warning in job.warnings if warning.kind != COMMENT]


def _units(job: Job) -> Iterator[Unit]:
    if job.kind == "conll":
        return _from_conll(job)
    return SOURCES[job.kind](Input(job.source, job.reading, job.gathered, job.notices))


def _from_conll(job: Job) -> Iterator[Unit]:
    file = ConllFile(job.source, job.reading, job.report)
    sidecar = conll_sidecar.sidecar_of(job.source)
    if str(job.source) != STANDARD_STREAM and sidecar.is_file():
        job.notices.append(f"read with {sidecar.name}, which lies beside it")
        return conll_sidecar.read_units(file, sidecar)
    return conll_units.read_units(file)


TARGETS: dict[str, Callable[[Job], None]] = {
    **dict.fromkeys(CONLL_SCHEMES, _to_conll),
    **dict.fromkeys(TARGETS_OF_UNITS, _to_units),
    "segmentation": _to_segmentation,
    "lexical": _to_segmentation,
}
