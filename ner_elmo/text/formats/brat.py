"""BRAT standoff (brat.nlplab.org/standoff.html): ``X.txt`` and, beside it, the entities in ``X.ann``.

``T1<TAB>PER 0 3<TAB>Ann`` is an entity, offsets in code points (a carriage return is one);
``#1<TAB>AnnotatorNotes T1<TAB>score=0.97`` says what more is known of it (``brat_notes``). A pair of files holds one
unit a line; a folder of pairs holds one unit a pair. What BRAT has no place for (tokens, other keys of a unit, entities
that it could not show) goes into ``X.units.jsonl``, which BRAT does not look at: an object for each unit,
``{"length": code points, "keys": {…}}``, and ``"whole": true`` in it where a pair of files holds one unit of several
lines.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ner_elmo.errors import DataError, UsageError
from ner_elmo.pages.label_colours import COLOURS, LabelColours
from ner_elmo.text.files import (
    RETURNS_INSIDE,
    read_lines,
    replace_directory,
    replace_file,
    require_file,
    sha256_of_file,
    write_text,
)
from ner_elmo.text.formats.brat_notes import note_of, read_note, shown_label
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.conll_units import LAYOUT, packed_plain
from ner_elmo.text.formats.jsonl import Unit, checked, dumped, given_twice, is_failed, once_each, without_overlaps
from ner_elmo.text.formats.labels import label_fault
from ner_elmo.text.formats.standoff import in_pieces

TEXT, ANNOTATIONS, KEYS = ".txt", ".ann", ".units.jsonl"
_ENTITY = re.compile(r"(T[^\t]*)\t(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)(?:\t(.*))?\Z", re.DOTALL)
_NOTE = re.compile(r"#[^\t]*\tAnnotatorNotes (\S+)(?:\t(.*))?\Z", re.DOTALL)
_TRIGGER = re.compile(r"E[^\t]*\t[^\s:]+:(\S+)")
_LINE_AFTER_RETURN = re.compile(r"\r+(?:[TREAMN#][0-9]+|\*)\t")  # an entity's text may hold carriage returns itself
_OTHER_KINDS = {
    "R": "relation",
    "E": "event",
    "A": "attribute",
    "M": "modifier",
    "N": "normalization",
    "*": "equivalence",
}
_LINE_END = re.compile(r"\r\n|\n|\r")
_MOST_PLACES = 30
_MOST_NAMES = 5
_OUTCOMES = {"drop": "left out", "join": "joined", "split": "split"}
_CONFIGURATION, _COLOURS = CONFIGURATIONS = "annotation.conf", "visual.conf"


class _Text(NamedTuple):
    """A pair of files: the text, its entities in order, and the further keys of its units, if there is such a file."""

    text: str
    entities: list[dict[str, Any]]
    keys: list[dict[str, Any]] | None


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that :func:`write_brat` makes of a path: those of a pair, or a folder."""
    return (
        tuple(path.with_suffix(s) for s in (TEXT, ANNOTATIONS, KEYS)) if path.suffix in (TEXT, ANNOTATIONS) else (path,)
    )


def sha256_of_pairs(path: Path) -> str:
    """A digest of all that is read of a pair, or of a folder of pairs: names and contents."""
    digest = hashlib.sha256()
    folder = path if path.is_dir() else path.parent
    files = path.rglob("*") if path.is_dir() else files_of(path)
    for file in sorted(file for file in files if file.name.endswith((TEXT, ANNOTATIONS, KEYS)) and file.is_file()):
        line = f"{sha256_of_file(file)}  {file.relative_to(folder).as_posix()}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


# Reading --------------------------------------------------------------------------------------------------------------


def read_brat(
    path: str | Path,
    notices: list[str],
    reading: Reading = Reading(),  # noqa: B008
    on_error: Callable[[DataError], None] | None = None,
) -> Iterator[Unit]:
    """The units of a pair of files (named by either), or of a folder of pairs, also in folders of it, in the order of
    their names.

    Args:
        notices: is handed a line for whatever is left out: discontinuous spans, annotations of other kinds, texts
            without a file of annotations.
        reading: says what becomes of entities in pieces, and of those that overlap.
        on_error: is handed what is wrong with a pair of a folder, so that others are read; by default it is raised.

    Raises:
        UsageError: a file is missing.
        DataError: a line that cannot be read, offsets that do not fit, entities that overlap, with their place.
    """
    path = Path(path)
    again: list[str] = []
    if not path.is_dir():
        found = _read_pair(path, notices, reading, again)
        _tell_again(again, notices)
        yield from _lines(path.with_suffix(TEXT), found, notices)
        return
    alone = [text for text in path.rglob(f"*{TEXT}") if not text.with_suffix(ANNOTATIONS).exists()]
    if alone:
        names = [str(text.relative_to(path)) for text in sorted(alone, key=_by_number)]
        shown = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
        files = "a .txt file has" if len(names) == 1 else f"{len(names):,} .txt files have"
        notices.append(f"{path}: {files} no .ann file beside it: left out ({shown})")
    for file in sorted(path.rglob(f"*{ANNOTATIONS}"), key=_by_number):
        text_path = file.with_suffix(TEXT)
        try:
            found = _read_pair(file, notices, reading, again)
            keys = _fitting_keys(text_path, [found.text], found.keys)
            value = checked(str(text_path), 1, _value(found.text, found.entities, keys[0]))
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield Unit(str(text_path), 1, value)
    _tell_again(again, notices)


def _tell_again(again: Sequence[str], notices: list[str]) -> None:
    """One line about all entities that were given before."""
    if again:
        notices.append(again[0] + (f" ({len(again):,} such entities)" if len(again) > 1 else ""))


def _by_number(path: Path) -> tuple[list[list[tuple[int, str]]], list[tuple[int, str]]]:
    """A key that sorts names as people do: 9 before 10, and what is in a folder after what is beside it."""
    *folders, name = [
        [(int(piece), "") if piece.isascii() and piece.isdigit() else (-1, piece) for piece in _pieces(part)]
        for part in path.parts
    ]
    return folders, name


def _pieces(name: str) -> list[str]:
    return re.split(r"([0-9]{1,18})", name)


def _read_pair(path: Path, notices: list[str], reading: Reading, again: list[str]) -> _Text:
    text_path = require_file(path.with_suffix(TEXT), "text file (BRAT wants X.txt beside X.ann)")
    annotations = require_file(path.with_suffix(ANNOTATIONS), "annotation file (BRAT wants X.ann beside X.txt)")
    raw = text_path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"found byte 0x{raw[error.start]:02x}"
        raise DataError(f"{text_path}:{line}: {found}, expected UTF-8 text") from None
    keys = path.with_suffix(KEYS)
    entities = _read_annotations(annotations, text, notices, reading, again)
    return _Text(text, entities, list(_read_keys(keys)) if keys.exists() else None)


def _read_annotations(
    path: Path, text: str, notices: list[str], reading: Reading, again: list[str]
) -> list[dict[str, Any]]:
    """The entities in order, with what notes say of them; whatever else is there is counted and named.

    ``again`` is handed a line for each that was given before.
    """
    lines = list(enumerate(read_lines(path), start=1))
    if inside := next((number for number, line in lines if _LINE_AFTER_RETURN.search(line)), 0):
        raise DataError(f"{path}:{inside}: {RETURNS_INSIDE.format(number=inside)}")
    triggers = {match[1] for _, line in lines if (match := _TRIGGER.match(line))}
    left_out: dict[str, list[int]] = {}
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, line in lines:
        if not line.startswith("T"):
            continue
        match = _ENTITY.match(line)
        if match is None:
            raise DataError(f"{path}:{number}: found {line[:60]!r}, expected T1<TAB>LABEL START END<TAB>text")
        if match[1] in found:
            raise DataError(f"{path}:{number}: found {match[1]} again, expected a number of its own")
        if match[1] in triggers:
            left_out.setdefault("trigger of an event", []).append(number)
        else:
            for part, entity in enumerate(_entities(path, number, match, text, notices, reading.fragments)):
                found[match[1] + part * "/"] = number, entity
    for number, line in lines:
        note = _NOTE.match(line)
        if note is not None and note[1] in found:
            name = note[1]
            while name in found:  # the pieces of one that was split
                _annotate(found[name][1], read_note(note[2] or ""))
                name += "/"
        elif line.strip() and not line.startswith("T"):
            what = "note on something else" if line.startswith("#") else _OTHER_KINDS.get(line[0], "unknown line")
            left_out.setdefault(what, []).append(number)
    if left_out:
        notices.append(f"{path}: left out what is no entity: {'; '.join(_counted(*kind) for kind in left_out.items())}")
    located = sorted(found.values(), key=lambda pair: (pair[1]["start"], pair[0]))
    once = {id(entity) for entity in once_each(entity for _, entity in located)[0]}
    again += [f"{path}:{number}: {given_twice(entity)}" for number, entity in located if id(entity) not in once]
    located = [(number, entity) for number, entity in located if id(entity) in once]
    if reading.overlaps != "error":
        return _by_policy(path, located, notices, reading.overlaps)
    return _without_overlaps(path, located)


def _counted(what: str, numbers: list[int]) -> str:
    """``3 relations (lines 4-5, 9)``."""
    bounds = [n for n, m in zip(numbers, [None, *numbers], strict=False) if m is None or n != m + 1]
    ends = [n for n, m in zip(numbers, [*numbers[1:], None], strict=True) if m is None or m != n + 1]
    places = [f"{first}" if first == last else f"{first}-{last}" for first, last in zip(bounds, ends, strict=True)]
    if len(places) > _MOST_PLACES:
        places = [*places[:_MOST_PLACES], "…"]
    head, _, tail = what.partition(" ")
    plural = f"{head[:-1]}ies" if head.endswith("y") else f"{head}s"
    count = f"{len(numbers):,} {plural if len(numbers) > 1 else head}{' ' if tail else ''}{tail}"
    return f"{count} (line{'s' if len(numbers) > 1 else ''} {', '.join(places)})"


def _annotate(entity: dict[str, Any], said: dict[str, Any]) -> None:
    """Add what a note says; where there are several, their texts stand one below the other.

    A label of several words holds as long as the entity has the one that was written for it.
    """
    label = said.pop("label", None)
    if isinstance(label, str) and label_fault(label) is None and shown_label(label) == entity["label"]:
        entity["label"] = label
    if isinstance(entity.get("note"), str) and isinstance(said.get("note"), str):
        said = {**said, "note": f"{entity['note']}\n{said['note']}"}
    entity.update(said)


def _entities(
    path: Path, number: int, match: re.Match[str], text: str, notices: list[str], fragments: str
) -> Iterator[dict[str, Any]]:
    """The entity of a T line; none, and a notice, if BRAT shows it and we cannot hold it; several if it is split."""
    _, label, offsets, said = match.groups()
    pieces = [tuple(map(int, piece.split())) for piece in offsets.split(";")]
    start, end = pieces[0][0], pieces[-1][1]
    rising = all(a < b for a, b in pieces) and all(a[1] <= b[0] for a, b in pairwise(pieces))
    if not rising or end > len(text):
        raise DataError(f"{path}:{number}: found offsets {offsets}, expected rising ones within {len(text)}")
    # BRAT itself cuts an entity at the end of a line; the gap is white space, and the entity one stretch.
    if any(text[a[1] : b[0]].strip() for a, b in pairwise(pieces)):
        found = f"{path}:{number}: found discontinuous {label} at {offsets}, expected one stretch"
        if fragments == "error":
            raise DataError(f"{found} (--fragments join, split or drop)")
        notices.append(f"{found}; {_OUTCOMES[fragments]}")
        stretches = in_pieces(fragments, [(a, b) for a, b in pieces])
    else:
        stretches = [(start, end)]
    stands = " ".join(text[a:b] for a, b in pieces)
    if said is not None and said.split() != stands.split():
        raise DataError(f"{path}:{number}: found text {said[:60]!r}, expected {stands[:60]!r}, which stands there")
    for start, end in stretches:
        start, end = _without_line_ends(text, start, end)
        if text[start:end] in ("\n", "\r"):
            notices.append(f"{path}:{number}: found {label} at {offsets}, which is but a line end; left out")
        else:
            yield {"start": start, "end": end, "label": label, "text": text[start:end], "score": 1.0}


def _without_line_ends(text: str, start: int, end: int) -> tuple[int, int]:
    while end - start > 1 and text[start] in "\r\n":
        start += 1
    while end - start > 1 and text[end - 1] in "\r\n":
        end -= 1
    return start, end


def _without_overlaps(path: Path, located: Sequence[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The entities.

    Raises:
        DataError: some overlap, with the lines of all of them.
    """
    kept: list[dict[str, Any]] = []
    wrong: list[tuple[int, dict[str, Any]]] = []
    for number, entity in located:
        before = kept[-1] if kept else {"start": 0, "end": 0, "label": ""}
        if entity["start"] < before["end"]:
            wrong.append((number, entity))
        else:
            kept.append(entity)
    if wrong:
        number, first = wrong[0]
        found = f"found {first['label']} at {first['start']}-{first['end']}, which overlaps another entity"
        if len(wrong) > 1:
            found += f", as do others: {_counted('entity', sorted(line for line, _ in wrong))}"
        raise DataError(f"{path}:{number}: {found}; expected none that do (or --overlaps longest, or first)")
    return kept


def _by_policy(
    path: Path, located: Sequence[tuple[int, dict[str, Any]]], notices: list[str], policy: str
) -> list[dict[str, Any]]:
    kept = without_overlaps([entity for _, entity in located], policy)
    ids = {id(entity) for entity in kept}
    left_out = [number for number, entity in located if id(entity) not in ids]
    if left_out:
        notices.append(f"{path}: left out what overlaps: {_counted('entity', left_out)}")
    return kept


def _read_keys(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not (isinstance(value, dict) and isinstance(value.get("keys"), dict) and "length" in value):
            found = f"found {line[:60]!r}, expected an object as convert writes it"
            raise DataError(f"{path}:{number}: {found}; remove the file to read the text without it")
        if not isinstance(value["keys"].get("entities", []), list):
            raise DataError(f'{path}:{number}: found other "entities", expected a list')
        yield value


def _fitting_keys(text_path: Path, units: Sequence[str], keys: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The keys of each unit.

    Raises:
        DataError: the text is no longer what the file of keys was written for.
    """
    if keys is None:
        return [{} for _ in units]
    path = text_path.with_suffix(KEYS)
    remove = f"{text_path.name} was changed; remove {path.name} to read the text without its tokens and keys"
    for number, (unit, value) in enumerate(zip(units, keys, strict=False), start=1):
        if value["length"] != len(unit):
            found = f"found a unit of {len(unit)} characters, expected {value['length']} as {path.name} says"
            raise DataError(f"{text_path}:{number}: {found}; {remove}")
    if len(units) != len(keys):
        found = f"found {len(units)} units, expected {len(keys)} as {path.name} says"
        raise DataError(f"{text_path}:{min(len(units), len(keys)) + 1}: {found}; {remove}")
    return [value["keys"] for value in keys]


def _value(text: str, entities: Sequence[dict[str, Any]], keys: dict[str, Any]) -> dict[str, Any]:
    """The object of a unit. That it could not be tagged holds until somebody marks an entity in it."""
    if is_failed(keys) and not entities:
        return {"text": text} | {k: v for k, v in keys.items() if k != "text"}
    entities = [*entities, *keys.get("entities", [])]
    return {"text": text, "entities": entities} | {k: v for k, v in keys.items() if k not in ("text", "entities")}


def _lines(path: Path, found: _Text, notices: list[str]) -> Iterator[Unit]:
    """A unit for each line of a text; lines that an entity goes through are one."""
    places = _places(found)
    texts = [found.text[start:end] for start, end in places]
    keys = _fitting_keys(path, texts, found.keys)
    waiting = iter([*found.entities, None])
    entity = next(waiting)
    number = 0
    while number < len(places):
        first = number
        start = places[first][0]
        inside: list[dict[str, Any]] = []
        while entity is not None and entity["start"] <= places[number][1]:
            inside.append({**entity, "start": entity["start"] - start, "end": entity["end"] - start})
            while entity["end"] > places[number][1]:
                number += 1
            entity = next(waiting)
        number += 1
        group = keys[first] if number - first == 1 else _joined(path, found.text, places[first:number], first, keys)
        if number - first > 1:
            notices.append(_told_of_joined(f"{path}:{first + 1}-{number}", keys[first:number]))
        value = _value(found.text[start : places[number - 1][1]], inside, group)
        yield Unit(str(path), first + 1, checked(str(path), first + 1, value))


def _places(found: _Text) -> list[tuple[int, int]]:
    """Where the units of a text are, of which each was written with an LF after it: as its keys say, or its lines.

    Lines end in LF, CRLF or CR alone.
    """
    if (written := _written_places(found)) is not None:
        return written
    places, at = [], 0
    for match in _LINE_END.finditer(found.text):
        places.append((at, match.start()))
        at = match.end()
    return [*places, (at, len(found.text))] if at < len(found.text) else places


def _written_places(found: _Text) -> list[tuple[int, int]] | None:
    """The units by the lengths that their keys say; None if the text is not made of these."""
    if found.keys and found.keys[0].get("whole") is True:
        return [(0, len(found.text))]
    places, at = [], 0
    for value in found.keys or []:
        length = value["length"] if isinstance(value["length"], int) else 0
        if "\n" in found.text[at : at + length] or found.text[at + length : at + length + 1] not in ("\n", ""):
            return None
        places.append((at, at + length))
        at += length + 1
    return places if places and at in (len(found.text), len(found.text) + 1) else None


def _joined(
    path: Path, text: str, places: Sequence[tuple[int, int]], first: int, keys: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The keys of a unit of several lines that had been one each: tokens and layouts go on, others are the first's."""
    own = keys[first : first + len(places)]
    joined: dict[str, Any] = {}
    for one in reversed(own):
        joined.update(one)
    joined.pop("error", None)
    with_tokens = all("tokens" in one for one in own)
    tokens: list[Any] = []
    entities: list[Any] = []
    for (begin, end), one in zip(places, own, strict=True):
        start = begin - places[0][0]
        line = {"text": text[begin:end], **one, "entities": one.get("entities", [])}
        value = checked(str(path), first + 1, line)
        if with_tokens:
            tokens += [[[a + start, b + start] for a, b in sentence] for sentence in value["tokens"]]
        entities += [{**e, "start": e["start"] + start, "end": e["end"] + start} for e in value["entities"]]
    for key, new in (("tokens", tokens if with_tokens else None), ("entities", entities or None)):
        joined.pop(key, None)
        joined.update({key: new} if new is not None else {})
    if joined.pop(LAYOUT, None) is not None and with_tokens:
        layouts = [one.get(LAYOUT, packed_plain(map(len, one["tokens"]))) for one in own]
        joined[LAYOUT] = [line for layout in layouts for line in (layout if isinstance(layout, list) else [None])]
    return joined


def _told_of_joined(place: str, keys: Sequence[dict[str, Any]]) -> str:
    dropped = sorted({key for one in keys for key in one} - {"tokens", "entities", LAYOUT})
    said = f"{place}: found an entity that goes through these lines; read as one unit"
    return said + (f", of which {', '.join(dropped)} are the first line's" if dropped else "")


# Writing --------------------------------------------------------------------------------------------------------------


def write_brat(units: Iterable[Unit], path: str | Path, notices: list[str], labels: Iterable[str] = ()) -> None:
    """Write a pair of files (``path`` ends in ``.txt`` or ``.ann``), a unit a line (or one of several lines), or
    a folder of a pair a unit.

    Beside a pair stands its file of keys if BRAT has no place for something. Read back, they are the same units.

    Args:
        notices: is handed a line for what BRAT would read otherwise.
        labels: what people may mark in the folder, beside what is marked there.

    Raises:
        UsageError: a unit of several lines cannot be written to one pair.
    """
    path = Path(path)
    if path.suffix not in (TEXT, ANNOTATIONS):
        with replace_directory(path) as folder:
            known = dict.fromkeys(labels)  # a set that keeps its order
            for number, unit in enumerate(units, start=1):
                _write_pair([unit], folder / f"{number:06d}{TEXT}", "", notices)
                known.update(dict.fromkeys(entity["label"] for entity in unit.value.get("entities", [])))
            configure(folder, known)
        return
    known = dict.fromkeys(labels)
    units = _noting_labels(units, known)
    first_two = list(islice(units := iter(units), 2))
    if len(first_two) == 1 and "\n" in first_two[0].value["text"]:
        _write_pair(first_two, path, "", notices, is_whole=True)
    else:
        _write_pair(_each_on_a_line(chain(first_two, units), path), path, "\n", notices)
    configure(path.parent, known)


def _noting_labels(units: Iterable[Unit], known: dict[str, None]) -> Iterator[Unit]:
    for unit in units:
        known.update(dict.fromkeys(entity["label"] for entity in unit.value.get("entities", [])))
        yield unit


def configure(folder: Path, labels: Iterable[str]) -> None:
    """Write what BRAT has to know to show entities of these labels and to let people mark more, and their colours;
    files that are there already stay as they are."""
    names = sorted(map(shown_label, labels))
    colours = LabelColours()
    drawn = [f"{name}\tbgColor:{COLOURS[colours.number(name)].light}, borderColor:darken" for name in names]
    files = {
        _CONFIGURATION: ["[entities]", *names, "[relations]", "[events]", "[attributes]"],
        _COLOURS: ["[labels]", "[drawing]", "SPAN_DEFAULT\tfgColor:black, bgColor:#dfe2e7, borderColor:darken", *drawn],
    }
    for name, lines in files.items():
        if not (folder / name).exists():
            write_text(folder / name, "\n".join([*lines, ""]))


def _each_on_a_line(units: Iterable[Unit], path: Path) -> Iterator[Unit]:
    for number, unit in enumerate(units, start=1):
        if "\n" in unit.value["text"]:
            raise UsageError(
                f"{path}: unit {number} has several lines, which a pair of files cannot tell apart; name a "
                "folder (no .ann or .txt), which holds a pair for each unit"
            )
        yield unit


def _write_pair(units: Iterable[Unit], path: Path, line_end: str, notices: list[str], is_whole: bool = False) -> None:
    """Write a pair of files; ``is_whole``: one unit is the whole text, whatever lines it has."""
    whole = {"whole": True} if is_whole else {}
    counts: Counter[str] = Counter()
    any_keys = any_words = False
    offset = 0
    with ExitStack() as stack:
        names = [stack.enter_context(replace_file(file)) for file in files_of(path)]
        texts, annotations, keys = (
            stack.enter_context(open(name, "w", encoding="utf-8", newline="")) for name in names
        )
        for unit in units:
            value = unit.value
            text = value["text"]
            texts.write(text + line_end)
            shown = [entity for entity in value.get("entities", []) if _can_show(entity)]
            for entity in shown:
                annotations.write(_entity_lines(entity, offset, counts))
                any_words = any_words or " " in entity["label"]
            others = _other_keys(value, shown)
            keys.write(dumped({"length": len(text), "keys": others, **whole}) + "\n")
            any_keys = (
                any_keys or is_whole or bool(others) or ("\r" in text and bool(line_end))
            )  # a line end to who reads it
            offset += len(text + line_end)
    if not any_keys:
        path.with_suffix(KEYS).unlink()
    if any_words:
        notices.append("labels of several words have _ for their blanks in BRAT; notes keep them as they were")


def _can_show(entity: dict[str, Any]) -> bool:
    """Whether BRAT can: it shows no empty stretch, and cuts off line ends at the edges."""
    text: str = entity["text"]
    return text.strip("\r\n") == text != ""


def _other_keys(value: dict[str, Any], shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What of a unit stands neither in its text nor in the annotations."""
    others = {key: item for key, item in value.items() if key not in ("text", "entities")}
    hidden = [entity for entity in value.get("entities", []) if entity not in shown]
    if hidden or ("error" in value and not is_failed(value)):
        others["entities"] = hidden
    return others


def _entity_lines(entity: dict[str, Any], offset: int, counts: Counter[str]) -> str:
    """A T line and, if there is more to say, a note. An entity over several lines is given in pieces, as BRAT does."""
    pieces, offsets, start = [], [], entity["start"] + offset
    for piece in re.split("[\r\n]", entity["text"]):
        if piece:
            pieces.append(piece)
            offsets.append(f"{start} {start + len(piece)}")
        start += len(piece) + 1
    counts["T"] += 1
    lines = f"T{counts['T']}\t{shown_label(entity['label'])} {';'.join(offsets)}\t{' '.join(pieces)}\n"
    if note := note_of(entity):
        counts["#"] += 1
        lines += f"#{counts['#']}\tAnnotatorNotes T{counts['T']}\t{note}\n"
    return lines
