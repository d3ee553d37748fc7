"""Sentences as Hugging Face's data sets have them: ``{"tokens": ["Ann", …], "ner_tags": ["B-PER", …]}`` a line.

Tags may be numbers, if ``--tag-names`` says what these stand for. The text is the tokens joined by blanks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from ner_elmo.errors import UsageError
from ner_elmo.text import tag_scheme
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.labels import as_tag
from ner_elmo.text.formats.output import Output, other_keys, words
from ner_elmo.text.formats.recognition import TAG_KEYS
from ner_elmo.text.formats.standoff import Found, Input
from ner_elmo.text.tag_scheme import Span

TOKENS = ("tokens", "words")


def read(source: Input) -> Iterator[Unit]:
    """The sentences of a file; other keys are kept.

    Raises:
        UsageError: the file cannot be opened, or that of ``--tag-names``.
    """
    names = tag_names(source.reading.tag_names)
    for line, value in jsonl.read_objects(source.path, source.reading.decoding, source.report):
        if not isinstance(value, dict):
            source.tell(line, "JSON", f'found {jsonl.shown(value)}, expected {{"tokens": […], "ner_tags": […]}}')
        else:
            yield from unit_of_row(source, line, value, names)


def tag_names(given: str | None) -> list[str]:
    """The tags that numbers stand for, by ``--tag-names``: a list with commas, or a file with one a line.

    Raises:
        UsageError: there is no such file.
    """
    if given is None:
        return []
    if "," in given:
        return [name.strip() for name in given.split(",")]
    if not Path(given).is_file():
        raise UsageError(f"--tag-names {given}: no such file; expected one with a tag a line, or O,B-PER,I-PER,...")
    return [line.strip() for line in read_lines(given) if line.strip()]


def unit_of_row(source: Input, line: int, row: dict[str, Any], names: Sequence[str]) -> Iterator[Unit]:
    """The unit of one row of a table of sentences."""
    tokens_key = next((key for key in TOKENS if isinstance(row.get(key), list)), None)
    tags_key = next((key for key in TAG_KEYS if isinstance(row.get(key), list)), None)
    if tokens_key is None or tags_key is None:
        source.tell(line, "JSON", f'found the keys {jsonl.shown(list(row))}, expected "tokens" and "ner_tags"')
        return
    tokens, tags = row[tokens_key], _named(row[tags_key], names)
    if not all(isinstance(token, str) for token in tokens):
        source.tell(line, "JSON", f'found other "{tokens_key}", expected a list of strings')
        return
    if isinstance(tags, str):
        source.tell(line, "tag", tags)
        return
    if len(tokens) != len(tags):
        source.tell(line, "number of tags", f"found {len(tokens)} tokens and {len(tags)} tags, expected as many")
        return
    wrong = next((tag for tag in tags if not tag_scheme.has_prefix(tag) and tag != tag_scheme.OUTSIDE), None)
    if wrong is not None and source.reading.scheme.lower() not in ("none", "io"):
        source.tell(line, "tag", f"found {as_tag(wrong)}, expected O or a tag such as B-PER (--scheme none: labels)")
        return
    scheme = "none" if wrong is not None else "iob2"
    keys = {key: item for key, item in row.items() if key not in (tokens_key, tags_key)}
    yield from unit_of_tokens(source, line, tokens, tag_scheme.read_tags(tags, scheme), keys)


def unit_of_tokens(
    source: Input, line: int, tokens: Sequence[str], spans: Iterable[Span], keys: dict[str, Any]
) -> Iterator[Unit]:
    """The unit of tokens joined by blanks."""
    ends = list(accumulate(len(token) + 1 for token in tokens))
    placed = [[end - 1 - len(token), end - 1] for token, end in zip(tokens, ends, strict=True)]
    found = [Found([(placed[span.start][0], placed[span.end - 1][1])], span.label) for span in spans]
    given = {"tokens": [placed]} if placed else {}
    keys = {key: item for key, item in keys.items() if key not in ("text", "entities", "tokens")}
    if source.reading.offsets not in ("auto", "char"):
        source = replace(source, reading=replace(source.reading, offsets="char"))
    yield from source.unit(line, " ".join(tokens), found, given | keys)


def _named(tags: Sequence[Any], names: Sequence[str]) -> list[str] | str:
    """The tags as strings; or what is wrong with them."""
    found = []
    for tag in tags:
        if isinstance(tag, str):
            found.append(tag)
        elif isinstance(tag, bool) or not isinstance(tag, int):
            return f"found tag {jsonl.shown(tag)}, expected a tag such as B-PER, or its number"
        elif not names:
            return f"found the number {tag} as a tag, expected its name; say what numbers mean: --tag-names O,B-PER,..."
        elif not 0 <= tag < len(names):
            return f"found the number {tag} as a tag, expected 0 to {len(names) - 1} (--tag-names)"
        else:
            found.append(names[tag])
    return found


def rows(units: Iterable[Unit], output: Output, keeps_keys: bool) -> Iterator[dict[str, Any]]:
    """The sentences of units as rows: tokens, tags in IOB2, and the unit's further keys if these have a place."""
    for unit in output.tagged(units):
        sentences = output.sentences(unit)
        output.lose_of_columns(unit, sentences, keeps_keys)
        others = other_keys(unit.value, "tokens", *TOKENS, *TAG_KEYS) if keeps_keys else {}
        for tokens, spans in sentences:
            tags = tag_scheme.tags(spans, len(tokens), "iob2")
            yield {"tokens": words(unit.value["text"], tokens), "ner_tags": tags, **others}


def write(units: Iterable[Unit], output: Output) -> None:
    """Write a sentence a line.

    Raises:
        DataError: as ``output.report`` does, for entities that end inside a token.
    """
    with output.stream() as stream:
        for row in rows(units, output, keeps_keys=True):
            stream.write(jsonl.dumped(row) + "\n")
    output.tell_losses("a list of tokens and tags")
