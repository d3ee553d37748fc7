"""Small corpora, and the index of one, made with a tagger's biLM."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.explore.index import Made, OccurrenceIndex
from ner_elmo.explore.opening import open_index
from ner_elmo.runs.events import silent
from tests.support.toy_language import PEOPLE, PLACES

MADE = Made("a biLM", [["toy.txt", 1]], "whitespace", 100_000)
SENTENCES = [[PEOPLE[i % len(PEOPLE)], "sees", PLACES[i % len(PLACES)], *(["again"] * (i % 4)), "."] for i in range(60)]


def write_index(tagger: Path, folder: Path) -> OccurrenceIndex:
    """An index in ``folder``."""
    text = folder.with_suffix(".txt")
    lines = [f"{PEOPLE[i % len(PEOPLE)]} sees {PLACES[i % len(PLACES)]} {'again ' * (i % 3)}." for i in range(30)]
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_index(Elmo.load(tagger), [text], folder, silent)
