"""What the files of other tools share: texts and offsets of entities become units of labelled text.

A reader finds texts and entities as its format has them; here offsets become code points, entities in several pieces
and entities that overlap are treated as :class:`Reading` says, and what cannot be right is reported with its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ner_elmo.errors import DataError
from ner_elmo.text.files import display_name
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly

OFFSETS, FRAGMENTS, LEFT_OUT = "offsets", "entity in pieces", "left out"

_MOST_ERRORS = 10


class Found(NamedTuple):
    """An entity as a file has it: its stretches, its label, the text that is said to stand there, and further keys."""

    pieces: Sequence[tuple[Any, Any]]
    label: Any
    text: str | None = None
    keys: dict[str, Any] = {}  # noqa: RUF012 - never changed


@dataclass
class Input:
    """A labelled file about to be read.

    Attributes:
        report: is handed every problem.
        notices: is handed lines about the whole file, such as what was left out of it.
    """

    path: str | Path
    reading: Reading
    report: TellProblem
    notices: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return display_name(self.path)

    def tell(self, line: int, kind: str, message: str, is_error: bool = True) -> None:
        """Report a problem."""
        self.report(Problem(line, kind, message, is_error))

    def unit(self, line: int, text: Any, found: Iterable[Found], keys: dict[str, Any]) -> Iterator[Unit]:
        """The unit of a text and its entities; none, and a report, where they cannot be right.

        ``keys`` are further keys of the unit: ``tokens`` in code points, and whatever else is to be kept.
        """
        if not isinstance(text, str):
            self.tell(line, "JSON", f"found {jsonl.shown(text)} as the text, expected a string")
            return
        entities = self._entities(line, text, list(found))
        more = {key: value for key, value in keys.items() if key not in ("text", "entities")}
        value = jsonl.try_checked({"text": text, "entities": entities} | more, line, self.report, self.reading.overlaps)
        if value is not None:
            yield Unit(self.name, line, value)

    def _entities(self, line: int, text: str, found: list[Found]) -> list[dict[str, Any]]:
        entities = []
        offsets = _Offsets(text, self.reading.offsets, found)
        if offsets.guessed:
            self.tell(line, OFFSETS, "found offsets that count UTF-16 units, as the entities' own texts show", False)
        for one in found:
            pieces = [offsets.code_points(piece) for piece in one.pieces]
            if None in pieces:
                hint = offsets.hint(one.pieces)
                self.tell(line, OFFSETS, f"found {one.label} at {_places(one.pieces)}, expected offsets within the "
                                         f"text's {len(text)} characters{hint}")  # fmt: skip
                continue
            for start, end in self._stretches(line, text, one, [piece for piece in pieces if piece]):
                entities.append({"start": start, "end": end, "label": one.label, **one.keys})
                if one.text is not None and one.text.split() != text[start:end].split() and len(one.pieces) == 1:
                    said, stands = jsonl.shown(one.text), jsonl.shown(text[start:end])
                    self.tell(line, OFFSETS, f"found {said} as the text of {start}-{end}, where {stands} stands; "
                                             "expected these to agree")  # fmt: skip
        return entities

    def _stretches(self, line: int, text: str, one: Found, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The stretches that an entity becomes: one, unless it is in pieces with text between them."""
        joined = (pieces[0][0], pieces[-1][1])
        if not any(text[a[1] : b[0]].strip() for a, b in pairwise(pieces)):
            return [joined]
        kept = in_pieces(self.reading.fragments, pieces)
        message = f"found discontinuous {one.label} at {_places(pieces)}, expected one stretch"
        outcome = {"drop": "left out", "join": "joined", "split": "split"}.get(self.reading.fragments)
        say = f"; {outcome} (--fragments)" if outcome else " (--fragments join, split or drop)"
        self.tell(line, FRAGMENTS, message + say, outcome is None)
        return kept


def in_pieces(policy: str, pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches that an entity in pieces becomes by a policy of ``--fragments``."""
    if policy == "join":
        return [(pieces[0][0], pieces[-1][1])]
    return list(pieces) if policy == "split" else []


def _places(pieces: Sequence[tuple[Any, Any]]) -> str:
    return ";".join(f"{jsonl.shown(start)}-{jsonl.shown(end)}" for start, end in pieces)


_WIDTHS = {
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "byte": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


class _Offsets:
    """Turns the offsets of one text into code points."""

    def __init__(self, text: str, unit: str, found: Sequence[Found]) -> None:
        self._text = text
        self.guessed = unit == "auto" and _fits_only_utf16(text, found)
        unit = "utf16" if self.guessed else "char" if unit == "auto" else unit
        self._places = None if unit == "char" else _places_of(text, unit)

    def code_points(self, piece: tuple[Any, Any]) -> tuple[int, int] | None:
        """A stretch in code points; None if there is no such stretch."""
        start, end = piece
        if not (jsonl.is_offset(start) and jsonl.is_offset(end)):
            return None
        if self._places is None:
            return (start, end) if start <= end <= len(self._text) else None
        if start > end or start not in self._places or end not in self._places:
            return None
        return self._places[start], self._places[end]

    def hint(self, pieces: Sequence[tuple[Any, Any]]) -> str:
        """A phrase where offsets would fit if they counted something else."""
        edges = [edge for piece in pieces for edge in piece]
        if not all(isinstance(edge, int) for edge in edges):
            return ", as whole numbers"
        if self._places is None and len(self._text) < max(edges) <= _WIDTHS["utf16"](self._text):
            return " (do they count UTF-16 units? --offsets utf16)"
        return ""


def _places_of(text: str, unit: str) -> dict[int, int]:
    """Where each offset that stands at a character's edge is, in code points."""
    width = _WIDTHS[unit]
    places, at = {0: 0}, 0
    for index, character in enumerate(text, start=1):
        at += width(character)
        places[at] = index
    return places


def _fits_only_utf16(text: str, found: Sequence[Found]) -> bool:
    """Whether the entities' own texts stand where offsets in UTF-16 units say, and not where code points do."""
    said = [one for one in found if one.text is not None and len(one.pieces) == 1]
    if not said or all(character <= "\uffff" for character in text):
        return False
    if not all(jsonl.is_offset(edge) for one in said for edge in one.pieces[0]):
        return False
    if all(text[slice(*one.pieces[0])] == one.text for one in said):
        return False
    places = _places_of(text, "utf16")
    stretches = [(places.get(one.pieces[0][0]), places.get(one.pieces[0][1])) for one in said]
    return all(None not in pair and text[slice(*pair)] == one.text for pair, one in zip(stretches, said, strict=True))


class Gathered:
    """A report that keeps warnings and errors; :meth:`finish` raises for the errors, all at once.

    So people see all places at which a file has to be corrected, and not the first of them again and again.
    """

    def __init__(self, name: str, warnings: list[Problem]) -> None:
        self._name = name
        self._warnings = warnings
        self._shown: list[str] = []
        self._n_errors = 0
        self.strictly = strictly(name, warnings)  # the same, but it raises at once

    def __call__(self, problem: Problem) -> None:
        """Keep a problem."""
        if not problem.is_error:
            self._warnings.append(problem)
            return
        self._n_errors += 1
        if len(self._shown) < _MOST_ERRORS:
            self._shown.append(f"{self._name}:{problem.line}: {problem.message}")

    def finish(self) -> None:
        """Complain if there was an error.

        Raises:
            DataError: the first ten errors, a line each, and how many there are.
        """
        if self._n_errors > len(self._shown):
            self._shown.append(f"{self._n_errors:,} such places in all; the first {len(self._shown)} are shown")
        if self._n_errors:
            raise DataError("\n".join(self._shown))


def within(path: str | Path, unit: Unit, report: TellProblem) -> TellProblem:
    """The report for a unit: where its text lies in another file than ``path`` (BRAT), it says in which."""
    if unit.name == display_name(path):
        return report
    name = Path(unit.name)
    shown = name.relative_to(path) if name.is_relative_to(path) else name.name

    def told(problem: Problem) -> None:
        report(problem._replace(message=f"{shown}:{problem.line}: {problem.message}"))

    return told


def counted(number: int, what: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {what if number == 1 else what + 's'}"
