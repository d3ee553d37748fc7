"""The JSON that spaCy was trained on before DocBin, which many scripts still write; it is read, not written.

``["Ann came.", {"entities": [[0, 3, "PER"]]}]``, as items of an array or one a line; ``{"annotations": [such items]}``;
and the layout of spaCy 2's ``convert``: documents with ``paragraphs``, these with ``raw`` and ``entities``, or with
``sentences`` of ``tokens``, each with ``orth`` and ``ner`` (in BILUO).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ner_elmo.text import tag_scheme
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.hugging_face import unit_of_tokens
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.standoff import Found, Input


def read(source: Input) -> Iterator[Unit]:
    """The texts of a file with their entities.

    Raises:
        UsageError: the file cannot be opened.
    """
    for line, value in jsonl.read_objects(source.path, source.reading.decoding, source.report):
        yield from _units(source, line, value)


def _units(source: Input, line: int, value: Any) -> Iterator[Unit]:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):
        yield from _annotated(source, line, value[0], value[1])
    elif isinstance(value, list) and all(isinstance(item, list) for item in value):
        for item in value:
            yield from _units(source, line, item)
    elif isinstance(value, dict) and isinstance(value.get("annotations"), list):
        for item in value["annotations"]:
            if item is not None:  # a text that was skipped
                yield from _units(source, line, item)
    elif isinstance(value, dict) and isinstance(value.get("paragraphs"), list):
        for paragraph in value["paragraphs"]:
            yield from _paragraph(source, line, paragraph)
    else:
        source.tell(line, "JSON", f'found {jsonl.shown(value)}, expected ["text", {{"entities": [[0, 3, "PER"]]}}]')


def _annotated(source: Input, line: int, text: Any, said: dict[str, Any]) -> Iterator[Unit]:
    entities = said.get("entities", [])
    sound = isinstance(entities, list) and all(isinstance(one, list) and len(one) >= 3 for one in entities)
    if not sound:
        source.tell(line, "JSON", f'found {jsonl.shown(entities)} as "entities", expected [[0, 3, "PER"], …]')
        return
    keys = {key: item for key, item in said.items() if key not in ("entities", "text", "tokens")}
    yield from source.unit(line, text, [Found([(one[0], one[1])], one[2]) for one in entities], keys)


def _paragraph(source: Input, line: int, paragraph: Any) -> Iterator[Unit]:
    if not isinstance(paragraph, dict):
        source.tell(line, "JSON", f"found {jsonl.shown(paragraph)}, expected a paragraph with raw or sentences")
    elif isinstance(paragraph.get("entities"), list) and isinstance(paragraph.get("raw"), str):
        yield from _annotated(source, line, paragraph["raw"], {"entities": paragraph["entities"]})
    else:
        for sentence in paragraph.get("sentences") or []:
            tokens = sentence.get("tokens") if isinstance(sentence, dict) else None
            if not isinstance(tokens, list) or not all(isinstance(t, dict) and "orth" in t for t in tokens):
                source.tell(line, "JSON", 'found a sentence without "tokens" that have "orth" and "ner"')
                continue
            tags = [str(token.get("ner", "O")) for token in tokens]
            tags = ["O" if tag in ("-", "") else tag for tag in tags]
            words = [str(token["orth"]) for token in tokens]
            yield from unit_of_tokens(source, line, words, tag_scheme.read_tags(tags, "bioes"), {})
