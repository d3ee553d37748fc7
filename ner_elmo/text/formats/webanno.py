r"""WebAnno TSV 3, which INCEpTION writes and reads: a token a line, with its offsets and a column for each feature.

``1-2<TAB>4-7<TAB>Lee<TAB>*[1]<TAB>PER[1]``: sentence and token, offsets in UTF-16 units of the whole document, the
form, and the features of its layers: ``_`` where there is no annotation, ``*`` for one without a value, ``[1]`` for one
over several lines, ``|`` between several. ``1-2.1`` is a part of a token. A sentence is a unit: ``#Text=`` says its
text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import IO, Any, NamedTuple

from ner_elmo.errors import DataError
from ner_elmo.text.documents import Token
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import BOUNDS, CONLL_LAYOUT, KEYS, TOKENS, Output, other_keys
from ner_elmo.text.formats.problems import Problem
from ner_elmo.text.formats.standoff import Found, Input

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_HEADER = f"#FORMAT=WebAnno TSV 3.3\n#T_SP={NAMED_ENTITY}|identifier|value\n\n"
_ROW = re.compile(r"([0-9]+)-([0-9]+)(\.[0-9]+)?\t([0-9]+)-([0-9]+)\t([^\t]*)(?:\t(.*))?\Z", re.DOTALL)
_ID = re.compile(r"(.*?)(?<!\\)\[([0-9]+)\]\Z", re.DOTALL)
_BAR = re.compile(r"(?<!\\)\|")
_TEXT_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x08": "\\b", "\x0c": "\\f"}
_UNESCAPED = {value[1]: key for key, value in _TEXT_ESCAPES.items()}
_RESERVED = "\\[]|_;*"


# Reading --------------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """A line of a token, or of a part of one."""

    line: int
    is_part: bool
    start: int
    end: int
    form: str
    cells: list[str]


@dataclass
class _Sentence:
    line: int = 0
    text: str | None = None
    rows: list[_Row] = field(default_factory=list)


def read(source: Input) -> Iterator[Unit]:
    """The sentences of a file with the values of its named entities, or of its only layer of spans with a value.

    Raises:
        UsageError: the file cannot be opened.
        DataError: it has no such layer.
    """
    layers: list[str] = []
    column: int | None = None
    sentence = _Sentence()
    n_without = 0

    def undecodable(number: int, message: str) -> None:
        source.tell(number, "undecodable bytes", message)

    for number, line in enumerate(read_lines(source.path, source.reading.decoding, undecodable), start=1):
        if line.startswith(("#T_SP=", "#T_CH=", "#T_RL=")) and not sentence.rows:
            layers.append(line[3:])
        elif line.startswith("#Text="):
            if sentence.rows or sentence.text is None:
                column = _column(layers, source.name) if column is None else column
                n_without += sum(1 for row in sentence.rows if _has_no_value(row, column))
                yield from _unit(source, sentence, column)
                sentence = _Sentence(number, "")
            sentence.text = (sentence.text or "") + ("\n" if sentence.text else "") + _unescaped(line[6:])
        elif match := _ROW.match(line):
            sentence.line = sentence.line or number
            cells = match[7].split("\t") if match[7] is not None else []
            start, end = int(match[4]), int(match[5])
            sentence.rows.append(_Row(number, bool(match[3]), start, end, _unescaped(match[6]), cells))
        elif not line.strip():
            if sentence.rows and sentence.text is None:  # files without #Text
                column = _column(layers, source.name) if column is None else column
                yield from _unit(source, sentence, column)
                sentence = _Sentence()
        elif not line.startswith("#"):
            found = jsonl.shown(line)
            source.tell(number, "columns", f"found {found}, expected a token's line: 1-1<TAB>0-3<TAB>form<TAB>…")
    column = _column(layers, source.name) if column is None else column
    n_without += sum(1 for row in sentence.rows if _has_no_value(row, column))
    yield from _unit(source, sentence, column)
    if n_without:
        source.notices.append(f"{source.name}: {n_without:,} tokens are marked without a value: left out")


def _column(layers: Sequence[str], name: str) -> int:
    """The column, counted after the form, of the labels: the value of named entities, or of the only such layer."""
    found: list[tuple[str, int]] = []
    at = 0
    for layer in layers:
        kind, _, rest = layer.partition("=")
        layer_name, *features = rest.split("|")
        if kind == "SP":
            index = next((i for i, feature in enumerate(features) if feature in ("value", "label")), None)
            index = 0 if index is None and len(features) == 1 else index
            if layer_name == NAMED_ENTITY and index is not None:
                return at + index
            if index is not None and layer_name.rpartition(".")[2] not in ("POS", "Lemma", "Stem"):
                found.append((layer_name, at + index))
        at += max(1, len(features))
    if len(found) == 1:
        return found[0][1]
    names = ", ".join(layer for layer, _ in found) or "none"
    raise DataError(f"{name}:1: found {len(found)} layers of spans that may hold entities ({names}), expected one, or "
                    "NamedEntity with the feature value")  # fmt: skip


def _items(row: _Row, column: int) -> list[str]:
    cell = row.cells[column] if column < len(row.cells) else "_"
    return [] if cell in ("_", "") else _BAR.split(cell)


def _has_no_value(row: _Row, column: int) -> bool:
    return any((match[1] if (match := _ID.match(item)) else item) == "*" for item in _items(row, column))


def _unit(source: Input, sentence: _Sentence, column: int) -> Iterator[Unit]:
    if not sentence.rows:
        return
    text = _spelled(sentence.rows) if sentence.text is None else sentence.text
    line = sentence.rows[0].line
    message = f"found offsets that do not fit the sentence (from {sentence.rows[0].start}), expected those of its forms"
    message += "; found by their forms"
    places = _places(sentence.rows, text, lambda: source.tell(line, "offsets elsewhere", message, is_error=False))
    if isinstance(places, _Row):
        found = f"found the form {jsonl.shown(places.form)} at {places.start}-{places.end}"
        source.tell(places.line, "offsets", f"{found}, expected one that stands in the sentence's #Text")
        return
    marked: dict[object, tuple[str, list[tuple[int, int]]]] = {}
    for row, place in zip(sentence.rows, places, strict=True):
        for number, item in enumerate(_items(row, column)):
            match = _ID.match(item)
            label, key = (match[1], int(match[2])) if match else (item, None)
            if label != "*":
                own: object = (row.line, number) if key is None else key
                marked.setdefault(own, (_unescaped(label), []))[1].append(place)
    entities = []
    tokens = [list(place) for row, place in zip(sentence.rows, places, strict=True) if not row.is_part]
    for label, pieces in marked.values():
        joined = _joined(text, sorted(pieces), tokens)
        entities.append(Found(joined, label))
    # Its own offsets are turned into code points above.
    plain = replace(source, reading=replace(source.reading, offsets="char"))
    yield from plain.unit(sentence.line, text, entities, {"tokens": [tokens]} if tokens else {})


def _joined(text: str, pieces: list[tuple[int, int]], tokens: list[list[int]]) -> list[tuple[int, int]]:
    """Pieces of an entity, made one where no token stands between them."""
    joined = [pieces[0]]
    for start, end in pieces[1:]:
        before = joined[-1][1]
        if start <= before or not any(before <= a and b <= start and a < b for a, b in tokens):
            joined[-1] = (joined[-1][0], max(before, end))
        else:
            joined.append((start, end))
    return joined


def _spelled(rows: Sequence[_Row]) -> str:
    """The text of a sentence whose file gives none: forms, and blanks where offsets leave room."""
    text, at = "", rows[0].start
    for row in rows:
        if not row.is_part:
            text += " " * (row.start - at) + row.form
            at = row.end
    return text


def _places(rows: Sequence[_Row], text: str, note: Callable[[], None]) -> list[tuple[int, int]] | _Row:
    """Where each row stands in the text, in code points; or the first that does not stand there.

    Args:
        note: is called where the offsets lead elsewhere, and the forms are looked for in their order.
    """
    found = _by_offsets(rows, text)
    if found is not None:
        return found
    note()
    places: list[tuple[int, int]] = []
    at = inside = 0
    for row in rows:
        start = text.find(row.form, inside if row.is_part else at)
        if start < 0:
            return row
        places.append((start, start + len(row.form)))
        if row.is_part:
            inside = start + len(row.form)
        else:
            at, inside = start + len(row.form), start
    return places


def _by_offsets(rows: Sequence[_Row], text: str) -> list[tuple[int, int]] | None:
    """The places that the offsets say, in UTF-16 units or in code points, if the forms stand there."""
    first = text.find(rows[0].form)
    if first < 0:
        return None
    for wide in (True, False):
        table = _utf16_places(text) if wide and not text.isascii() else None
        lead = len(text[:first].encode("utf-16-le", "surrogatepass")) // 2 if wide else first
        base = rows[0].start - lead
        places = []
        for row in rows:
            start, end = row.start - base, row.end - base
            if table is not None:
                start, end = table.get(start, -1), table.get(end, -1)
            if start < 0 or text[start:end] != row.form:
                break
            places.append((start, end))
        else:
            return places
    return None


def _utf16_places(text: str) -> dict[int, int]:
    places, at = {0: 0}, 0
    for index, character in enumerate(text, start=1):
        at += 2 if character > "\uffff" else 1
        places[at] = index
    return places


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(->|.)", lambda match: _UNESCAPED.get(match[1], match[1]), text, flags=re.DOTALL)


# Writing --------------------------------------------------------------------------------------------------------------


def write(units: Iterable[Unit], output: Output) -> None:
    """Write the sentences of units, with their named entities; one that ends inside a token marks a part of it.

    Raises:
        DataError: as ``output.report`` does, for entities that hold no token.
    """
    offset = n_sentences = 0
    with output.stream() as stream:
        stream.write(_HEADER)
        for unit in output.tagged(units):
            sentences = _sentences(unit, output)
            _note_losses(unit, len(sentences), output)
            for tokens, text, start in sentences:
                n_sentences += 1
                entities = [e for e in unit.value["entities"] if start <= e["start"] and e["end"] <= start + len(text)]
                _write_sentence(stream, n_sentences, offset, tokens, _Stretch(text, start), entities)
                offset += _width(text) + 1
    output.tell_losses("WebAnno TSV")


class _Stretch(NamedTuple):
    """A sentence's text, and where it begins in its unit's."""

    text: str
    start: int


def _note_losses(unit: Unit, n_sentences: int, output: Output) -> None:
    value = unit.value
    if n_sentences == 0:
        output.lose("texts without tokens")
    if n_sentences > 1:
        output.lose(BOUNDS)
    if "tokens" not in value:
        output.lose(TOKENS.replace("there are", "were given"))
    if other_keys(value, "tokens", CONLL_LAYOUT):
        output.lose(KEYS)
    if CONLL_LAYOUT in value:
        output.lose("the layout of CoNLL lines")
    output.lose_of_entities(value)


def _sentences(unit: Unit, output: Output) -> list[tuple[list[Token], str, int]]:
    """The sentences of a unit: tokens, text, and where that begins. Entities stay within them."""
    document = jsonl.document_of(unit.value)

    def report(problem: Problem) -> None:
        if problem.kind != "widened":
            output.report(problem)

    found = [tokens for tokens, _ in jsonl.tokenized(document, output.text, unit.line, report, "widen") if tokens]
    text = document.text
    if len(found) <= 1:
        return [(tokens, text, 0) for tokens in found]
    ends = [*(tokens[0].start for tokens in found[1:]), len(text)]
    starts = [0, *ends[:-1]]
    return [
        (tokens, text[start:end].rstrip() if number < len(found) else text[start:end], start)
        for number, (tokens, start, end) in enumerate(zip(found, starts, ends, strict=True), start=1)
    ]


def _write_sentence(
    stream: IO[str],
    number: int,
    offset: int,
    tokens: Sequence[Token],
    stretch: _Stretch,
    entities: Sequence[dict[str, Any]],
) -> None:
    text, base = stretch
    stream.write(f"\n#Text={_escaped_text(text)}\n")
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    several = [e for e in entities if bisect_left(starts, e["end"]) - bisect_right(ends, e["start"]) > 1]
    ids = {(e["start"], e["end"]): index for index, e in enumerate(several, start=1)}
    widths = None if text.isascii() else [0, *accumulate(map(_width, text))]

    def row(name: str, start: int, end: int, cells: tuple[str, str]) -> None:
        a, b = (offset + (at - base if widths is None else widths[at - base]) for at in (start, end))
        form = _escaped_text(text[start - base : end - base])
        stream.write(f"{number}-{name}\t{a}-{b}\t{form}\t{cells[0]}\t{cells[1]}\t\n")

    begins, stops = [e["start"] for e in entities], [e["end"] for e in entities]  # in order, as they do not overlap
    for index, token in enumerate(tokens, start=1):
        inside = entities[bisect_right(stops, token.start) : bisect_left(begins, token.end)]
        whole = [e for e in inside if e["start"] <= token.start and token.end <= e["end"]]
        row(str(index), token.start, token.end, _cells(whole, ids))
        parts = [e for e in inside if e not in whole]
        for part, entity in enumerate(parts, start=1):
            start, end = max(token.start, entity["start"]), min(token.end, entity["end"])
            row(f"{index}.{part}", start, end, _cells([entity], ids))


def _cells(entities: Sequence[dict[str, Any]], ids: dict[tuple[int, int], int]) -> tuple[str, str]:
    if not entities:
        return "_", "_"
    marks = [f"[{ids[place]}]" if (place := (e["start"], e["end"])) in ids else "" for e in entities]
    values = [_escaped_value(e["label"]) + mark for e, mark in zip(entities, marks, strict=True)]
    return "|".join("*" + mark for mark in marks), "|".join(values)


def _width(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _escaped_text(text: str) -> str:
    return "".join(_TEXT_ESCAPES.get(character, character) for character in text)


def _escaped_value(value: str) -> str:
    escaped = "".join(f"\\{character}" if character in _RESERVED else character for character in value)
    return escaped.replace("->", "\\->")
