"""Sentences to label next: doubtful ones, no two alike."""

from __future__ import annotations

import math
from pathlib import Path

from ner_elmo.tagger.suggestion import Suggestion, choose, suggest
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document
from ner_elmo.text.tokenizer import sentences


def candidate(number: int, text: str, doubt: float) -> Suggestion:
    return Suggestion(number, Document(text, sentences(text, "whitespace")), doubt)


def test_the_most_doubtful_come_first_and_near_duplicates_never() -> None:
    found = [
        candidate(1, "page 12 of Annual Report", 0.9),
        candidate(2, "page 13 of Annual Report", 0.8),
        candidate(3, "Vogt came", 0.5),
        candidate(4, "nothing here", 0.1),
    ]
    assert [one.number for one in choose(found, {}, 9)] == [1, 3, 4]
    assert [one.number for one in choose(found, {}, 2)] == [1, 3]


def test_what_is_shared_counts_by_its_rareness() -> None:
    found = [candidate(1, "the Vogt case", 0.9), candidate(2, "the Vogt house", 0.8), candidate(3, "the sea is", 0.7)]
    weights = {"vogt": 5.0, "the": 0.0, "case": 1.0, "house": 1.0}
    assert [one.number for one in choose(found, weights, 9)] == [1, 3]


def test_doubts_are_those_of_readings(trained: Path) -> None:
    tagger = Tagger.load(trained)
    texts = ["Ann sees Rome .", "Zzz qqq Xxx .", "Ann sees Rome .", "Bob waits ."]
    found = suggest(tagger, texts, 10)
    assert sorted(one.document.text for one in found) == sorted(set(texts))
    assert all(0.0 <= one.doubt <= 1.0 for one in found)
    by_text = {one.document.text: one for one in found}
    ann = by_text["Ann sees Rome ."]
    assert [(entity.label, entity.text) for entity in ann.document.entities] == [("PER", "Ann"), ("LOC", "Rome")]
    ((_, probability),) = tagger.readings([["Ann", "sees", "Rome", "."]])
    assert math.isclose(1.0 - ann.doubt, probability, rel_tol=1e-5)
