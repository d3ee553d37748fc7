"""The JSONL that ``tag`` writes, read: a text and its entities on each line, corrected by hand or not.

``{"text": "Ann sees Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}, …]}``: offsets in code points. An
entity's ``text``, if it is there, must be what stands at its place; its ``score`` is kept, other keys are left alone.
A line may also say where its tokens are, a list for each sentence: ``"tokens": [[[0, 3], [4, 8], …]]``.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeGuard

from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.files import read_lines
from ner_elmo.text.problems import Problem, Report
from ner_elmo.text.tag_scheme import Span
from ner_elmo.text.tokenizer import text_kind

_SUFFIXES = tuple(f".jsonl{packed}" for packed in ("", ".gz", ".xz", ".zst"))


def is_jsonl(path: str | Path) -> bool:
    """Whether a file is JSONL by its suffix."""
    return str(path).lower().endswith(_SUFFIXES)


class _Found(Exception):  # noqa: N818 - says what was found, and never leaves this file
    """What is wrong with a line."""

    def __init__(self, message: str, kind: str = "JSON", is_error: bool = True) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_error = is_error


def read_documents(path: str | Path, encoding: str, report: Report) -> Iterator[tuple[int, Document]]:
    """The documents of a file with their line numbers; ``sentences`` is empty unless the line has ``tokens``.

    Lines that are blank, at fault or the record of a failed unit are left out, the latter two reported.

    Raises:
        UsageError: the file cannot be opened.
    """

    def undecodable(number: int, message: str) -> None:
        report(Problem(number, "undecodable bytes", message))

    for number, line in enumerate(read_lines(path, encoding, undecodable), start=1):
        if not line.strip():
            continue
        try:
            document = _document(line)
        except _Found as found:
            report(Problem(number, found.kind, str(found), found.is_error))
        else:
            yield number, document


def _document(line: str) -> Document:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Found(f'found no JSON ({error}), expected {{"text": …, "entities": […]}}') from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise _Found('found no "text", expected {"text": …, "entities": […]}')
    text = value["text"]
    if not _is_unicode(text):
        raise _Found("found half of a surrogate pair in the text, expected Unicode text")
    if "error" in value and "entities" not in value:
        raise _Found("found a text that could not be tagged, expected its entities; left out", "failed unit", False)
    entities = value.get("entities")
    if not isinstance(entities, list):
        raise _Found('found no list of "entities", expected {"text": …, "entities": […]}')
    sentences = _given_tokens(value["tokens"], text) if "tokens" in value else []
    found = sorted((_entity(entity, text) for entity in entities), key=lambda entity: (entity.start, entity.end))
    _refuse_overlaps(found)
    return Document(text, sentences, found)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _entity(value: Any, text: str) -> Entity:
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
            "these to agree (offsets count code points)"
        )
    return Entity(start, end, label, text[start:end], float(score) if isinstance(score, int | float) else 1.0)


def _is_offset(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=True)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _refuse_overlaps(entities: Sequence[Entity]) -> None:
    """Complain of the first entity, in order of their starts, that overlaps the one before it."""
    for one, other in pairwise(entities):
        if other.start < one.end or (other.start, other.end) == (one.start, one.end):
            raise _Found(
                f"found {other.label} {other.text!r} at {other.start}-{other.end} within {one.label} {one.text!r} at "
                f"{one.start}-{one.end}, expected entities that do not overlap",
                "overlap",
            )


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
    """The tokenizer for the raw text of a file by the look of its first thousand lines: ``characters`` or ``en-1``."""
    documents = read_documents(path, encoding, lambda problem: None)
    return look_of((document.text for _, document in islice(documents, 1000)))


def look_of(texts: Iterator[str]) -> str:
    """``characters`` if most letters are Chinese characters, otherwise ``en-1``."""
    letters = chinese = 0
    for text in texts:
        letters += sum(map(str.isalpha, text))
        chinese += sum("\u3400" <= character <= "\u9fff" for character in text)
    return "characters" if 2 * chinese > letters else "en-1"


def tokenized(document: Document, kind: str, line: int, report: Report) -> Iterator[tuple[list[Token], list[Span]]]:
    """The sentences of a document (its own, or by a tokenizer) with the entities as spans over their tokens.

    White space at the edges of an entity does not count; sentences that an entity goes through are one. An entity that
    begins or ends inside a token, or covers none, is reported and left out.

    Raises:
        UsageError: no such kind of text.
    """
    sentences = document.sentences or text_kind(kind).split(document.text, text_kind(kind).tokenize(document.text))
    tokens = [token for sentence in sentences for token in sentence]
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    spans = []
    for entity in document.entities:
        first, after = _tokens_of(entity, starts, ends)
        fault = _misfit(document, entity, tokens, first, after)
        if fault:
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
