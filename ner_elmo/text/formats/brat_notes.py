"""What BRAT's notes say of an entity: its score, and whatever else is known of it.

BRAT keeps one note for an entity, ``#1<TAB>AnnotatorNotes T1<TAB>text``, shows it to annotators and lets them edit it.
We write ``score=0.9731``, then the entity's ``note``, or its other keys as one JSON object; what people write in its
place, or behind it, is a ``note``.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ner_elmo.text.formats.jsonl import dumped

KEYS = ("start", "end", "label", "text", "score")
_SCORE = re.compile(r"score=([0-9.eE+-]+)(?: |\Z)")


def note_of(entity: dict[str, Any]) -> str:
    """The note for an entity; empty if its score is 1 and there is nothing else to say."""
    others = {key: value for key, value in entity.items() if key not in KEYS}
    if shown_label(entity["label"]) != entity["label"]:
        others["label"] = entity["label"]
    pieces = [] if entity["score"] == 1.0 else [f"score={entity['score']!r}"]
    if set(others) == {"note"} and _is_plain(others["note"]):
        pieces.append(others["note"])
    elif others:
        pieces.append(dumped(others))
    return " ".join(pieces)


def shown_label(label: str) -> str:
    """A label as BRAT can hold it, with ``_`` for blanks; the note keeps the other one."""
    return label.replace(" ", "_")


def read_note(note: str) -> dict[str, Any]:
    """The keys of an entity that a note says: ``score`` if it has one, ``note``, others; a ``label`` of words."""
    found: dict[str, Any] = {}
    note = note.strip()
    match = _SCORE.match(note)
    if match is not None and (score := _number(match[1])) is not None:
        found["score"] = score
        note = note[match.end() :].strip()
    others, rest = _leading_object(note)
    found.update(others)
    if rest:
        found["note"] = f"{found['note']} {rest}" if isinstance(found.get("note"), str) else rest
    return found


def _is_plain(note: Any) -> bool:
    """Whether a note can stand as it is, to be read as the same."""
    return (
        isinstance(note, str)
        and note != ""
        and note == " ".join(note.split())
        and not note.startswith(("score=", "{"))
        and note.encode("utf-8", "replace").decode("utf-8") == note
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _leading_object(note: str) -> tuple[dict[str, Any], str]:
    """The JSON object that a note begins with, without an entity's own keys but the label, and what comes after it."""
    if not note.startswith("{"):
        return {}, note
    try:
        value, end = json.JSONDecoder().raw_decode(note)
    except (ValueError, RecursionError):
        return {}, note
    return {key: item for key, item in value.items() if key not in KEYS or key == "label"}, note[end:].strip()
