"""CoNLL-U with entities in its last column (MISC), a sentence a unit.

Read are ``NE=B-PER`` (also under ``NER`` or ``NamedEntity``) and the brackets of ``Entity=(person-1 … person-1)``, as
in GUM and CorefUD. ``SpaceAfter`` and ``SpacesAfter`` say the text. The words are the tokens; lines of multiword tokens
(``3-4``) and empty nodes (``5.1``), comments and the other columns are kept under the unit's key ``conllu``, and
written back. Written is ``NE=B-PER``, or the key that stood there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ner_elmo.text import tag_scheme
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import BOUNDS, CONLL_LAYOUT, KEYS, TOKENS, Output, other_keys, words
from ner_elmo.text.formats.standoff import Found, Input

LINES = "conllu"
_TAGGED = ("NE", "NER", "NamedEntity")
_BRACKETS = re.compile(r"\(([^()]+)(\))?|([^()]*)\)")
_SPACES = {"\\": "\\\\", " ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r", "|": "\\p"}
_UNESCAPED = {value[1]: key for key, value in _SPACES.items()}
_N_COLUMNS = 10


class _Word(NamedTuple):
    """The line of a syntactic word."""

    line: int
    columns: list[str]

    @property
    def misc(self) -> dict[str, str]:
        items = (item.partition("=") for item in self.columns[9].split("|"))
        return {key: value for key, _, value in items}


# Reading --------------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Unit]:
    """The sentences of a file.

    Raises:
        UsageError: the file cannot be opened.
    """

    def undecodable(number: int, message: str) -> None:
        source.tell(number, "undecodable bytes", message)

    fields: list[str] = []
    kept: list[str | list[str]] = []
    found: list[_Word] = []
    number = 0
    for number, line in enumerate(read_lines(source.path, source.reading.encoding, undecodable), start=1):
        if not line.strip():
            yield from _unit(source, kept, found, fields)
            kept, found = [], []
        elif line.startswith("#") and not found:
            if line.startswith("# global.Entity = "):
                fields = line.partition(" = ")[2].strip().split("-")
            kept.append(line)
        else:
            columns = line.split("\t")
            if len(columns) != _N_COLUMNS:
                message = f"found {len(columns)} columns, expected {_N_COLUMNS} (CoNLL-U), separated by tabs"
                source.tell(number, "number of columns", message)
                continue
            kept.append(columns)
            if columns[0].isascii() and columns[0].isdigit():
                found.append(_Word(number, columns))
    yield from _unit(source, kept, found, fields)


def _unit(source: Input, kept: list[str | list[str]], found: list[_Word], fields: Sequence[str]) -> Iterator[Unit]:
    if not found:
        return
    said = next((line[9:] for line in kept if isinstance(line, str) and line.startswith("# text = ")), None)
    text, tokens = _text(found, said)
    tagged = next((key for key in _TAGGED if any(key in word.misc for word in found)), None)
    if tagged is not None:
        tags = [_unescaped(word.misc.get(tagged, tag_scheme.OUTSIDE)) for word in found]
        for word, tag in zip(found, tags, strict=True):
            if tag != tag_scheme.OUTSIDE and not tag_scheme.has_prefix(tag):
                source.tell(word.line, "tag", f"found {tagged}={tag}, expected O or a tag such as B-PER")
                return
        spans = tag_scheme.read_tags(tags, "iob2")
        entities = [Found([(tokens[s.start][0], tokens[s.end - 1][1])], s.label) for s in spans]
    else:
        entities = [
            Found([(tokens[first][0], tokens[last][1])], label)
            for first, last, label in _in_brackets(source, found, fields)
        ]
    keys: dict[str, Any] = {"tokens": [tokens]}
    if not _is_plain(kept):
        keys[LINES] = kept
    plain = replace(source, reading=replace(source.reading, offsets="char"))
    yield from plain.unit(found[0].line, text, entities, keys)


def _text(found: Sequence[_Word], said: str | None) -> tuple[str, list[list[int]]]:
    """The text of a sentence, and where its words stand in it."""
    text = _unescaped(found[0].misc.get("SpacesBefore", ""))
    tokens = []
    trailing = ""
    for number, word in enumerate(found, start=1):
        form, misc = word.columns[1], word.misc
        tokens.append([len(text), len(text) + len(form)])
        text += form
        if number == len(found):
            trailing = _unescaped(misc.get("SpacesAfter", ""))
        elif "SpacesAfter" in misc:
            text += _unescaped(misc["SpacesAfter"])
        elif misc.get("SpaceAfter") != "No":
            text += " "
    is_text = said is None or said == _on_one_line(text + trailing)
    return text + (trailing if is_text else ""), tokens


def _in_brackets(source: Input, found: Sequence[_Word], fields: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Entities by ``Entity=(e1-person-1`` … ``e1)``: the first word, the last and the type of each."""
    of_type = fields.index("etype") if "etype" in fields else 0
    is_named = fields.index("eid") if "eid" in fields else 0
    opened: list[tuple[int, str, str]] = []
    for index, word in enumerate(found):
        for match in _BRACKETS.finditer(word.misc.get("Entity", "")):
            if match[1] is not None:
                parts = match[1].split("-")
                label = parts[of_type] if of_type < len(parts) else parts[0]
                if match[2]:
                    yield index, index, label
                else:
                    opened.append((index, parts[min(is_named, len(parts) - 1)], label))
                continue
            name = match[3].split("-")[0]
            place = next((n for n in reversed(range(len(opened))) if opened[n][1] == name), len(opened) - 1)
            if place < 0:
                source.tell(word.line, "tag", f"found Entity={word.misc['Entity']}, which ends nothing that began")
                continue
            first, _, label = opened.pop(place)
            yield first, index, label
    for first, name, _ in opened:
        source.tell(found[first].line, "tag", f"found the entity {name}, which does not end in its sentence")


def _is_plain(kept: Sequence[str | list[str]]) -> bool:
    """Whether the lines say no more than a unit does by itself."""
    for line in kept:
        if isinstance(line, str):
            if not line.startswith("# text = "):
                return False
            continue
        misc = {item.partition("=")[0] for item in line[9].split("|")}
        if line[2:9] != ["_"] * 7 or misc - {"_", "NE", "SpaceAfter", "SpacesAfter", "SpacesBefore"}:
            return False
        if not (line[0].isascii() and line[0].isdigit()):
            return False
    return True


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _UNESCAPED.get(match[1], match[0]), text, flags=re.DOTALL)


def _escaped(text: str) -> str:
    return "".join(_SPACES.get(character, character) for character in text)


def _on_one_line(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, "\t\n\r"), " "))


# Writing --------------------------------------------------------------------------------------------------------------


def write(units: Iterable[Unit], output: Output) -> None:
    """Write the sentences of units, with ``NE=`` where an entity is.

    Raises:
        DataError: as ``output.report`` does, for entities that end inside a token.
    """
    with output.stream() as stream:
        for unit in output.tagged(units):
            value = unit.value
            sentences = [one for one in output.sentences(unit) if one.tokens]
            _note_losses(unit, len(sentences), output)
            for number, (tokens, spans) in enumerate(sentences):
                start = 0 if number == 0 else tokens[0].start
                last = number == len(sentences) - 1
                end = len(value["text"]) if last else sentences[number + 1].tokens[0].start
                text = value["text"][start:end]
                tags = tag_scheme.tags(spans, len(tokens), "iob2")
                kept = _fitting(value.get(LINES), len(tokens)) if len(sentences) == 1 else None
                if kept is not None:
                    lines = _retagged(kept, tags)
                else:
                    places = [(token.start - start, token.end - start) for token in tokens]
                    lines = _new_lines(text if last else text.rstrip(), places, tags)
                if any("\t" in word or "\n" in word or not word for word in words(value["text"], tokens)):
                    output.lose("tabs, line ends and empty words as tokens")
                stream.write("".join(line + "\n" for line in lines) + "\n")
    output.tell_losses("CoNLL-U")


def _note_losses(unit: Unit, n_sentences: int, output: Output) -> None:
    value = unit.value
    if n_sentences == 0:
        output.lose("texts without tokens")
    if n_sentences > 1:
        output.lose(BOUNDS)
    if "tokens" not in value:
        output.lose(TOKENS.replace("there are", "were given"))
    if other_keys(value, "tokens", CONLL_LAYOUT, LINES):
        output.lose(KEYS)
    if CONLL_LAYOUT in value:
        output.lose("the layout of CoNLL lines")
    output.lose_of_entities(value)


def _fitting(kept: Any, n_tokens: int) -> list[str | list[str]] | None:
    """The lines that were kept of a file, if they are such lines of so many words."""
    if not isinstance(kept, list):
        return None
    rows = [line for line in kept if isinstance(line, list)]
    sound = all(len(row) == _N_COLUMNS and all(isinstance(cell, str) for cell in row) for row in rows)
    sound = sound and all(isinstance(line, str | list) for line in kept)
    if not sound or sum(row[0].isascii() and row[0].isdigit() for row in rows) != n_tokens:
        return None
    return kept


def _retagged(kept: list[str | list[str]], tags: Sequence[str]) -> Iterator[str]:
    """The lines with other tags in MISC, everything else as it was."""
    rows = [line for line in kept if isinstance(line, list)]
    home = next((key for key in _TAGGED if any(re.search(rf"(\A|\|){key}=", row[9]) for row in rows)), _TAGGED[0])
    says_outside = any(re.search(rf"(\A|\|){home}={tag_scheme.OUTSIDE}(\||\Z)", row[9]) for row in rows)
    following = iter(tags)
    for line in kept:
        if isinstance(line, str):
            yield line
            continue
        if not (line[0].isascii() and line[0].isdigit()):
            yield "\t".join(line)
            continue
        tag = next(following)
        items = [] if line[9] == "_" else line[9].split("|")
        place = next((n for n, item in enumerate(items) if item.startswith(f"{home}=")), len(items))
        items[place : place + 1] = [f"{home}={_escaped(tag)}"] if tag != tag_scheme.OUTSIDE or says_outside else []
        yield "\t".join([*line[:9], "|".join(items) or "_"])


def _new_lines(text: str, places: Sequence[tuple[int, int]], tags: Sequence[str]) -> Iterator[str]:
    yield f"# text = {_on_one_line(text)}"
    places = [*places, (len(text), len(text))]
    for number, (start, end) in enumerate(places[:-1], start=1):
        form = _on_one_line(text[start:end]) or "_"
        misc = [] if tags[number - 1] == tag_scheme.OUTSIDE else [f"NE={_escaped(tags[number - 1])}"]
        if number == 1 and start:
            misc.append(f"SpacesBefore={_escaped(text[:start])}")
        gap = text[end : places[number][0]]
        is_last = number == len(places) - 1
        if gap and (is_last or gap != " "):
            misc.append(f"SpacesAfter={_escaped(gap)}")
        elif not gap and not is_last:
            misc.append("SpaceAfter=No")
        yield "\t".join([str(number), form, *["_"] * 7, "|".join(misc) or "_"])
