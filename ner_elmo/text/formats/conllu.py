"""CoNLL-U with entities in its last column (MISC), a sentence a unit, or several after ``# newpar id = unit-1``.

Read are ``NE=B-PER`` (also under ``NER`` or ``NamedEntity``) and the brackets of ``Entity=(person-1 … person-1)``, as
in GUM and CorefUD. ``SpaceAfter`` and ``SpacesAfter`` say the text. The words are the tokens; lines of multiword tokens
(``3-4``) and empty nodes (``5.1``), comments and the other columns are kept under the unit's key ``conllu``, and
written back. Written is ``NE=B-PER``, or the key that stood there; from the first unit of several sentences on, each
unit begins a paragraph whose name begins with ``unit-``. Other paragraphs, of other files, are not read as units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import Any, NamedTuple

from ner_elmo.text import tag_scheme
from ner_elmo.text.files import read_lines
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.labels import as_tag
from ner_elmo.text.formats.output import CONLL_LAYOUT, KEYS, TOKENS, Output, Sentence, other_keys, words
from ner_elmo.text.formats.standoff import Found, Input

LINES = "conllu"
_TAGGED = ("NE", "NER", "NamedEntity")
_BRACKETS = re.compile(r"\(([^()]+)(\))?|([^()]*)\)")
_SPACES = {"\\": "\\\\", " ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r", "|": "\\p"}
_UNESCAPED = {value[1]: key for key, value in _SPACES.items()}
_N_COLUMNS = 10
_MARK = "# newpar id = unit-"


class _Word(NamedTuple):
    """The line of a syntactic word."""

    line: int
    columns: list[str]

    @property
    def misc(self) -> dict[str, str]:
        items = (item.partition("=") for item in self.columns[9].split("|"))
        return {key: value for key, _, value in items}


class _Sentence(NamedTuple):
    """A sentence: all of its lines, those of its words, and the names of what ``Entity=`` says."""

    kept: list[str | list[str]]
    words: list[_Word]
    fields: Sequence[str]
    begins_unit: bool


# Reading --------------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Unit]:
    """The sentences of a file, or units of several.

    Raises:
        UsageError: the file cannot be opened.
    """
    unit: list[_Sentence] = []
    in_marked = False
    for sentence in _sentences(source):
        if sentence.begins_unit or not in_marked:
            yield from _unit(source, unit)
            unit = []
        in_marked = in_marked or sentence.begins_unit
        unit.append(sentence)
    yield from _unit(source, unit)


def _sentences(source: Input) -> Iterator[_Sentence]:
    def undecodable(number: int, message: str) -> None:
        source.tell(number, "undecodable bytes", message)

    fields: list[str] = []
    kept: list[str | list[str]] = []
    found: list[_Word] = []
    for number, line in enumerate(chain(read_lines(source.path, source.reading.decoding, undecodable), [""]), start=1):
        if not line.strip():
            if found:
                begins_unit = _is_mark(kept[0])
                yield _Sentence(kept[begins_unit:], found, fields, begins_unit)
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
            if _is_word(columns):
                found.append(_Word(number, columns))


def _is_mark(line: str | list[str]) -> bool:
    """Whether a line begins a unit of several sentences."""
    return isinstance(line, str) and line.startswith(_MARK)


def _unit(source: Input, sentences: Sequence[_Sentence]) -> Iterator[Unit]:
    if not sentences:
        return
    text, tokens, entities = "", [], []
    for number, sentence in enumerate(sentences, start=1):
        own, following, places = _text(sentence, number == len(sentences))
        found = _entities(source, sentence, places)
        if found is None:
            return
        start = len(text)
        tokens.append([[a + start, b + start] for a, b in places])
        entities += [Found([(a + start, b + start)], label) for a, b, label in found]
        text += own + following
    keys: dict[str, Any] = {"tokens": tokens}
    if not all(_is_plain(sentence.kept) for sentence in sentences):
        keys[LINES] = [line for number, one in enumerate(sentences) for line in (*([""] if number else []), *one.kept)]
    plain = replace(source, reading=replace(source.reading, offsets="char"))
    yield from plain.unit(sentences[0].words[0].line, text, entities, keys)


def _entities(source: Input, sentence: _Sentence, tokens: Sequence[Sequence[int]]) -> list[tuple[int, int, str]] | None:
    """The entities of a sentence; None, and a report, where its tags are none."""
    found = sentence.words
    tagged = next((key for key in _TAGGED if any(key in word.misc for word in found)), None)
    if tagged is None:
        return [(tokens[first][0], tokens[last][1], label) for first, last, label in _in_brackets(source, sentence)]
    tags = [_unescaped(word.misc.get(tagged, tag_scheme.OUTSIDE)) for word in found]
    for word, tag in zip(found, tags, strict=True):
        if tag != tag_scheme.OUTSIDE and not tag_scheme.has_prefix(tag):
            source.tell(word.line, "tag", f"found {as_tag(tag)} as {tagged}=, expected O or a tag such as B-PER")
            return None
    return [(tokens[s.start][0], tokens[s.end - 1][1], s.label) for s in tag_scheme.read_tags(tags, "iob2")]


def _text(sentence: _Sentence, is_last: bool) -> tuple[str, str, list[list[int]]]:
    """The text of a sentence, the white space after it that belongs to its unit, and where its words stand."""
    found = sentence.words
    said = next((line[9:] for line in sentence.kept if isinstance(line, str) and line.startswith("# text = ")), None)
    text = _unescaped(found[0].misc.get("SpacesBefore", ""))
    tokens = []
    following = ""
    for word in found:
        text += following
        form, misc = word.columns[1], word.misc
        tokens.append([len(text), len(text) + len(form)])
        text += form
        following = _unescaped(misc["SpacesAfter"]) if "SpacesAfter" in misc else " "
        following = "" if misc.get("SpaceAfter") == "No" and "SpacesAfter" not in misc else following
    if is_last:
        following = following if "SpacesAfter" in found[-1].misc else ""
        is_text = said is None or said == _on_one_line(text + following)
        following = following if is_text else ""
    return text, following, tokens


def _in_brackets(source: Input, sentence: _Sentence) -> Iterator[tuple[int, int, str]]:
    """Entities by ``Entity=(e1-person-1`` … ``e1)``: the first word, the last and the type of each."""
    found, fields = sentence.words, sentence.fields
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
    is_marked = False
    with output.stream() as stream:
        for number, unit in enumerate(output.tagged(units), start=1):
            sentences = [one for one in output.sentences(unit) if one.tokens]
            is_marked = is_marked or len(sentences) > 1
            _note_losses(unit, len(sentences), output)
            if is_marked and sentences:
                stream.write(f"{_MARK}{number}\n")
            for lines in _lines_of(unit, sentences):
                stream.write("".join(f"{line}\n" for line in lines) + "\n")
            tokens = [token for one in sentences for token in one.tokens]
            if any("\t" in word or "\n" in word or not word for word in words(unit.value["text"], tokens)):
                output.lose("tabs, line ends and empty words as tokens")
    output.tell_losses("CoNLL-U")


def _lines_of(unit: Unit, sentences: Sequence[Sentence]) -> Iterator[Iterable[str]]:
    """The lines of each sentence: as they were kept, or new ones."""
    text = unit.value["text"]
    tags = [tag_scheme.tags(spans, len(tokens), "iob2") for tokens, spans in sentences]
    kept = _fitting(unit.value.get(LINES), [len(one.tokens) for one in sentences])
    starts = [0, *(one.tokens[0].start for one in sentences[1:]), len(text)]
    for number, (tokens, _) in enumerate(sentences):
        if kept is not None:
            yield _retagged(kept[number], tags[number])
            continue
        start, end = starts[number : number + 2]
        places = [(token.start - start, token.end - start) for token in tokens]
        yield _new_lines(text[start:end], places, tags[number], number == len(sentences) - 1)


def _note_losses(unit: Unit, n_sentences: int, output: Output) -> None:
    value = unit.value
    if n_sentences == 0:
        output.lose("texts without tokens")
    if "tokens" not in value:
        output.lose(TOKENS.replace("there are", "were given"))
    if other_keys(value, "tokens", CONLL_LAYOUT, LINES):
        output.lose(KEYS)
    if CONLL_LAYOUT in value:
        output.lose("the layout of CoNLL lines")
    output.lose_of_entities(value)


def _fitting(kept: Any, lengths: Sequence[int]) -> list[list[str | list[str]]] | None:
    """The lines that were kept of each sentence, if they are such lines of so many words."""
    if not isinstance(kept, list):
        return None
    rows = [line for line in kept if isinstance(line, list)]
    sound = all(len(row) == _N_COLUMNS and all(isinstance(cell, str) for cell in row) for row in rows)
    if not (sound and all(isinstance(line, str | list) for line in kept)):
        return None
    sentences = [list(lines) for is_break, lines in groupby(kept, lambda line: line == "") if not is_break]
    return sentences if [sum(map(_is_word, lines)) for lines in sentences] == list(lengths) else None


def _is_word(line: str | list[str]) -> bool:
    """Whether a line is that of a syntactic word."""
    return isinstance(line, list) and line[0].isascii() and line[0].isdigit()


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
        if not _is_word(line):
            yield "\t".join(line)
            continue
        tag = next(following)
        items = [] if line[9] == "_" else line[9].split("|")
        place = next((n for n, item in enumerate(items) if item.startswith(f"{home}=")), len(items))
        items[place : place + 1] = [f"{home}={_escaped(tag)}"] if tag != tag_scheme.OUTSIDE or says_outside else []
        yield "\t".join([*line[:9], "|".join(items) or "_"])


def _new_lines(
    text: str, places: Sequence[tuple[int, int]], tags: Sequence[str], is_last: bool = True
) -> Iterator[str]:
    """The lines of a sentence, of which ``text`` goes on to the next one of its unit, or to the unit's end."""
    yield f"# text = {_on_one_line(text if is_last else text.rstrip())}"
    following = [start for start, _ in places[1:]] + [len(text)]
    for number, ((start, end), after) in enumerate(zip(places, following, strict=True), start=1):
        form = _on_one_line(text[start:end]) or "_"
        misc = [] if tags[number - 1] == tag_scheme.OUTSIDE else [f"NE={_escaped(tags[number - 1])}"]
        if number == 1 and start:
            misc.append(f"SpacesBefore={_escaped(text[:start])}")
        gap = text[end:after]
        ends_unit = is_last and number == len(places)
        if gap and (ends_unit or gap != " "):
            misc.append(f"SpacesAfter={_escaped(gap)}")
        elif not gap and not ends_unit:
            misc.append("SpaceAfter=No")
        yield "\t".join([str(number), form, *["_"] * 7, "|".join(misc) or "_"])
