"""The JSONL that ``tag`` writes, read: a text and its entities on each line, corrected by hand or not.

``{"text": "Ann sees Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}, …]}``: offsets in code points. An
entity's ``text``, if it is there, must be what stands at its place; without a ``score`` it has 1. A line may also say
where its tokens are, a list for each sentence: ``"tokens": [[[0, 3], [4, 8], …]]``. Other keys are nobody's business
here: they are kept. The record of a unit that could not be tagged is ``{"text": …, "error": …}``.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from ner_elmo.errors import DataError
from ner_elmo.settings import unique_keys
from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.files import RETURNS_INSIDE, has_returns_inside, read_lines
from ner_elmo.text.formats.labels import label_fault
from ner_elmo.text.formats.problems import Problem, TellProblem
from ner_elmo.text.language_kinds import BY_CHARACTER, language_of
from ner_elmo.text.look import kind_by_look, other_kinds
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.tokenizer import resolved, text_kind

GIVEN_TWICE = "entity given twice"


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


def read_values(
    path: str | Path, encoding: str, report: TellProblem, overlaps: str = "error"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file, those of failed units too, each :func:`checked`, with their line numbers.

    Lines that are blank or at fault are left out, the latter reported.

    Raises:
        UsageError: the file cannot be opened.
    """
    for number, value in read_objects(path, encoding, report):
        checked_value = try_checked(value, number, report, overlaps)
        if checked_value is not None:
            yield number, checked_value


def read_objects(path: str | Path, encoding: str, report: TellProblem) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON with the lines they begin on: one on each line, or the items of one array; an object
    may stand on several lines.

    What is no JSON is reported and left out.

    Raises:
        UsageError: the file cannot be opened.
    """

    def undecodable(number: int, message: str) -> None:
        report(Problem(number, "undecodable bytes", message))

    lines = enumerate(read_lines(path, encoding, undecodable), start=1)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    values = _Values(report)
    begins_array = re.match(r"\s*\[\s*(?:[\[{\]]|\Z)", first[1])
    if begins_array:
        yield from values.of_array(chain([first], lines))
    else:
        yield from values.of_lines(chain([first], lines))


class _Values:
    """Finds values of JSON in lines; no more than one of several lines is held at once."""

    def __init__(self, report: TellProblem) -> None:
        self._report = report
        self._decoder = json.JSONDecoder(object_pairs_hook=unique_keys)

    def of_lines(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
        for number, line in lines:
            if not line.strip():
                continue
            if has_returns_inside(line):
                self._report(Problem(number, "carriage returns", RETURNS_INSIDE.format(number=number)))
                continue
            try:
                value = json.loads(line, object_pairs_hook=unique_keys)
            except (ValueError, RecursionError) as error:
                if line.strip() == "{":
                    yield from self._of_several_lines(number, line, lines)
                else:
                    self._complain(number, error)
            else:
                yield number, value

    def _of_several_lines(self, number: int, line: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
        """The object that begins with a line of nothing but ``{``; it ends where its brackets do."""
        try:
            yield number, json.loads(self._whole_item(number, line, lines)[1], object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            self._complain(number, error)

    def of_array(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
        number, text = next(lines)
        at = text.index("[") + 1
        is_open = True
        while True:
            while at < len(text) and text[at] in " \t\r,":
                at += 1
            if at >= len(text):
                following = next(lines, None)
                if following is None:
                    break
                (number, text), at = following, 0
            elif text[at] == "]":
                is_open = False
                break
            else:
                begins = number
                try:
                    value, at = self._decoder.raw_decode(text, at)
                except (ValueError, RecursionError):
                    number, text = self._whole_item(number, text[at:], lines)
                    try:
                        value, at = self._decoder.raw_decode(text)
                    except (ValueError, RecursionError) as error:
                        self._complain(begins, error)
                        return
                yield begins, value
        if is_open:
            self._report(Problem(number, "JSON", "found the end of the file within an array of JSON, expected ]"))

    def _whole_item(self, number: int, begun: str, lines: Iterator[tuple[int, str]]) -> tuple[int, str]:
        """An item with the further lines that it takes, and the number of the last of them."""
        kept, depth = [begun], _depth(begun)
        while depth > 0 and (following := next(lines, None)) is not None:
            number = following[0]
            kept.append(following[1])
            depth += _depth(following[1])
        return number, "\n".join(kept)

    def _complain(self, number: int, error: Exception) -> None:
        self._report(Problem(number, "JSON", f'found no JSON ({error}), expected {{"text": …, "entities": […]}}'))


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def _depth(line: str) -> int:
    """How many brackets of JSON a line opens more than it closes; strings do not go over lines."""
    depth = 0
    for match in _BRACKETS.finditer(line):
        depth += bool(match[1]) - bool(match[2])
    return depth


def try_checked(value: Any, line: int, report: TellProblem, overlaps: str = "error") -> dict[str, Any] | None:
    """:func:`checked`, but what is wrong is reported; None then. ``overlaps`` says what becomes of entities that do."""
    try:
        return _checked(value, overlaps, line, report)
    except _Found as found:
        report(Problem(line, found.kind, str(found)))
        return None


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
    none (halves of surrogate pairs); null for numbers that JSON does not have (NaN, Infinity)."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(value := finite(value), ensure_ascii=False)
    return text if _is_unicode(text) and len(text.splitlines()) == 1 else json.dumps(value)


def finite(value: Any) -> Any:
    """A value with None for the numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def _checked(
    value: Any, overlaps: str = "error", line: int = 0, report: TellProblem = lambda problem: None
) -> dict[str, Any]:
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
    found, again = once_each(found)
    for entity in again:
        report(Problem(line, GIVEN_TWICE, given_twice(entity), is_error=False))
    if overlaps != "error":
        kept = without_overlaps(found, overlaps)
        if len(kept) < len(found):
            n_out = len(found) - len(kept)
            message = f"found {n_out:,} entit{'y' if n_out == 1 else 'ies'} within others; left out (--overlaps)"
            report(Problem(line, "overlap", message, is_error=False))
        found = kept
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
        raise _Found(f'found {shown(value)} as an entity, expected {{"start": …, "end": …, "label": …}}')
    start, end, label, score = value.get("start"), value.get("end"), value.get("label"), value.get("score")
    if not (is_offset(start) and is_offset(end) and start <= end <= len(text)):
        raise _Found(
            f"found an entity from {shown(start)} to {shown(end)}, expected offsets of code points within the text's "
            f"{len(text)}"
        )
    if not isinstance(label, str):
        raise _Found(f"found label {shown(label)} at {start}-{end}, expected a word such as PER")
    if fault := label_fault(label):
        raise _Found(f"{fault} (at {start}-{end})")
    if "text" in value and value["text"] != text[start:end]:
        raise _Found(
            f"found {shown(value['text'])} as the text of {start}-{end}, where {text[start:end]!r} stands; expected "
            "these to agree (offsets count code points, as tag writes them without --offsets)"
        )
    if score is not None and not _is_number(score):
        raise _Found(f"found score {shown(score)} at {start}-{end}, expected a number such as 0.97")
    canonical = {"start": start, "end": end, "label": label, "text": text[start:end]}
    return {**canonical, **value, "text": text[start:end], "score": 1.0 if score is None else float(score)}


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def is_offset(value: Any) -> TypeGuard[int]:
    """Whether a value of JSON can be a place in a text."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    shown = json.dumps(value, ensure_ascii=True)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _refuse_overlaps(entities: Sequence[dict[str, Any]]) -> None:
    """Complain of the first entity, in order of their starts, that overlaps the one before it."""
    for one, other in pairwise(entities):
        if other["start"] < one["end"] or (other["start"], other["end"]) == (one["start"], one["end"]):
            found, within = (f"{e['label']} at {e['start']}-{e['end']}" for e in (other, one))
            expected = "expected entities that do not overlap (or --overlaps longest, or first)"
            raise _Found(f"found {found} within {within}, {expected}", "overlap")


def once_each(entities: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The entities, and those among them that were given before, with the same place and label.

    Two annotators, or a click too many, leave the same entity twice; it counts once, as it is where it comes first.
    """
    seen: set[tuple[int, int, str]] = set()
    kept: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    for entity in entities:
        key = entity["start"], entity["end"], entity["label"]
        (again if key in seen else kept).append(entity)
        seen.add(key)
    return kept, again


def given_twice(entity: dict[str, Any]) -> str:
    """What to say of an entity that was given before."""
    return f"found {entity['label']} at {entity['start']}-{entity['end']} a second time, expected it once; counted once"


def without_overlaps(entities: Sequence[dict[str, Any]], policy: str) -> list[dict[str, Any]]:
    """The entities, in order, that are kept by a policy of ``--overlaps``: the ``longest``, or those that begin
    ``first``."""
    by_rank = sorted(entities, key=lambda e: (e["start"] - e["end"], e["start"])) if policy == "longest" else entities
    starts: list[int] = []
    kept: list[dict[str, Any]] = []  # in order
    for entity in by_rank:
        place = bisect_right(starts, entity["start"])
        before, after = kept[place - 1 : place], kept[place : place + 1]
        if before and (entity["start"] < before[0]["end"] or _same_place(entity, before[0])):
            continue
        if after and (after[0]["start"] < entity["end"] or _same_place(entity, after[0])):
            continue
        starts.insert(place, entity["start"])
        kept.insert(place, entity)
    return kept


def _same_place(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (one["start"], one["end"]) == (other["start"], other["end"])


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
            if not (isinstance(pair, list) and len(pair) == 2 and all(map(is_offset, pair))):
                raise wrong
            start, end = pair
            if not done <= start <= end <= len(text):
                raise wrong
            tokens.append(Token(start, end, text[start:end]))
            done = end
        sentences.append(tokens)
    return sentences


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
            if _misfit(entity, tokens, *_tokens_of(entity, starts, ends)):
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
    document: Document, kind: str, line: int, report: TellProblem, inside_tokens: str = "error"
) -> Iterator[tuple[list[Token], list[Span]]]:
    """The sentences of a document (its own, or by a tokenizer) with the entities as spans over their tokens.

    White space at the edges of an entity does not count; sentences that an entity goes through are one. An entity that
    begins or ends inside a token is reported and left out, or with ``widen`` takes the whole of it, as far as no other
    entity has it; one that covers no token is reported and left out.

    Raises:
        UsageError: no such kind of text.
    """
    sentences = document.sentences or _split(document.text, kind)
    tokens = [token for sentence in sentences for token in sentence]
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    spans: list[Span] = []
    for entity in document.entities:
        first, after = _tokens_of(entity, starts, ends)
        fault = _misfit(entity, tokens, first, after)
        if fault and inside_tokens == "widen" and first < after and not (spans and first < spans[-1].end):
            report(Problem(line, "widened", f"{fault}; it takes the whole of it (--inside-tokens)", is_error=False))
            spans.append(Span(first, after, entity.label))
        elif fault:
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


def _misfit(entity: Entity, tokens: list[Token], first: int, after: int) -> str | None:
    """Why an entity is not made of the tokens ``first`` to before ``after``; None if it is."""
    what = f"found {entity.label} at {entity.start}-{entity.end}"
    if first >= after:
        return f"{what}, which holds no token, expected a token or more"
    for edge, verb, token in ((entity.start, "begins", tokens[first]), (entity.end, "ends", tokens[after - 1])):
        if token.start < edge < token.end:
            place = f"{token.start}-{token.end}"  # names no words: they may be people's
            return f"{what}, which {verb} inside the token at {place}, expected {token.start} or {token.end} there"
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
