"""Units of labelled text about to be written: what every format needs of them, and what is told about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from ner_elmo.text.documents import Document, Token
from ner_elmo.text.files import output_stream
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.problems import Problem, TellProblem
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.terminal import safe_stream

SCORES, KEYS, ENTITY_KEYS, TOKENS = "scores", "further keys", "further keys of entities", "which tokens there are"
GAPS, BOUNDS, LAYOUT = "the text between tokens", "the bounds of units", "the layout of CoNLL lines"
CONLL_LAYOUT = "conll"  # the unit's key that only CoNLL files read
_OF_ENTITIES = {"start", "end", "label", "text", "score"}


class Sentence(NamedTuple):
    """A sentence of a unit: its tokens, and its entities as spans over them."""

    tokens: Sequence[Token]
    spans: Sequence[Span]


@dataclass
class Output:
    """Where units go, and how.

    Attributes:
        target: a file, a folder, or ``-``.
        report: is handed what cannot be written, such as an entity that ends inside a token.
        notices: is handed lines for people, such as what a format has no place for.
        text: the tokenizer for units that do not say their tokens.
        inside_tokens: as in :class:`~ner_elmo.text.formats.conll.Reading`.
        model: the name of the model that found the entities; empty: people marked them.
        labels: those that the model can find, whichever of them are there.
    """

    target: str | Path
    report: TellProblem
    notices: list[str] = field(default_factory=list)
    text: str = "en-1"
    inside_tokens: str = "error"
    model: str = ""
    labels: Sequence[str] = ()
    _lost: dict[str, None] = field(default_factory=dict)  # a set that keeps its order

    def lose(self, what: str) -> None:
        """Note that something of a unit has no place in the format."""
        self._lost[what] = None

    def sentences(self, unit: Unit) -> list[Sentence]:
        """The sentences of a unit: its own, or what the tokenizer finds."""
        document = jsonl.document_of(unit.value)
        found = jsonl.tokenized(document, self.text, unit.line, self._at(unit), self.inside_tokens)
        return [Sentence(tokens, spans) for tokens, spans in found]

    def tagged(self, units: Iterable[Unit]) -> Iterator[Unit]:
        """The units but for those that could not be tagged, which are reported."""
        for unit in units:
            if jsonl.is_failed(unit.value):
                self.report(jsonl.failed_unit(unit.line))
            else:
                yield unit

    @contextmanager
    def stream(self) -> Iterator[IO[str]]:
        """The text file to write, which appears once it is complete."""
        with output_stream(self.target) as stream:
            yield safe_stream(stream)

    def tell_losses(self, format: str) -> None:
        """Leave a line that says what the format has no place for, if anything was lost."""
        if self._lost:
            self.notices.append(f"{format} has no place for {', '.join(self._lost)}: left out")

    def lose_of_entities(self, value: dict[str, Any], keeps_scores: bool = False) -> None:
        """Note the loss of scores and of further keys of entities."""
        for entity in value["entities"]:
            if entity["score"] != 1.0 and not keeps_scores:
                self.lose(SCORES)
            if set(entity) - _OF_ENTITIES:
                self.lose(ENTITY_KEYS)

    def lose_of_columns(self, unit: Unit, sentences: Sequence[Sentence], keeps_keys: bool = False) -> None:
        """Note what is lost where sentences are but tokens and tags."""
        value = unit.value
        if "tokens" not in value or len(sentences) != 1:
            self.lose(BOUNDS)
        tokens = [token for sentence in sentences for token in sentence.tokens]
        if " ".join(value["text"][token.start : token.end] for token in tokens) != value["text"]:
            self.lose(GAPS)
        if not keeps_keys and set(value) - {"text", "entities", "tokens", CONLL_LAYOUT}:
            self.lose(KEYS)
        if CONLL_LAYOUT in value and not keeps_keys:
            self.lose(LAYOUT)
        self.lose_of_entities(value)

    def _at(self, unit: Unit) -> TellProblem:
        def report(problem: Problem) -> None:
            self.report(problem._replace(line=unit.line))

        return report


def other_keys(value: dict[str, Any], *known: str) -> dict[str, Any]:
    """The keys of a unit beside its text, its entities and those that a format has a place for."""
    return {key: item for key, item in value.items() if key not in ("text", "entities", *known)}


def unit_of(document: Document, number: int, name: str, with_tokens: bool = True) -> Unit:
    """What a tagger found in a text, as a unit."""
    entities = [
        {"start": e.start, "end": e.end, "label": e.label, "text": e.text}
        | {"score": 1.0 if e.score is None else round(float(e.score), 4)}
        for e in document.entities
    ]
    tokens = [[[token.start, token.end] for token in sentence] for sentence in document.sentences if sentence]
    value = {"text": document.text, "entities": entities} | ({"tokens": tokens} if with_tokens else {})
    others = {} if document.origin is None else document.origin.keys
    return Unit(name, number, dict(others) | value)


def words(text: str, tokens: Sequence[Token]) -> list[str]:
    """The tokens as they stand in the text."""
    return [text[token.start : token.end] for token in tokens]
