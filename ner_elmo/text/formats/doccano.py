"""doccano's JSONL: ``{"id": 1, "text": "Ann …", "label": [[0, 3, "PER"]], "Comments": []}`` a line.

Read in all layouts that its versions wrote: ``label``, ``labels`` or ``entities`` as ``[start, end, label]``, and
``entities`` or ``annotations`` as objects with ``start_offset`` and ``end_offset``; also the text under ``data``. It is
written in the first, which doccano imports. Other keys of a unit stay, as doccano keeps them with a document; but it
fails on lines that have other keys than their neighbours (1.8.4 does), so where units differ in these, each line has
them under one key, ``ner_elmo``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output, other_keys
from ner_elmo.text.formats.standoff import Found, Input

_HOMES = ("label", "labels", "entities", "annotations")
_NESTED = "ner_elmo"
_EMPTY: dict[str, list[Any]] = {"Comments": [], "relations": []}  # what doccano adds where there is none


def read(source: Input) -> Iterator[Unit]:
    """The texts of a file with their entities; all other keys are kept.

    Raises:
        UsageError: the file cannot be opened.
    """
    for line, value in jsonl.read_objects(source.path, source.reading.decoding, source.report):
        if not isinstance(value, dict) or not isinstance(value.get("text", value.get("data")), str):
            source.tell(line, "JSON", 'found no "text", expected {"text": …, "label": [[start, end, "PER"], …]}')
            continue
        home = next((key for key in _HOMES if isinstance(value.get(key), list)), None)
        if home is None:
            source.tell(line, "JSON", 'found no "label", expected {"text": …, "label": [[start, end, "PER"], …]}')
            continue
        found = [_found(item) for item in value[home]]
        if None in found:
            wrong = jsonl.shown(value[home][found.index(None)])
            source.tell(line, "JSON", f'found {wrong} in "{home}", expected [start, end, "PER"], or an object with '
                                      '"start_offset", "end_offset" and "label"')  # fmt: skip
            continue
        named = "text" if "text" in value else "data"
        keys = {key: item for key, item in value.items() if key not in (home, named)}
        nested = keys.pop(_NESTED, None)
        keys |= nested if isinstance(nested, dict) else {}
        keys = {key: item for key, item in keys.items() if _EMPTY.get(key) != item}
        yield from source.unit(line, value[named], [one for one in found if one], keys)


def _found(item: Any) -> Found | None:
    if isinstance(item, list) and len(item) in (3, 4):  # a fourth may be the text
        said = item[3] if len(item) == 4 and isinstance(item[3], str) else None
        return Found([(item[0], item[1])], item[2], said)
    if not isinstance(item, dict) or "start_offset" not in item or "end_offset" not in item:
        return None
    keys = {key: value for key, value in item.items() if key not in ("start_offset", "end_offset", "label")}
    return Found([(item["start_offset"], item["end_offset"])], item.get("label"), None, keys)


def write(units: Iterable[Unit], output: Output) -> None:
    """Write a file that doccano imports.

    Raises:
        DataError: as ``output.report`` does.
    """
    all_keys: set[frozenset[str]] = set()
    with output.stream() as stream, tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as lines:
        for unit in output.tagged(units):
            value = unit.value
            output.lose_of_entities(value)
            label = [[entity["start"], entity["end"], entity["label"]] for entity in value["entities"]]
            others = other_keys(value, "label", "labels", "data", _NESTED)
            if len(others) < len(other_keys(value)):
                output.lose('keys called "label", "labels" or "data"')
            all_keys.add(frozenset(others))
            lines.write(jsonl.dumped({"text": value["text"], "label": label, **others}) + "\n")
        lines.seek(0)
        stream.writelines(lines if len(all_keys) < 2 else map(_nested, lines))
    output.tell_losses("doccano")


def _nested(line: str) -> str:
    """A line with all keys of its unit under one."""
    value = json.loads(line)
    plain = {key: value.pop(key) for key in ("text", "label")}
    return jsonl.dumped({**plain, _NESTED: value}) + "\n"
