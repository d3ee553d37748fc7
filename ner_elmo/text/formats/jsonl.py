"""The JSONL that ``tag`` writes, read: a text and its entities on each line, corrected by hand or not.

``{"text": "Ann sees Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}, …]}``: offsets in code points. An
entity's ``text``, if it is there, must be what stands at its place; without a ``score`` it has 1. A line may also say
where its tokens are, a list for each sentence: ``"tokens": [[[0, 3], [4, 8], …]]``. Other keys are nobody's business
here: they are kept. The record of a unit that could not be tagged is ``{"text": …, "error": …}``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from ner_elmo.errors import DataError
from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats.problems import Problem, TellProblem
from ner_elmo.text.language_kinds import BY_CHARACTER, language_of
from ner_elmo.text.look import kind_by_look, other_kinds
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.tokenizer import resolved, text_kind

_SUFFIXES = tuple(f".jsonl{packed}" for packed in ("", ".gz", ".bz2", ".xz", ".zst", ".zip"))


def is_jsonl(path: str | Path) -> bool:
    """Whether a file is JSONL by its suffix."""
    return str(path).lower().endswith(_SUFFIXES)


class _Found(Exception):  # noqa: N818 - says what was found, and never leaves this file
    """What is wrong with a line."""

    def __init__(self, message: str, kind: str = "JSON") -> None:
        super().__init__(message)
        self.kind = kind


class Unit(NamedTuple):
    """A unit of labelled text: one object of a JSONL file, wherever it was read from.

    Attributes:
        name, line: its place, for messages.
        value: the object as :func:`checked` gives it, with all its keys.
    """

    name: str
    line: int
    value: dict[str, Any]


def read_documents(path: str | Path, encoding: str, report: TellProblem) -> Iterator[tuple[int, Document]]:
    """The documents of a file with their line numbers; ``sentences`` is empty unless the line has ``tokens``.

    Lines that are blank, at fault or the record of a failed unit are left out, the latter two reported.

    Raises:
        UsageError: the file cannot be opened.
    """
    for number, value in read_values(path, encoding, report):
        if is_failed(value):
            report(failed_unit(number))
        else:
            yield number, document_of(value)


def read_values(path: str | Path, encoding: str, report: TellProblem) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file, those of failed units too, each :func:`checked`, with their line numbers.

    Lines that are blank or at fault are left out, the latter reported.

    Raises:
        UsageError: the file cannot be opened.
    """

    def undecodable(number: int, message: str) -> None:
        report(Problem(number, "undecodable bytes", message))

    for number, line in enumerate(read_lines(path, encoding, undecodable), start=1):
        if not line.strip():
            continue
        try:
            value = _checked(_loaded(line))
        except _Found as found:
            report(Problem(number, found.kind, str(found)))
        else:
            yield number, value


def checked(name: str, line: int, value: Any) -> dict[str, Any]:
    """An object as ``tag`` writes it: entities in order, each with its text and score; all other keys as they are.

    Raises:
        DataError: it is none, with its place.
    """
    try:
        return _checked(value)
    except _Found as found:
        raise DataError(f"{name}:{line}: {found}") from None


def dumped(value: Any) -> str:
    """JSON on one line of UTF-8, whoever splits lines: characters as such, save where they would end a line or are
    none (halves of surrogate pairs)."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _is_unicode(text) and len(text.splitlines()) == 1 else json.dumps(value)


def is_failed(value: dict[str, Any]) -> bool:
    """Whether an object is the record of a unit that could not be tagged."""
    return "error" in value and "entities" not in value


def failed_unit(number: int) -> Problem:
    """The warning that the failed unit of a line is left out."""
    return Problem(
        number, "failed unit", "found a text that could not be tagged, expected its entities; left out", False
    )


def document_of(value: dict[str, Any]) -> Document:
    """The document that a :func:`checked` object says; ``sentences`` is empty unless it has ``tokens``."""
    text = value["text"]
    entities = [
        Entity(entity["start"], entity["end"], entity["label"], entity["text"], entity["score"])
        for entity in value["entities"]
    ]
    return Document(text, _given_tokens(value.get("tokens", []), text), entities)


def _loaded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Found(f'found no JSON ({error}), expected {{"text": …, "entities": […]}}') from None


def _checked(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise _Found('found no "text", expected {"text": …, "entities": […]}')
    text = value["text"]
    if not _is_unicode(text):
        raise _Found("found half of a surrogate pair in the text, expected Unicode text")
    if is_failed(value):
        return value
    entities = value.get("entities")
    if not isinstance(entities, list):
        raise _Found('found no list of "entities", expected {"text": …, "entities": […]}')
    if "tokens" in value:
        _given_tokens(value["tokens"], text)
    found = sorted((_entity(entity, text) for entity in entities), key=lambda entity: (entity["start"], entity["end"]))
    _refuse_overlaps(found)
    return {**value, "entities": found}


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _entity(value: Any, text: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Found(f'found {_shown(value)} as an entity, expected {{"start": …, "end": …, "label": …}}')
    start, end, label, score = value.get("start"), value.get("end"), value.get("label"), value.get("score")
    if not (_is_offset(start) and _is_offset(end) and start <= end <= len(text)):
        raise _Found(
            f"found an entity from {_shown(start)} to {_shown(end)}, expected offsets of code points within the text's "
            f"{len(text)}"
        )
    if not isinstance(label, str) or not label or label.split() != [label] or not _is_unicode(label):
        raise _Found(f"found label {_shown(label)} at {start}-{end}, expected a word such as PER")
    if "text" in value and value["text"] != text[start:end]:
        raise _Found(
            f"found {_shown(value['text'])} as the text of {start}-{end}, where {text[start:end]!r} stands; expected "
            "these to agree (offsets count code points, as tag writes them without --offsets)"
        )
    if score is not None and not _is_number(score):
        raise _Found(f"found score {_shown(score)} at {start}-{end}, expected a number such as 0.97")
    canonical = {"start": start, "end": end, "label": label, "text": text[start:end]}
    return {**canonical, **value, "text": text[start:end], "score": 1.0 if score is None else float(score)}


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _is_offset(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=True)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _refuse_overlaps(entities: Sequence[dict[str, Any]]) -> None:
    """Complain of the first entity, in order of their starts, that overlaps the one before it."""
    for one, other in pairwise(entities):
        if other["start"] < one["end"] or (other["start"], other["end"]) == (one["start"], one["end"]):
            found, within = (f"{e['label']} {e['text']!r} at {e['start']}-{e['end']}" for e in (other, one))
            raise _Found(f"found {found} within {within}, expected entities that do not overlap", "overlap")


def _given_tokens(value: Any, text: str) -> list[list[Token]]:
    """The tokens that a line gives: a list for each sentence, of pairs in rising order."""
    sentences = []
    done = 0
    wrong = _Found(
        'found other "tokens", expected a list for each sentence of [start, end] in rising order within the text'
    )
    if not isinstance(value, list):
        raise wrong
    for sentence in value:
        if not isinstance(sentence, list) or not sentence:
            raise wrong
        tokens: list[Token] = []
        for pair in sentence:
            if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_offset, pair))):
                raise wrong
            start, end = pair
            if not done <= start <= end <= len(text):
                raise wrong
            tokens.append(Token(start, end, text[start:end]))
            done = end
        sentences.append(tokens)
    return sentences


def guess_text_kind(path: str | Path, encoding: str = "utf-8") -> str:
    """The tokenizer for the raw text of a file by the look of its first thousand lines, and by their entities."""
    documents = read_documents(path, encoding, lambda problem: None)
    return look_of([document for _, document in islice(documents, 1000)])


def look_of(documents: Sequence[Document]) -> str:
    """The kind of text that documents look to need: by their letters and small words.

    Where its tokens cross the bounds of entities, another is taken if its tokens cross none. Single characters, which
    fit anything, are not: a text of words has errors of its own.
    """
    texts = [document.text for document in documents]
    kind = kind_by_look(texts)
    if any(document.sentences for document in documents) or not any(_misfits(documents, kind)):
        return kind
    for name in other_kinds(kind, texts):
        if name in ("characters", "characters-words") and kind not in _OF_CHARACTERS and not _is_by_character(kind):
            continue
        if not any(_misfits(documents, resolved(name))):
            return resolved(name)
    return kind


_OF_CHARACTERS = ("characters", "characters-words")


def _is_by_character(kind: str) -> bool:
    return language_of(kind) in BY_CHARACTER


def _misfits(documents: Iterable[Document], kind: str) -> Iterator[Entity]:
    """The entities that begin or end inside a token."""
    for document in documents:
        tokens = [token for sentence in document.sentences or _split(document.text, kind) for token in sentence]
        starts, ends = [token.start for token in tokens], [token.end for token in tokens]
        for entity in document.entities:
            if _misfit(document, entity, tokens, *_tokens_of(entity, starts, ends)):
                yield entity


def _split(text: str, kind: str) -> list[list[Token]]:
    tokenize, split = text_kind(kind)
    return split(text, tokenize(text))


def _fitting(document: Document, entity: Entity, kind: str) -> str:
    """What to say of the kind of text where an entity begins or ends inside a token."""
    if document.sentences:
        return ""
    alone = Document(document.text, entities=[entity])
    for name in other_kinds(kind, [document.text]):
        if not any(_misfits([alone], resolved(name))):
            return f"; the text was read as {kind}, --text {name} would fit"
    return f"; the text was read as {kind} (--text)"


def tokenized(
    document: Document, kind: str, line: int, report: TellProblem
) -> Iterator[tuple[list[Token], list[Span]]]:
    """The sentences of a document (its own, or by a tokenizer) with the entities as spans over their tokens.

    White space at the edges of an entity does not count; sentences that an entity goes through are one. An entity that
    begins or ends inside a token, or covers none, is reported and left out.

    Raises:
        UsageError: no such kind of text.
    """
    sentences = document.sentences or _split(document.text, kind)
    tokens = [token for sentence in sentences for token in sentence]
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    spans = []
    for entity in document.entities:
        first, after = _tokens_of(entity, starts, ends)
        fault = _misfit(document, entity, tokens, first, after)
        if fault:
            if first < after:
                fault += _fitting(document, entity, kind)
            report(Problem(line, "boundary inside a token", fault))
        else:
            spans.append(Span(first, after, entity.label))
    bounds = _bounds([len(sentence) for sentence in sentences], spans)
    for start, end in pairwise(bounds):
        inside = [span for span in spans if start <= span.start < end]
        yield tokens[start:end], [Span(span.start - start, span.end - start, span.label) for span in inside]


def _tokens_of(entity: Entity, starts: list[int], ends: list[int]) -> tuple[int, int]:
    """The tokens that an entity is made of, half open. Those at its very edges come first: tokens may be empty."""
    first = bisect_left(starts, entity.start)
    if starts[first : first + 1] != [entity.start]:
        first = bisect_right(ends, entity.start)
    last = bisect_left(ends, entity.end)
    if ends[last : last + 1] == [entity.end]:
        return first, last + 1
    return first, bisect_left(starts, entity.end)


def _misfit(document: Document, entity: Entity, tokens: list[Token], first: int, after: int) -> str | None:
    """Why an entity is not made of the tokens ``first`` to before ``after``; None if it is."""
    what = f"found {entity.label} {entity.text!r} at {entity.start}-{entity.end}"
    if first >= after:
        return f"{what}, which holds no token, expected a token or more"
    for edge, verb, token in ((entity.start, "begins", tokens[first]), (entity.end, "ends", tokens[after - 1])):
        if token.start < edge < token.end:
            word = document.text[token.start : token.end]
            return f"{what}, which {verb} inside the token {word!r}, expected {token.start} or {token.end} there"
    return None


def _bounds(lengths: list[int], spans: list[Span]) -> list[int]:
    """Where sentences start, and the end: the given ones, without those that a span goes through."""
    bounds = [0]
    for length in lengths:
        bounds.append(bounds[-1] + length)
    for span in spans:
        while (index := bisect_right(bounds, span.start)) < len(bounds) and bounds[index] < span.end:
            del bounds[index]
    return bounds
